import type { Simulator } from '../../backends/simulator/server.ts'
import type { Backend } from '../../src/core/backend.ts'
import type { SplitReport } from '../../src/split/order.ts'
import type { Fleet } from '../help/fleet.ts'
import { type CallOptions, type WholeAnswer, wholeCall } from '../help/open-call.ts'
import { model } from '../help/warm-fleet.ts'

/** Lines of an input, each different from every other. */
export const linesOf = (count: number, word = 'line') =>
  Array.from({ length: count }, (_, index) => `${word} ${index + 1}`)

/** What goes out for them, a line a part. */
export const partsOf = (count: number, word = 'line') =>
  linesOf(count, word).map((line, index) => (index < count - 1 ? `${line}\n` : line))

/** As many seats at every backend as its simulator has slots, known without asking. */
export const seats =
  (...slots: readonly number[]) =>
  (backend: Backend, index: number): Backend => ({
    ...backend,
    slots: slots[index] ?? slots.at(-1) ?? 1,
  })

/** The last line of an answer, or the whole of it. */
export interface SplitAnswerFields {
  readonly model: string
  readonly response: string
  readonly message?: { readonly role: string; readonly content: string }
  readonly done: boolean
  readonly done_reason?: string
  readonly prompt_eval_count: number
  readonly eval_count: number
  readonly total_duration: number
  readonly split: SplitReport
}

export interface SplitAnswered extends WholeAnswer {
  readonly fields: SplitAnswerFields
}

/** A whole answer of `/generate`, or of a native path. */
export async function askSplit(
  url: string,
  body: object,
  { path = '/generate', headers = {} }: { path?: string } & Pick<CallOptions, 'headers'> = {},
): Promise<SplitAnswered> {
  const answer = await wholeCall(url + path, { body: { model, ...body }, headers })
  return { ...answer, fields: JSON.parse(answer.text) as SplitAnswerFields }
}

/** The same as a stream: the pieces in the order in which they came, and the last line. */
export async function streamSplit(
  url: string,
  body: object,
  { path = '/generate', headers = {} }: { path?: string } & Pick<CallOptions, 'headers'> = {},
) {
  const answer = await wholeCall(url + path, { body: { model, stream: true, ...body }, headers })
  const lines = answer.lines.map((line) => JSON.parse(line) as SplitAnswerFields)
  const texts = lines.map(({ response, message }) => message?.content ?? response)
  return { ...answer, pieces: texts.slice(0, -1), text: texts.join(''), last: lines.at(-1)! }
}

/** The work that a simulator was given by clients' requests: loads, lists and probes are left out. */
export const worked = (simulator: Simulator) =>
  simulator
    .trace()
    .filter(({ route, bodyText }) => /\/(generate|chat)$/.test(route) && !isLoad(bodyText))

export const workedAll = (fleet: Fleet) => fleet.simulators.flatMap(worked)

/** What the simulators were asked, in the order of their arrival. */
export const promptsOf = (fleet: Fleet) =>
  workedAll(fleet)
    .toSorted((one, other) => one.arrivalWall - other.arrivalWall)
    .map(({ bodyText }) => (JSON.parse(bodyText ?? '{}') as { prompt: string }).prompt)

function isLoad(bodyText: string | undefined): boolean {
  const { prompt, messages } = JSON.parse(bodyText ?? '{}') as Record<string, unknown>
  return prompt === undefined && messages === undefined
}

/** What the parts are answered, whoever does it: a simulator's text depends on its prompt alone. */
export async function textsFor(
  simulator: Simulator,
  prompts: readonly string[],
  more: object = {},
): Promise<string[]> {
  return await Promise.all(
    prompts.map(async (prompt) => {
      const body = JSON.stringify({ model, prompt, stream: false, ...more })
      const answer = await fetch(`${simulator.url}/api/generate`, { method: 'POST', body })
      return ((await answer.json()) as { response: string }).response
    }),
  )
}

/** The contract of concat: the answers in the order of the input, a line break where one is missing. */
export const joined = (texts: readonly string[]) =>
  texts.reduce((all, text) => all + (all === '' || all.endsWith('\n') ? '' : '\n') + text, '')
