import { isCrashText } from '../../dialects/continuing/crash.ts'
import { errorTextIn } from '../failures.ts'

/** Ollama's own errors have some hundred bytes; llama-server's, passed on whole, a few thousand. */
export const errorLineBytesMax = 65_536
/** The sentence of an error stands at its beginning. */
const readBytesMax = 10_000
const errorStart = '{"error":'

/** Where the first line begins that says that it failed; -1 for none. `frames` are whole lines. */
export function errorLineIn(frames: Buffer): number {
  // Two bytes tell it apart from almost every line: a text of each would cost more.
  if (frames[1] === 0x22 && frames[2] === 0x65 && frames.toString('latin1', 0, 9) === errorStart)
    return 0
  // Nearly always it is one line, and to look for a byte costs a third of looking for a word.
  if (frames.indexOf(0x0a) === frames.length - 1) return -1
  const at = frames.indexOf(`\n${errorStart}`, 0, 'latin1')
  return at < 0 ? -1 : at + 1
}

/** True where it tells of a dead runner; anything else is the model's or the request's own, and nobody would do better. */
export function tellsOfCrash(errorLine: Buffer): boolean {
  return isCrashText(errorTextIn(errorLine.toString('utf8', 0, readBytesMax)))
}
