import { parentPort, workerData } from 'node:worker_threads'
import { CannotCut, PartTooLarge } from './cut/splitter.ts'
import { cutText } from './cut/splitters.ts'
import { rawTokens } from './cut/tokens-of.ts'
import type { CutAsideJob, CutAsideResult } from './cut-aside.ts'

/** The other side of `cut-aside`: cuts one text, says what came of it, and ends. */
const { by, text, wishes, tokenFactor } = workerData as CutAsideJob

parentPort!.postMessage(await cut())

async function cut(): Promise<CutAsideResult> {
  try {
    const tokensOf = (piece: string) => rawTokens(piece) * tokenFactor
    return { kind: 'parts', parts: await cutText(by, text, { ...wishes, tokensOf }) }
  } catch (error) {
    // An error loses its class on the way through a port.
    if (error instanceof PartTooLarge) {
      const { message, label, tokens } = error
      return { kind: 'tooLarge', message, label, tokens }
    }
    if (error instanceof CannotCut) return { kind: 'cannotCut', message: error.message }
    throw error
  }
}
