import { type Simulator, startSimulator } from '../../backends/simulator/server.ts'
import { answerTokensMax } from './backend.ts'
import { type Asking, model, questionOf, readBody } from './questions.ts'
import { openStream } from './raw-stream.ts'

/** In this process, and in a hurry. */
export function startFlawless(): Promise<Simulator> {
  return startSimulator({
    ...{ models: [model], slots: 64, answerTokens: answerTokensMax },
    ...{ decodeTokensPerSecond: 100_000, slowdownAlpha: 0, traceMax: 1 },
  })
}

/** The texts that a server gives on which nothing goes wrong, by the number of the stream. */
export async function wantedTexts(
  server: Simulator,
  count: number,
  asking: Asking,
): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) {
    const group = Array.from({ length: Math.min(32, count - texts.length) }, async (_, turn) => {
      const question = questionOf(texts.length + turn, asking)
      const { status, transfer, body } = await openStream(server.port, question).ended
      const { text, ends, errors } = readBody(question.path, body)
      if (status !== 200 || transfer !== 'whole' || ends !== 1 || errors.length > 0)
        throw new Error(`no whole answer to compare with: ${status} ${body.slice(0, 300)}`)
      return text
    })
    texts.push(...(await Promise.all(group)))
  }
  return texts
}
