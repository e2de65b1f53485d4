import { describe, expect, it } from 'vitest'
import { blind, model, warmFleet } from '../help/warm-fleet.ts'
import { askSplit, linesOf, promptsOf, seats, streamSplit, textsFor } from './split-fleet.ts'

/** Entries of a list, short lines of a kind; some 2,000 tokens. */
const list = linesOf(400, 'Item number').join('\n')
const read = { prefillTokensPerSecond: 20_000, decodeTokensPerSecond: 2_000 }

describe('split: "auto"', () => {
  it('leaves a short input whole, says why, and answers as if it had not been asked for', async () => {
    await using fleet = await warmFleet({ simulators: [{}, {}], config: blind, backend: seats(2) })
    const prompt = linesOf(30, 'Item').join('\n')
    const plain = await askSplit(fleet.url, { prompt })
    const { fields } = await askSplit(fleet.url, { prompt, split: 'auto' })
    expect(fields.split).toMatchObject({
      parts: 1,
      auto: { split: false, why: expect.stringMatching(/too few to be worth it/) },
    })
    expect(fields.split).not.toHaveProperty('note')
    expect(fields.response).toBe(plain.fields.response)
    expect(fields.eval_count).toBe(plain.fields.eval_count)
    expect(promptsOf(fleet)).toEqual([prompt, prompt])
    const { text, pieces } = await streamSplit(fleet.url, { prompt, split: 'auto' })
    expect(text).toBe(plain.fields.response)
    // It comes piece by piece, as a plain stream does.
    expect(pieces.length).toBeGreaterThan(2)
  })

  it('leaves it whole where one seat would do it all', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind, backend: seats(1) })
    const { fields } = await askSplit(fleet.url, { prompt: list, split: 'auto' })
    expect(fields.split).toMatchObject({ parts: 1, auto: { split: false } })
    expect(fields.split.auto!.why).toContain('one seat')
  })

  it('cuts what fits no context, whoever has to do it', async () => {
    await using fleet = await warmFleet({
      simulators: [read],
      config: blind,
      backend: seats(1),
    })
    const prompt = Array(4).fill(list).join('\n')
    const split = { by: 'auto', size: 100 }
    const { status, fields } = await askSplit(fleet.url, { prompt, split })
    expect(status).toBe(200)
    expect(fields.split.auto).toEqual({
      split: true,
      why: expect.stringMatching(/^about \d+ tokens do not fit the largest context/),
    })
    expect(fields.split.parts).toBeGreaterThan(1)
    expect(promptsOf(fleet).join('')).toBe(prompt)
  })

  it('cuts what is done sooner by many, and says what it expects', async () => {
    await using fleet = await warmFleet({
      simulators: [read, read],
      config: blind,
      backend: seats(2),
    })
    const { fields } = await askSplit(fleet.url, { prompt: list, split: 'auto' })
    expect(fields.split.auto).toEqual({
      split: true,
      why: expect.stringMatching(/^\d+ parts take about .* on 4 seats, the whole/),
    })
    expect(fields.split.parts).toBeGreaterThan(1)
    expect(fields.split.by).toBe('lines')
  })

  it('takes its size and way to cut from an object as well', async () => {
    await using fleet = await warmFleet({ simulators: [{}, {}], config: blind, backend: seats(2) })
    const split = { by: 'auto', size: 200 }
    const { fields } = await askSplit(fleet.url, { prompt: list, split })
    expect(fields.split.auto).toHaveProperty('why')
    if (fields.split.auto!.split) expect(fields.split.parts).toBe(2)
  })

  it('is not split away: an array of items in one piece is one text, an item a line', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind, backend: seats(1) })
    const input = ['first', { second: 2 }, 'third']
    const { fields } = await askSplit(fleet.url, { input, split: 'auto' })
    expect(promptsOf(fleet)).toEqual(['first\n{"second":2}\nthird'])
    const plain = await askSplit(fleet.url, { input })
    expect(plain.fields.response).toBe(fields.response)
    const [text] = await textsFor(fleet.simulators[0]!, ['first\n{"second":2}\nthird'], { model })
    expect(fields.response).toBe(text)
  })
})

describe('the numbers of a run', () => {
  it('stand in the metrics, and its request ends in one sentence beside those of its parts', async () => {
    await using fleet = await warmFleet({ simulators: [{}, {}], config: blind, backend: seats(1) })
    const input = linesOf(12).join('\n')
    const split = { by: 'lines', size: 1 }
    fleet.simulators[0]!.faults.add({ kind: 'status', status: 500, text: 'out of luck', count: 1 })
    const id = 'split-run-of-the-test'
    const { fields, headers } = await askSplit(
      fleet.url,
      { input, split },
      { headers: { 'x-request-id': id } },
    )
    expect(headers['x-request-id']).toBe(id)
    const outer = fleet.ended.filter((each) => each.id === id)
    expect(outer).toMatchObject([
      { op: 'generate', family: 'own', ending: 'ok', status: 200, model: `${model}:latest` },
    ])
    const inner = fleet.ended.filter((each) => each.id.startsWith(`${id}.`))
    expect(inner.length).toBe(12 + fields.split.retried + fields.split.hedged)
    expect(new Set(inner.map((each) => each.id)).size).toBe(inner.length)

    const text = await (await fetch(`${fleet.url}/metrics`)).text()
    const value = (series: string) => {
      const line = text.split('\n').find((each) => each.startsWith(`${series} `))
      return line === undefined ? undefined : Number(line.slice(series.length + 1))
    }
    const how = 'by="lines",combine="concat"'
    expect(value(`chasqui_split_runs_total{${how},outcome="ok"}`)).toBe(1)
    expect(value(`chasqui_split_parts_sum{${how}}`)).toBe(12)
    expect(value('chasqui_split_part_tokens_count{stage="map"}')).toBe(12)
    expect(value(`chasqui_split_speedup_ratio_count{${how}}`)).toBe(1)
    expect(value('chasqui_split_straggler_seconds_count')).toBe(1)
    const { backends, retried, hedged } = fields.split
    for (const [backend, parts] of Object.entries(backends)) {
      const labels = `{stage="map",backend="${backend}"}`
      const other = `{backend="${backend}",stage="map"}`
      const name = 'chasqui_split_part_duration_seconds_count'
      expect(value(name + other) ?? value(name + labels)).toBe(parts)
    }
    const again = (reason: string) =>
      value(`chasqui_split_part_retries_total{reason="${reason}"}`) ?? 0
    expect([again('retried'), again('hedged')]).toEqual([retried, hedged])
  })

  it('say how a run went that failed', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind, backend: seats(1) })
    fleet.simulators[0]!.faults.add({ kind: 'status', status: 400, text: 'no' })
    await askSplit(fleet.url, { input: linesOf(12).join('\n'), split: true })
    const text = await (await fetch(`${fleet.url}/metrics`)).text()
    expect(text).toContain(
      'chasqui_split_runs_total{by="lines",combine="concat",outcome="failed"} 1',
    )
  })
})
