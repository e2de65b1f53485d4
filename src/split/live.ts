import { Failure } from '../core/failure.ts'
import type { AskInside, InnerAnswer, InnerCall, InnerCallRunning } from '../core/inner-call.ts'
import { lineOf, sentenceIn } from './answers.ts'

export interface LiveAnswer {
  readonly answer: InnerAnswer
  readonly reason: 'stop' | 'length'
}

/**
 * A run of one part, for a client that reads as it comes: there is nothing to put in order, so its lines are let out
 * one by one. Throws a Failure in the backend's or the proxy's own words.
 */
export async function askLive(
  ask: AskInside,
  call: Omit<InnerCall, 'onFrames'>,
  letOut: (piece: string) => Promise<void> | undefined,
  started: (running: InnerCallRunning) => void,
): Promise<LiveAnswer> {
  let last: 'stop' | 'length' | undefined
  let failed: Failure | undefined
  /** The client still reads; until then its backend waits as well. */
  let writing: Promise<void> | undefined
  const say = (piece: string) => {
    const wait = writing ? writing.then(() => letOut(piece)) : letOut(piece)
    const mine = wait?.then(() => {
      if (writing === mine) writing = undefined
    })
    writing = mine
  }
  const running = ask({
    ...call,
    onFrames: (frames) => {
      // Frames are whole lines, so no character is cut in two.
      for (const line of Buffer.from(frames).toString('utf8').split('\n')) {
        const said = lineOf(line)
        if (!said) continue
        if ('error' in said) failed = new Failure(said.code, said.error)
        else {
          if (said.text !== '') say(said.text)
          if (said.done) last = said.reason
        }
      }
      return writing
    },
  })
  started(running)
  const answer = await running.answer
  await writing
  if (failed) throw failed
  if (answer.status === 200 && last !== undefined) return { answer, reason: last }
  const sentence = sentenceIn(answer.body, answer.status)
  const clientFault = answer.status >= 400 && answer.status < 500
  throw new Failure(answer.code ?? (clientFault ? 'request_invalid' : 'part_failed'), sentence)
}
