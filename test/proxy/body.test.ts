import { readdirSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { LimitSettings } from '../../src/core/settings.ts'
import { NodeArrived } from '../../src/http/node-door/arrived.ts'
import {
  BodyBudget,
  ClientGone,
  type HeldBody,
  SpoolTrouble,
  takeBody,
} from '../../src/proxy/body.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

const limits: LimitSettings = {
  bodyBytesMax: 1_000,
  bodyInMemoryBytesMax: 100,
  bodiesMemoryBytesMax: 250,
  bodiesDiskBytesMax: 1_500,
  headMsMax: 1_000,
}

function desk() {
  const folder = scratchFolder()
  const budget = new BodyBudget(limits, folder.path)
  const spool = join(folder.path, 'spool', String(process.pid))
  const files = () => {
    try {
      return readdirSync(spool)
    } catch {
      return []
    }
  }
  /** A request that sends when it is told to; without a length it is chunked. */
  const request = (length?: number) => {
    const stream = new PassThrough()
    const headers =
      length === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': `${length}` }
    const seen: Buffer[] = []
    const arrived = new NodeArrived(
      Object.assign(stream, { headers }) as unknown as IncomingMessage,
    )
    const take = async () => await takeBody(arrived, budget, (chunk) => void seen.push(chunk))
    const taken = take()
    taken.catch(() => {})
    return { stream, taken, seen: () => Buffer.concat(seen).toString() }
  }
  return { budget, spool, files, request, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

async function textOf(body: HeldBody): Promise<string> {
  const opened = body.open()
  if (opened instanceof Uint8Array) return Buffer.from(opened).toString()
  const pieces: Uint8Array[] = []
  for await (const piece of opened) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

const nothing = { memoryBytes: 0, diskBytes: 0 }

describe('a body', () => {
  it.each([50, undefined])('that is small stays in memory (length %s)', async (length) => {
    using at = desk()
    const { stream, taken, seen } = at.request(length)
    stream.write('x'.repeat(20))
    stream.end('y'.repeat(30))
    const body = await taken
    expect(at.budget.held).toEqual({ memoryBytes: 50, diskBytes: 0 })
    expect(await textOf(body)).toBe(seen())
    expect(at.files()).toEqual([])
    body[Symbol.dispose]()
    body[Symbol.dispose]()
    expect(at.budget.held).toEqual(nothing)
  })

  it.each([500, undefined])(
    'that is large stands in a file, to be read as often as needed (length %s)',
    async (length) => {
      using at = desk()
      const { stream, taken, seen } = at.request(length)
      for (let each = 0; each < 10; each++) stream.write(`${each}`.repeat(50))
      stream.end()
      const body = await taken
      expect(body.bytes).toBeUndefined()
      expect(at.budget.held).toEqual({ memoryBytes: 0, diskBytes: 500 })
      expect(at.files()).toHaveLength(1)
      for (let times = 0; times < 3; times++) expect(await textOf(body)).toBe(seen())
      body[Symbol.dispose]()
      expect(at.budget.held).toEqual(nothing)
      await until(() => at.files().length === 0)
    },
  )

  it('over the limit is refused by its length, or at the byte too many', async () => {
    using at = desk()
    await expect(at.request(1_001).taken).rejects.toMatchObject({ code: 'body_too_large' })
    const { stream, taken } = at.request()
    stream.write('x'.repeat(1_000))
    stream.write('x')
    await expect(taken).rejects.toMatchObject({ code: 'body_too_large' })
    expect(at.budget.held).toEqual(nothing)
    await until(() => at.files().length === 0)
  })

  it('of a client that leaves is forgotten, wherever it stood', async () => {
    using at = desk()
    for (const bytes of [20, 600]) {
      const { stream, taken } = at.request(bytes + 1)
      stream.write('x'.repeat(bytes))
      await until(() => at.budget.held.memoryBytes + at.budget.held.diskBytes > 0)
      stream.destroy()
      await expect(taken).rejects.toBeInstanceOf(ClientGone)
      expect(at.budget.held).toEqual(nothing)
    }
    await until(() => at.files().length === 0)
  })

  it('has its room kept from the start where its length is known', async () => {
    using at = desk()
    const first = at.request(100)
    const second = at.request(100)
    await expect(at.request(100).taken).rejects.toMatchObject({
      code: 'body_budget_full',
      status: 503,
    })
    await expect(at.request(900).stream.destroyed).toBe(false)
    await expect(at.request(900).taken).rejects.toMatchObject({ code: 'body_budget_full' })
    first.stream.destroy()
    await expect(first.taken).rejects.toBeInstanceOf(ClientGone)
    const third = at.request(100)
    third.stream.end('x'.repeat(100))
    expect((await third.taken).size).toBe(100)
    second.stream.destroy()
  })

  it('whose file is gone says that it is our trouble', async () => {
    using at = desk()
    const { stream, taken } = at.request()
    stream.end('x'.repeat(500))
    const body = await taken
    rmSync(at.spool, { recursive: true })
    await expect(textOf(body)).rejects.toBeInstanceOf(SpoolTrouble)
    body[Symbol.dispose]()
    expect(at.budget.held).toEqual(nothing)
  })

  it('for which no file can be made is refused, and the process lives', async () => {
    const budget = new BodyBudget(limits, '/dev/null/nowhere')
    const stream = new PassThrough()
    const headers = { 'content-length': '500' }
    const request = Object.assign(stream, { headers }) as unknown as IncomingMessage
    const taken = Promise.resolve(takeBody(new NodeArrived(request), budget, () => {}))
    stream.end('x'.repeat(500))
    await expect(taken).rejects.toMatchObject({ code: 'body_budget_full', status: 503 })
    expect(budget.held).toEqual(nothing)
  })
})
