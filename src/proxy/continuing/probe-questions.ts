/** What the probes ask. The same everywhere, and short: a probe is to cost a second of one seat. */
const userText = 'Describe a river in spring in three plain sentences.'
/** The client's own raw prompts have no template, so this one has none either. */
export const rawText = 'In spring the river that comes down from the mountains is'

/** Enough for a seam with some words on either side. */
const tokens = 24
/** With thoughts before it the text comes later. */
const tokensWithThoughts = 96

/** One model as a client's stream used it, so that a probe of it finds the same runner. */
export interface ProbeModel {
  /** The name as it was asked for. */
  readonly model: string
  /** The options that made its runner, as raw JSON texts by name (`Ask.runner`): others would load it anew. */
  readonly runner: Readonly<Record<string, string>>
}

/** What an answer had before the place where the next shall go on. */
export interface Begun {
  readonly content: string
  readonly thinking: string
}

type Body = Readonly<Record<string, unknown>>

function bodyOf({ model, runner }: ProbeModel, tokensMax: number): Body {
  const { shift, ...others } = runner
  const options = Object.fromEntries(
    Object.entries(others).map(([name, raw]) => [name, JSON.parse(raw) as unknown]),
  )
  return {
    model,
    stream: false,
    ...(shift === undefined ? {} : { shift: JSON.parse(shift) as unknown }),
    options: { ...options, temperature: 0, seed: 7, num_predict: tokensMax },
  }
}

/** `think`: undefined for models that can not. */
export function chatBody(
  model: ProbeModel,
  think: boolean | undefined,
  begun: Begun | undefined,
): Body {
  return {
    ...bodyOf(model, think ? tokensWithThoughts : tokens),
    ...(think === undefined ? {} : { think }),
    messages: messagesOf(begun),
  }
}

/** A server that does not know the field answers instead: then with one token. */
export function renderBody(
  model: ProbeModel,
  think: boolean | undefined,
  begun: Begun | undefined,
): Body {
  return {
    ...bodyOf(model, 1),
    ...(think === undefined ? {} : { think }),
    messages: messagesOf(begun),
    _debug_render_only: true,
  }
}

export function rawBody(model: ProbeModel, prompt: string): Body {
  return { ...bodyOf(model, tokens), prompt, raw: true }
}

function messagesOf(begun: Begun | undefined): Body[] {
  const asked = { role: 'user', content: userText }
  if (begun === undefined) return [asked]
  const { content, thinking } = begun
  return [asked, { role: 'assistant', content, ...(thinking === '' ? {} : { thinking }) }]
}
