import { type Body, completeOf, hasFormat, stopsOf } from './asked.ts'
import type { Asked, Continuing, Emitted } from './continuing.ts'
import { type Figures, nativeFigures } from './figures.ts'
import { type Hear, type Heard, legsIn, type Piece, silence, type Writer } from './later-leg.ts'
import {
  asFields,
  type Fields,
  fieldsAt,
  lineOf,
  linesOf,
  listAt,
  numberAt,
  objectOf,
  textAt,
} from './reading.ts'
import { picked } from './requests.ts'
import { Tally } from './tally.ts'

/** What both of Ollama's own routes have in common: lines, figures, and how a later leg's lines are written. */

export type NativeRoute = 'chat' | 'generate'

type Opening = { readonly model?: string }

export function readNative(frames: readonly Buffer[]): Emitted {
  const tally = new Tally()
  let model: string | undefined
  for (const { data } of frames.flatMap(linesOf)) {
    const fields = objectOf(data)
    if (fields === undefined) {
      tally.unreadable()
      continue
    }
    if (typeof fields['model'] === 'string') model ??= fields['model']
    const said = saidIn(fields)
    if (said.calls.length > 0) tally.call()
    tally.piece(said.text, said.thinking)
  }
  const opening: Opening = model === undefined ? {} : { model }
  return tally.emitted(opening)
}

/** The text, thoughts and calls of a line of either route. */
function saidIn(fields: Fields) {
  const message = fieldsAt(fields, 'message')
  return {
    text: message === undefined ? textAt(fields, 'response') : textAt(message, 'content'),
    thinking: textAt(message ?? fields, 'thinking'),
    calls: listAt(message ?? fields, 'tool_calls').map((call) => asFields(call) ?? {}),
  }
}

/** Lines of `/api/chat` and of `/api/generate`. */
export const hearNative: Hear = function* (frames) {
  for (const { data, bytes } of linesOf(frames)) {
    const fields = objectOf(data)
    if (fields === undefined) {
      yield { ...silence, garbled: true, fields: {}, bytes }
      return
    }
    const { error } = fields
    yield {
      ...silence,
      ...saidIn(fields),
      logprobs: listAt(fields, 'logprobs'),
      done:
        fields['done'] === true
          ? { reason: textAt(fields, 'done_reason') || 'stop', figures: nativeFigures(fields) }
          : undefined,
      error: error === undefined || error === null ? undefined : String(error),
      fields,
      bytes,
    }
  }
}

/** Go's names for the figures, in Go's order; a zero is left out, as Go does. Source: api/types.go, Metrics. */
function figureFields(figures: Figures): Body {
  const named = {
    total_duration: figures.totalNs,
    load_duration: figures.loadNs,
    prompt_eval_count: figures.promptTokens,
    prompt_eval_duration: figures.promptNs,
    eval_count: figures.outputTokens,
    eval_duration: figures.outputNs,
  }
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value > 0))
}

/** Writes lines of one route from lines of the same or of the other. `whole`: the leg says all of the answer. */
export function nativeWriter(route: NativeRoute, emitted: Emitted, whole: boolean): Writer {
  let { model } = emitted.opening as Opening
  // Our own clock is no source for a date of Ollama's; a line of our own has the date of the last one that was heard.
  let createdAt = ''

  const isOwn = (fields: Fields) => (route === 'chat' ? 'message' in fields : 'response' in fields)
  /** A line's own fields, in Go's order. */
  const line = (fields: Fields | undefined, piece: Piece, more: Body): Body => {
    const thinking = piece.thinking === '' ? {} : { thinking: piece.thinking }
    const { tool_calls } = fieldsAt(fields, 'message') ?? {}
    const calls = tool_calls === undefined ? {} : { tool_calls }
    const said =
      route === 'generate'
        ? { response: piece.text, ...thinking }
        : { message: { role: 'assistant', content: piece.text, ...thinking, ...calls } }
    const remote = picked({ ...fields }, ['remote_model', 'remote_host'])
    return { model, ...remote, created_at: createdAt, ...said, ...more }
  }
  /** Whether a line can go out as it came. */
  const fits = ({ fields }: Heard) => isOwn(fields) && fields['model'] === model

  return {
    hears({ fields }) {
      createdAt = textAt(fields, 'created_at') || createdAt
      model ??= textAt(fields, 'model')
    },
    piece(piece, heard) {
      const same =
        heard !== undefined && piece.text === heard.text && piece.thinking === heard.thinking
      if (same && heard.done === undefined && heard.calls.length === 0 && fits(heard))
        return heard.bytes
      // Probabilities of a text that was cut would be those of another one.
      const logprobs = same && heard.logprobs.length > 0 ? { logprobs: heard.logprobs } : {}
      const { message: _, ...fields } = heard?.fields ?? {}
      return lineOf(line(fields, piece, { done: false, ...logprobs }))
    },
    calls(heard) {
      const alone = heard.text === '' && heard.thinking === ''
      return alone && fits(heard)
        ? heard.bytes
        : lineOf(line(heard.fields, nothing, { done: false }))
    },
    end(ended, merged, heard) {
      const context = whole ? heard?.fields['context'] : undefined
      return lineOf(
        line(heard?.fields, nothing, {
          done: true,
          done_reason: ended.reason,
          // The numbers stand for the whole conversation only where one leg has said all of it.
          ...(context === undefined ? {} : { context }),
          ...figureFields(merged),
        }),
      )
    },
  }
}

const nothing: Piece = { text: '', thinking: '' }

/** What of a native request the later legs must know. */
export function askedNative(body: Body, emitted: Emitted): Asked {
  const options = optionsOf(body)
  const limit = numberAt(options, 'num_predict')
  return {
    stops: stopsOf(options['stop']),
    usage: false,
    complete: completeOf(limit, emitted, false),
  }
}

export const optionsOf = (body: Body): Body => ({ ...fieldsAt(body, 'options') })

export const hasGrammar = (body: Body) => hasFormat(body['format'])

/** `think` as the client has it, a level or not; undefined: nothing was said, and a model that can think will. */
export function wantsThoughts(body: Body): boolean | undefined {
  const { think } = body
  return think === undefined || think === null ? undefined : think !== false
}

export const hasImages = (value: unknown) => listAt(asFields(value), 'images').length > 0

/** The later legs of either native route. */
export function nativeLegs(route: NativeRoute): Continuing['leg'] {
  return legsIn({
    family: 'ollama',
    op: route,
    framing: 'ndjson',
    hear: () => hearNative,
    writer: (emitted, { method }) => nativeWriter(route, emitted, method === 'restart'),
  })
}
