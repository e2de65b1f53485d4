import { describe, expect, it } from 'vitest'
import { readLoadReport } from '../../src/core/load-report.ts'

const smallest = { at_ms: 1, free_slots: 2, queue: 3, active: 4 }

describe('a load report', () => {
  it('is read with what is known of it, the rest being unknown', () => {
    expect(readLoadReport(smallest)).toEqual({
      ...smallest,
      hidden: null,
      slots: {},
      resident: [],
      running: [],
      cpu: { cores: 0, load1: null, use: null },
      memory: { total_bytes: null, free_bytes: null },
      disk: null,
      models_dir: null,
      gpus: [],
      absent: {},
      capabilities: {},
      drained: false,
      managed: false,
      ollama_version: null,
    })
  })

  it('is none without what routing needs', () => {
    for (const key of Object.keys(smallest))
      expect(readLoadReport({ ...smallest, [key]: undefined })).toBeUndefined()
    for (const other of [null, 'text', 5, [], undefined])
      expect(readLoadReport(other)).toBeUndefined()
  })

  it('has every number in its bounds and every list cut', () => {
    const report = readLoadReport({
      ...smallest,
      free_slots: -5,
      queue: 1e300,
      active: 2.7,
      hidden: Number.NaN,
      cpu: { cores: 1e9, load1: '3', use: 7 },
      gpus: Array.from({ length: 500 }, () => ({ name: 'x', use: -1 })),
      running: [{ model: 'm', since_ms: 5 }, { model: 5 }, null],
      models_dir: `${'x'.repeat(1_000)}`,
    })!
    expect(report.free_slots).toBe(0)
    expect(report.queue).toBe(100_000)
    expect(report.active).toBe(2)
    expect(report.hidden).toBeNull()
    expect(report.cpu).toEqual({ cores: 65_536, load1: null, use: 1 })
    expect(report.gpus).toHaveLength(64)
    expect(report.gpus[0]!.use).toBe(0)
    expect(report.running).toEqual([{ model: 'm', since_ms: 5, tokens: null }])
    expect(report.models_dir).toHaveLength(300)
  })

  it('keeps keys as keys and leaves out what it does not know', () => {
    const text = `{"at_ms":1,"free_slots":1,"queue":0,"active":0,"more":1,
      "slots":{"__proto__":{"used":1,"limit":2,"learned":true,"more":1},"bad":{"used":1}},
      "absent":{"gpu":"a\\nb","disk":5}}`
    const report = readLoadReport(JSON.parse(text))!
    expect(report).not.toHaveProperty('more')
    expect(Object.entries(report.slots)).toEqual([
      ['__proto__', { used: 1, limit: 2, learned: true }],
    ])
    expect(report.absent).toEqual({ gpu: 'a b' })
  })
})
