import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/core/failure.ts'
import type {
  AskInside,
  InnerAnswer,
  InnerCall,
  InnerCallRunning,
} from '../../src/core/inner-call.ts'
import { askLive } from '../../src/split/live.ts'

const call: Omit<InnerCall, 'onFrames'> = {
  id: 'run.1',
  path: '/api/generate',
  body: Buffer.from('{}'),
  tenant: 't',
  priority: 'batch',
  labels: [],
  work: '',
  deadlineMs: undefined,
  except: new Set(),
}

/** Answers with these frames, then with this status. */
const asks =
  (frames: readonly string[], answer: Partial<InnerAnswer> = {}): AskInside =>
  ({ onFrames }) => {
    const answered = (async () => {
      for (const frame of frames) {
        await Promise.resolve()
        onFrames?.(Buffer.from(frame))
      }
      return {
        status: 200,
        body: Buffer.alloc(0),
        code: undefined,
        backend: 'a',
        attempts: 1,
        waitMs: 0,
        servedMs: 1,
        figures: undefined,
        ...answer,
      }
    })()
    return { backend: 'a', onSeatSinceMs: 0, answer: answered, cancel() {} }
  }

async function live(ask: AskInside, letOut?: (piece: string) => Promise<void>) {
  const pieces: string[] = []
  const started: InnerCallRunning[] = []
  const answer = await askLive(
    ask,
    call,
    letOut ??
      ((piece) => {
        pieces.push(piece)
        return undefined
      }),
    (running) => started.push(running),
  )
  return { pieces, started, ...answer }
}

const piece = (response: string) => `${JSON.stringify({ response, done: false })}\n`
const end = '{"response":"","done":true,"done_reason":"length"}\n'

describe('a run of one part that is read as it comes', () => {
  it('lets out each piece, several lines in one frame too, and nothing for an empty one', async () => {
    const { pieces, reason, started } = await live(asks([piece('é'), piece('b') + piece(''), end]))
    expect([pieces, reason, started.length]).toEqual([['é', 'b'], 'length', 1])
  })

  it('is over when the client has taken the last piece, in order however slow it is', async () => {
    const taken: string[] = []
    await live(asks([piece('a'), piece('b'), end]), async (each) => {
      await new Promise((resolve) => setTimeout(resolve, each === 'a' ? 20 : 0))
      taken.push(each)
    })
    expect(taken).toEqual(['a', 'b'])
  })

  it.each<[string, AskInside, object]>([
    [
      'a line of error',
      asks([piece('a'), '{"error":"it broke","code":"answer_cut"}\n']),
      { code: 'answer_cut', message: 'it broke' },
    ],
    [
      'a stream without its last line',
      asks([piece('a')]),
      { code: 'part_failed', message: 'the answer could not be read' },
    ],
    [
      'our own refusal',
      asks([], { status: 503, code: 'stopping', body: Buffer.from('{"detail":"we stop"}') }),
      { code: 'stopping', message: 'we stop' },
    ],
    [
      "a backend's refusal of the request",
      asks([], { status: 400, body: Buffer.from('{"error":"bad options"}') }),
      { code: 'request_invalid', message: 'bad options' },
    ],
    [
      "a backend's failure",
      asks([], { status: 500, body: Buffer.from('{"error":"no luck"}') }),
      { code: 'part_failed', message: 'no luck' },
    ],
  ])('fails with %s, in its own words', async (_name, ask, failure) => {
    const error = await live(ask).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(Failure)
    expect(error).toMatchObject(failure)
  })
})

// The pieces of a fast backend were put down for a slow client without a bound: nobody told the backend to wait.
it('a client that does not read makes the backend wait, and nobody waits for one that does', async () => {
  const reading: (() => void)[] = []
  const waits: (Promise<void> | undefined)[] = []
  const slow: AskInside = ({ onFrames }) => {
    const answer = (async () => {
      for (const frame of [piece('a'), piece('b'), end]) waits.push(onFrames!(Buffer.from(frame)))
      for (const go of reading) go()
      await Promise.all(waits)
      reading.at(-1)!()
      return { status: 200, body: Buffer.alloc(0), code: undefined, backend: 'a' } as InnerAnswer
    })()
    return { backend: 'a', onSeatSinceMs: 0, answer, cancel() {} }
  }
  const heard: string[] = []
  const result = live(slow, (text) => {
    heard.push(text)
    if (heard.length > 1) return Promise.resolve()
    return new Promise<void>((resolve) => reading.push(resolve))
  })
  expect(waits.every((wait) => wait instanceof Promise)).toBe(true)
  expect(heard).toEqual(['a'])
  await result
  expect(heard).toEqual(['a', 'b'])

  const quick: (Promise<void> | undefined)[] = []
  const eager: AskInside = (asked) =>
    asks([piece('a'), end])({
      ...asked,
      onFrames(frames) {
        const wait = asked.onFrames!(frames)
        quick.push(wait)
        return wait
      },
    })
  await live(eager)
  expect(quick).toEqual([undefined, undefined])
})
