/** The official clients read an answer of several legs as they read any other. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Anthropic from '@anthropic-ai/sdk'
import { Ollama } from 'ollama'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Simulator } from '../../../backends/simulator/server.ts'
import { textIn } from './compare.ts'
import { fastSimulator, framesIn, goOn, type Json, type Kind, kinds, post } from './harness.ts'

let simulator: Simulator
beforeAll(async () => {
  simulator = await fastSimulator()
})
afterAll(() => simulator.close())

const question = 'Why is the sky blue?'

/** A server that answers everything with one stream. */
async function serving(kind: Kind, frames: readonly Buffer[]) {
  const server = createServer((_req, res) => {
    res.writeHead(200, { 'Content-Type': kind.sse ? 'text/event-stream' : 'application/x-ndjson' })
    for (const frame of frames) res.write(frame)
    res.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, [Symbol.dispose]: () => void server.close() }
}

/** An answer that broke in three places, or the one that did not. */
async function answers(kind: Kind, more: Json = {}) {
  const body = kind.body(question, more)
  const whole = framesIn(await post(simulator.url, kind.path, body), kind.sse)
  let had = whole.slice(0, 7)
  for (const kept of [5, 6]) {
    const gone = await goOn(simulator, kind, body, had, { method: 'trailing' })
    had = [...had, ...gone.frames.slice(0, kept)]
  }
  const last = await goOn(simulator, kind, body, had, { method: 'trailing' })
  return { whole, joined: [...had, ...last.frames], text: textIn(whole) }
}

async function both<Read>(
  kind: Kind,
  more: Json,
  read: (url: string) => Promise<Read>,
): Promise<{ whole: Read; joined: Read; text: string }> {
  const { whole, joined, text } = await answers(kind, more)
  using one = await serving(kind, whole)
  using other = await serving(kind, joined)
  return { whole: await read(one.url), joined: await read(other.url), text }
}

describe('an answer of three legs', () => {
  it.each(['llama3.2', 'qwen3'])('is read by ollama, /api/chat with %s', async (model) => {
    const { whole, joined, text } = await both(kinds.chat, { model }, async (host) => {
      const parts = await new Ollama({ host }).chat({ model, messages: [], stream: true })
      let said = ''
      let thought = ''
      let reason = ''
      for await (const part of parts) {
        said += part.message.content
        thought += part.message.thinking ?? ''
        if (part.done) reason = part.done_reason
      }
      return { said, thought, reason }
    })
    expect(joined).toEqual(whole)
    expect(joined.said).toBe(text)
  })

  it('is read by ollama, /api/generate', async () => {
    const { whole, joined, text } = await both(kinds.generate, {}, async (host) => {
      const parts = await new Ollama({ host }).generate({ model: 'x', prompt: 'x', stream: true })
      let said = ''
      let last: { count: number; reason: string } | undefined
      for await (const part of parts) {
        said += part.response
        if (part.done) last = { count: part.eval_count, reason: part.done_reason }
      }
      return { said, last }
    })
    expect(joined).toEqual(whole)
    expect(joined.said).toBe(text)
  })

  it.each(['llama3.2', 'qwen3'])('is read by openai, chat completions with %s', async (model) => {
    const more = { model, stream_options: { include_usage: true } }
    const { whole, joined, text } = await both(kinds.openai, more, async (url) => {
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 })
      const runner = client.chat.completions.stream({
        model,
        messages: [{ role: 'user', content: 'x' }],
      })
      const { id, created, choices, usage } = await runner.finalChatCompletion()
      const { message, finish_reason } = choices[0]!
      return { id, created, said: message.content, finish_reason, output: usage?.completion_tokens }
    })
    expect(joined).toEqual(whole)
    expect(joined.said).toBe(text)
  })

  it('is read by openai, completions', async () => {
    const { whole, joined, text } = await both(kinds.completions, {}, async (url) => {
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 })
      const parts = await client.completions.create({ model: 'x', prompt: 'x', stream: true })
      let said = ''
      const ids = new Set<string>()
      let finish: unknown
      for await (const part of parts) {
        ids.add(part.id)
        said += part.choices[0]?.text ?? ''
        finish ??= part.choices[0]?.finish_reason
      }
      return { said, ids: [...ids], finish }
    })
    expect(joined).toEqual(whole)
    expect(joined.ids).toHaveLength(1)
    expect(joined.said).toBe(text)
  })

  it('is read by openai, responses', async () => {
    const { whole, joined, text } = await both(kinds.responses, {}, async (url) => {
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 })
      const runner = client.responses.stream({ model: 'x', input: 'x' })
      const numbers: number[] = []
      for await (const event of runner) numbers.push(event.sequence_number)
      const { id, status, output_text, output, usage } = await runner.finalResponse()
      return { id, status, output_text, output, numbers, tokens: usage?.output_tokens }
    })
    expect(joined).toEqual(whole)
    expect(joined.output_text).toBe(text)
  })

  it.each(['llama3.2', 'qwen3'])('is read by @anthropic-ai/sdk with %s', async (model) => {
    const { whole, joined, text } = await both(kinds.messages, { model }, async (url) => {
      const client = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 })
      const runner = client.messages.stream({
        model,
        max_tokens: 9,
        messages: [{ role: 'user', content: 'x' }],
      })
      const { id, content, stop_reason, usage } = await runner.finalMessage()
      return { id, content, stop_reason, output: usage.output_tokens }
    })
    expect(joined).toEqual(whole)
    const said = joined.content.map((block) => (block.type === 'text' ? block.text : '')).join('')
    expect(said).toBe(text)
  })
})
