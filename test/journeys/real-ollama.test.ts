import { Ollama } from 'ollama'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RealOllama, startReal } from '../calibration/real.ts'
import { type RunningProcess, startProxyProcess } from '../help/processes.ts'
import { until } from '../help/until.ts'

const bin = process.env['OLLAMA_BIN'] ?? ''
if (bin === '')
  process.stderr.write(
    'the journeys on a real Ollama are skipped: OLLAMA_BIN names none (the simulated server stands in elsewhere)\n',
  )

/** A model of a few hundred kilobytes with random weights, created at the start: it writes noise, but it writes. */
const model = 'alpha'
const few = { num_predict: 6, seed: 1 }

describe.skipIf(bin === '')('a real Ollama behind the proxy', () => {
  let real: RealOllama
  let proxy: RunningProcess
  let client: Ollama

  beforeAll(async () => {
    real = await startReal(bin, {
      maxLoaded: 2,
      maxQueue: 10,
      parallel: 1,
      loadMs: 0,
      longAnswers: false,
    })
    proxy = await startProxyProcess([`http://127.0.0.1:${real.port},name=real`])
    client = new Ollama({ host: proxy.url })
    await until(async () => (await client.list()).models.length > 0, 20_000)
  }, 120_000)

  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]()
    await real?.stop()
  })

  it('lists and shows its models', async () => {
    const { models } = await client.list()
    expect(models.map(({ name }) => name)).toContain(`${model}:latest`)
    expect((await client.show({ model })).details.family).toBe('llama')
    await expect(client.show({ model: 'nowhere' })).rejects.toMatchObject({ status_code: 404 })
  })

  it('generates, chats and streams to the last line', async () => {
    const whole = await client.generate({ model, prompt: 'hello', options: few })
    expect(whole.done).toBe(true)
    const chat = await client.chat({
      model,
      messages: [{ role: 'user', content: 'hello' }],
      options: few,
    })
    expect(chat.message.role).toBe('assistant')
    let last: { done: boolean } | undefined
    for await (const part of await client.generate({
      model,
      prompt: 'hello',
      options: few,
      stream: true,
    }))
      last = part
    expect(last?.done).toBe(true)
  })

  it('shows what is loaded, and unloads it', async () => {
    expect((await client.ps()).models.map(({ name }) => name)).toContain(`${model}:latest`)
    await client.generate({ model, prompt: '', keep_alive: 0 })
    await until(async () => (await client.ps()).models.length === 0, 20_000)
  })

  it('stops working when its client leaves', async () => {
    const stream = await client.generate({
      model,
      prompt: 'hello',
      options: { num_predict: 30_000, seed: 1 },
      stream: true,
    })
    for await (const _part of stream) {
      stream.abort()
      break
    }
    // The seat is free again, and so is the model's only slot.
    const after = await client.generate({ model, prompt: 'again', options: few })
    expect(after.done).toBe(true)
  })

  it('copies and deletes', async () => {
    await client.copy({ source: model, destination: 'copied' })
    expect((await client.list()).models.map(({ name }) => name)).toContain('copied:latest')
    await client.delete({ model: 'copied' })
    expect((await client.list()).models.map(({ name }) => name)).not.toContain('copied:latest')
  })
})

const counted = (words: number) => Array.from({ length: words }, (_, at) => `word${at}`).join(' ')

describe.skipIf(bin === '')('two real Ollamas behind the proxy', () => {
  const settings = { maxLoaded: 1, maxQueue: 10, parallel: 1, loadMs: 0, longAnswers: true }
  const body = {
    model,
    // What a scripted engine takes for a script; to a real one it is a question like any other.
    messages: [{ role: 'user', content: `[[slow 30]] [[say ${counted(60)}]]` }],
    stream: true,
    options: { temperature: 0, num_predict: 60 },
  }
  const chat = (url: string) =>
    fetch(`${url}/api/chat`, { method: 'POST', body: JSON.stringify(body) })
  const textIn = (lines: string) =>
    lines
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { message: { content: string } }).message.content)
      .join('')

  it.each(['its runner', 'its server'])(
    'give one answer at temperature 0 when %s dies in the middle of it',
    async (what) => {
      const one = await startReal(bin, settings)
      const reals = [one, await startReal(bin, settings, undefined, one)]
      await using stack = new AsyncDisposableStack()
      for (const real of reals) stack.defer(() => real.stop())
      const proxy = stack.use(
        await startProxyProcess(
          reals.map(({ port }, at) => `http://127.0.0.1:${port},name=r${at}`),
        ),
      )
      const client = new Ollama({ host: proxy.url })
      await until(async () => (await client.list()).models.length > 0, 20_000)
      const whole = textIn(await (await chat(`http://127.0.0.1:${reals[1]!.port}`)).text())
      const answer = await chat(proxy.url)
      const at = answer.headers.get('x-chasqui-backend')
      const first = reals[at === 'r0' ? 0 : 1]!
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
      let said = ''
      let isKilled = false
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        said += value
        if (isKilled || said.split('\n').length < 10) continue
        isKilled = true
        if (what === 'its runner') await first.killEngine()
        else first.kill()
      }
      expect(textIn(said)).toBe(whole)
      expect(JSON.parse(said.trim().split('\n').at(-1)!)).toMatchObject({ done: true })
      const metrics = await (await fetch(`${proxy.url}/metrics`)).text()
      expect(metrics).toMatch(/^chasqui_continuations_total\{.*result="whole".*\} 1$/m)
    },
    120_000,
  )
})
