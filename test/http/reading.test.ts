import { zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { LimitSettings } from '../../src/core/settings.ts'
import { findRoute, type Route } from '../../src/dialects/routes.ts'
import type { Visit } from '../../src/http/front.ts'
import { readRequest } from '../../src/http/reading.ts'
import { BodyBudget, ClientGone } from '../../src/proxy/body.ts'
import { recordingClient } from '../proxy/help.ts'

const mib = 1_048_576
const nothing = { memoryBytes: 0, diskBytes: 0 }

function budgetOf(bodiesMemoryBytesMax: number): BodyBudget {
  const limits: LimitSettings = {
    bodyBytesMax: 32 * mib,
    bodyInMemoryBytesMax: mib,
    bodiesMemoryBytesMax,
    bodiesDiskBytesMax: mib,
    headMsMax: 1_000,
  }
  return new BodyBudget(limits, '/nowhere')
}

const found = findRoute('POST', '/v1/chat/completions')
const route = (found as { readonly route: Route }).route

/** A request that says little in many bytes: packed it is small. */
function packed(unpackedBytes: number): Buffer {
  const content = 'x'.repeat(unpackedBytes)
  return zstdCompressSync(JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] }))
}

/** A packed request that is being read; its client can leave. */
function reading(body: Buffer, budget: BodyBudget) {
  const client = recordingClient()
  const visit = {
    client,
    request: {
      headers: { 'content-encoding': 'zstd' },
      body: {
        declaredBytes: body.length,
        each: (act: (chunk: Buffer) => Promise<void> | undefined) => void act(body),
      },
    },
  } as unknown as Visit
  const read = Promise.resolve(readRequest(visit, route, budget))
  read.catch(() => {})
  return { client, read }
}

describe('a packed body', () => {
  it('has its model found in it, and is held as it came', async () => {
    const budget = budgetOf(8 * mib)
    const body = packed(mib)
    const read = await reading(body, budget).read
    expect(read).toMatchObject({ ok: true, ask: { modelText: 'm', modelAt: undefined } })
    expect(budget.held).toEqual({ memoryBytes: body.length, diskBytes: 0 })
  })

  // Fifty small bodies that held 19 MB each were unpacked at once: half a second of standstill, half a gigabyte of
  // memory. Only their packed bytes had been counted.
  it('finds no room where there is none for what it holds, and leaves nothing counted', async () => {
    const budget = budgetOf(2 * mib)
    await expect(reading(packed(3 * mib), budget).read).rejects.toMatchObject({
      code: 'body_budget_full',
      status: 503,
    })
    expect(budget.held).toEqual(nothing)
  })

  it('waits while two others are unpacked, so that many need no more room than two', async () => {
    const budget = budgetOf(9 * mib)
    const body = packed(4 * mib)
    const all = Array.from({ length: 8 }, () => reading(body, budget).read)
    for (const read of await Promise.all(all)) {
      expect(read).toMatchObject({ ok: true })
      if (read.ok) read.body[Symbol.dispose]()
    }
    expect(budget.held).toEqual(nothing)
  })

  it('of a client that leaves is forgotten at once, in its turn and before it', async () => {
    const budget = budgetOf(64 * mib)
    const ended: string[] = []
    const body = packed(8 * mib)
    const [first, second, third] = ['first', 'second', 'third'].map((name) => {
      const each = reading(body, budget)
      each.read.catch(() => {}).finally(() => ended.push(name))
      return each
    })
    third!.client.leave()
    await expect(third!.read).rejects.toBeInstanceOf(ClientGone)
    expect(ended).toEqual(['third'])
    first!.client.leave()
    await expect(first!.read).rejects.toBeInstanceOf(ClientGone)
    expect(ended).toEqual(['third', 'first'])
    await expect(second!.read).resolves.toMatchObject({ ok: true })
    expect(budget.held).toEqual({ memoryBytes: body.length, diskBytes: 0 })
  })
})
