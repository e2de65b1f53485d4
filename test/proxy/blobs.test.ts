import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { deafObserver } from '../../src/core/observer.ts'
import { type BodyFacts, scanBody } from '../../src/dialects/scan.ts'
import { Manager } from '../../src/proxy/manage/manager.ts'
import type { Wire, WireListener } from '../../src/proxy/wire.ts'
import { handClock } from '../help/clock.ts'
import { settingsFrom } from '../help/fleet.ts'
import { scratchFolder } from '../help/scratch.ts'
import { backendOf, poolOf } from '../pool/help.ts'
import { bodyOf, exchangeFor, recordingClient } from './help.ts'

interface Sent {
  readonly backend: string
  readonly path: string
  readonly hears: WireListener
  aborted: boolean
}

const bytes = Buffer.from('weights')
const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** One upload to a and b, which has come whole; the backends' every byte is the test's. */
function uploadTo() {
  const folder = scratchFolder()
  const clock = handClock()
  const sent: Sent[] = []
  const noticed: string[] = []
  const wire: Wire = {
    send({ name }, { path }, hears) {
      const call: Sent = { backend: name, path, hears, aborted: false }
      sent.push(call)
      const abort = () => {
        call.aborted = true
      }
      return { pause() {}, resume() {}, abort }
    },
    stats: () => ({ open: 0, idle: 0 }),
    keepSpare() {},
    keepOnly() {},
    close: () => Promise.resolve(),
  }
  const manager = new Manager({
    pool: poolOf([backendOf('a'), backendOf('b')], { clock }),
    wire,
    clock,
    observer: deafObserver({ noticed: (sentence) => void noticed.push(sentence) }),
    settings: settingsFrom('', folder.path),
    hop: 'hop',
    refresh: () => Promise.resolve(),
  })
  const client = recordingClient()
  const arriving = {
    declaredBytes: bytes.length,
    each: (act: (chunk: Buffer) => Promise<void> | undefined) => act(bytes),
  }
  const taken = manager.takeBlob(exchangeFor(client), digest, arriving)
  // Looked at later, and by then it may have failed.
  taken.catch(() => {})
  return {
    sent,
    noticed,
    client,
    taken,
    /** The backends that a model made of the blob is asked of. */
    async askedToCreate(): Promise<string[]> {
      sent.length = 0
      const body = JSON.stringify({ model: 'made', files: { 'made.gguf': digest } })
      const leaving = recordingClient()
      const exchange = exchangeFor(leaving, { body: bodyOf(body), path: '/api/create' })
      const facts = scanBody(Buffer.from(body)) as BodyFacts
      const creating = manager.create(exchange, facts, { line() {} })
      await settled()
      leaving.leave()
      await creating.catch(() => {})
      return sent.map(({ backend }) => backend)
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

const settled = () => new Promise(setImmediate)

function answer({ hears }: Sent, status: number): void {
  hears.head(status, [])
  hears.ended()
}

describe('an upload whose client leaves', () => {
  // It was heard only while it sent. An upload that was whole waited for its backends behind a client that had long
  // gone, with a connection each, and for ever where one did not answer.
  it('is given up at every backend that has not answered', async () => {
    using upload = uploadTo()
    await settled()
    expect(upload.sent.map(({ path }) => path)).toEqual(Array(2).fill(`/api/blobs/${digest}`))
    upload.client.leave()
    await expect(upload.taken).rejects.toThrow()
    expect(upload.sent.map(({ aborted }) => aborted)).toEqual([true, true])
    // It is nobody's failure.
    expect(upload.noticed).toEqual([])
  })

  it('stays where it has come to its end, and is found there', async () => {
    using upload = uploadTo()
    await settled()
    const [a, b] = upload.sent
    answer(a!, 201)
    upload.client.leave()
    await expect(upload.taken).rejects.toThrow()
    expect(b!.aborted).toBe(true)
    expect(await upload.askedToCreate()).toEqual(['a'])
  })
})

describe('an answer to an upload', () => {
  const mib = 1_048_576

  // Nobody counted what was held of it. A backend that answered without end had a gigabyte of it in our memory
  // within two seconds.
  it('that does not end is cut off, and is a failure', async () => {
    using upload = uploadTo()
    await settled()
    const [a, b] = upload.sent
    a!.hears.head(400, [])
    a!.hears.data(Buffer.alloc(mib))
    expect(a!.aborted).toBe(false)
    a!.hears.data(Buffer.alloc(1))
    expect(a!.aborted).toBe(true)
    answer(b!, 201)
    expect(await upload.taken).toBe(201)
    expect(upload.noticed).toEqual(['a blob did not reach every backend'])
  })

  it('that does not end says nothing good either, whatever its status', async () => {
    using upload = uploadTo()
    await settled()
    for (const { hears } of upload.sent) {
      hears.head(200, [])
      hears.data(Buffer.alloc(mib + 1))
    }
    await expect(upload.taken).rejects.toThrow(
      'no backend took the blob: its answer is far too large',
    )
  })
})
