import { inOrder, type Manner, mannerOf, type Place, type Ways } from './manner.ts'
import {
  type Begun,
  chatBody,
  type ProbeModel,
  rawBody,
  rawText,
  renderBody,
} from './probe-questions.ts'

/** How a model goes on, by the place where an answer broke off. */
export type Measured = Readonly<Record<Place, Ways>>

export interface Probed extends ProbeModel {
  /** What its capabilities say; where they say nothing it is not asked to think. */
  readonly canThink: boolean
}

/** Asks one server, always the same; gives the parsed answer of a status of 200 and throws for any other. */
export type AskProbe = (path: '/api/chat' | '/api/generate', body: object) => Promise<unknown>

interface Said extends Begun {
  readonly rendered: string | undefined
}

/** A seam needs something on either side to be judged by. */
const sideCharsMin = 8

/**
 * Finds out how a model goes on with an answer that was begun, by having it say a short deterministic one whole and
 * then from a place in its middle. At most 15 questions, most of 24 tokens; 6 where an exact way is found at once. A
 * model that thinks is asked without and with its thoughts (up to 96 tokens then). Never tried: a raw prompt behind
 * thoughts, since where those end is the template's business.
 */
export async function measure(model: Probed, ask: AskProbe): Promise<Measured> {
  const mouth = mouthOf(model, ask)
  const quiet = model.canThink ? false : undefined
  const whole = await mouth.chat(quiet)
  const repeated = await mouth.chat(quiet)
  const canRestart = isSame(whole, repeated)
  const plain = await measurePlain(mouth, whole.content, quiet)
  const raw = await measureRaw(mouth)
  const { thought, afterThought } = model.canThink
    ? await measureThinking(mouth)
    : { thought: undefined, afterThought: undefined }
  const ways = (found: Found): Ways => found && inOrder(found, canRestart)
  return {
    plain: ways(plain),
    thought: ways(thought),
    afterThought: ways(afterThought),
    raw: ways(raw),
  }
}

/** Undefined: there was no text to measure by. */
type Found = Parameters<typeof inOrder>[0] | undefined

interface Mouth {
  chat(think: boolean | undefined, begun?: Begun): Promise<Said>
  render(think: boolean | undefined, begun?: Begun): Promise<string | undefined>
  raw(prompt: string): Promise<string>
}

function mouthOf(model: Probed, ask: AskProbe): Mouth {
  return {
    chat: async (think, begun) => readSaid(await ask('/api/chat', chatBody(model, think, begun))),
    render: async (think, begun) =>
      readSaid(await ask('/api/chat', renderBody(model, think, begun))).rendered,
    raw: async (prompt) => readSaid(await ask('/api/generate', rawBody(model, prompt))).content,
  }
}

/** Two empty answers are no sign of anything. */
function isSame(one: Said, other: Said): boolean {
  if (one.content === '' && one.thinking === '') return false
  return one.content === other.content && one.thinking === other.thinking
}

async function measurePlain(
  mouth: Mouth,
  whole: string,
  think: boolean | undefined,
): Promise<Found> {
  const trailing = await tryCuts(whole, async (content) => {
    const said = await mouth.chat(think, { content, thinking: '' })
    return said.thinking.trim() === '' ? said.content : ''
  })
  if (trailing === undefined) return undefined
  if (trailing.manner === 'exact')
    return [{ method: 'trailing', ...trailing, trims: await trims(mouth, whole, think) }]
  const rendered = await mouth.render(think)
  const raw =
    rendered === undefined
      ? undefined
      : await tryCuts(whole, (partial) => mouth.raw(rendered + partial))
  const found = { method: 'trailing', ...trailing } as const
  return raw ? [found, { method: 'raw', ...raw }] : [found]
}

/** Some templates trim what they are given: then white space at the end of an answer is said once more. */
async function trims(mouth: Mouth, whole: string, think: boolean | undefined): Promise<boolean> {
  const content = `${whole.slice(0, cutsOf(whole)[0]).trimEnd()}\n\n`
  const rendered = await mouth.render(think, { content, thinking: '' })
  return (
    rendered !== undefined && !rendered.endsWith(content) && rendered.endsWith(content.trimEnd())
  )
}

async function measureRaw(mouth: Mouth): Promise<Found> {
  const whole = await mouth.raw(rawText)
  const raw = await tryCuts(whole, (partial) => mouth.raw(rawText + partial))
  return raw && [{ method: 'raw', ...raw }]
}

async function measureThinking(mouth: Mouth): Promise<{ thought: Found; afterThought: Found }> {
  const whole = await mouth.chat(true)
  const thought = await tryCuts(
    whole.thinking,
    async (thinking) => (await mouth.chat(true, { content: '', thinking })).thinking,
  )
  const afterThought =
    whole.thinking === ''
      ? undefined
      : await tryCuts(whole.content, async (content) => {
          const said = await mouth.chat(true, { content, thinking: whole.thinking })
          // One that thinks again says another answer, or the whole of it once more.
          return said.thinking.trim() === '' ? said.content : ''
        })
  return {
    thought: thought && [{ method: 'trailing', ...thought }],
    afterThought: afterThought && [{ method: 'trailing', ...afterThought }],
  }
}

/**
 * Whether the template leaves a trailing assistant message open, by its rendering; undefined: the server does not say.
 * One question that generates nothing; it goes through the server's scheduler, so the model should be in memory.
 */
export async function rendersOpen(
  model: ProbeModel,
  think: boolean | undefined,
  begun: Begun,
  ask: AskProbe,
): Promise<boolean | undefined> {
  const { rendered } = readSaid(await ask('/api/chat', renderBody(model, think, begun)))
  const end = begun.content === '' ? begun.thinking : begun.content
  return rendered?.endsWith(end)
}

/** Two places in a text: a near call between two words that comes out differently once is no manner. */
async function tryCuts(
  whole: string,
  goOn: (partial: string) => Promise<string>,
): Promise<{ manner: Manner | undefined } | undefined> {
  const cuts = cutsOf(whole)
  if (cuts.length === 0) return undefined
  for (const cut of cuts) {
    const partial = whole.slice(0, cut)
    const manner = mannerOf(whole, partial, await goOn(partial))
    if (manner !== undefined) return { manner }
  }
  return { manner: undefined }
}

/** Ends of words near the half and near the third of a text: where tokens end, and streams break. */
function cutsOf(whole: string): number[] {
  const ends = [...whole.matchAll(/[\p{L}\p{N}]+(?=\s)/gu)]
    .map((match) => match.index + match[0].length)
    .filter((end) => end >= sideCharsMin && whole.length - end >= sideCharsMin)
  const nearest = (to: number) =>
    ends.toSorted((one, other) => Math.abs(one - to) - Math.abs(other - to))[0]
  return [...new Set([nearest(whole.length / 2), nearest(whole.length / 3)])].filter(
    (end) => end !== undefined,
  )
}

function readSaid(answer: unknown): Said {
  const whole = recordOf(answer)
  const message = recordOf(whole['message'])
  return {
    content: textOf(message['content']) ?? textOf(whole['response']) ?? '',
    thinking: textOf(message['thinking']) ?? textOf(whole['thinking']) ?? '',
    rendered: textOf(recordOf(whole['_debug_info'])['rendered_template']),
  }
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)
    : {}
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
