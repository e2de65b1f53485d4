import type { Emitted } from './continuing.ts'
import { usageFigures } from './figures.ts'
import { type Hear, type Heard, silence } from './later-leg.ts'
import { errorIn, eventsOf, type Fields, fieldsAt, numberAt, objectOf, textAt } from './reading.ts'
import { Tally } from './tally.ts'

/** How the events of Responses are read: numbered, around items that are opened, filled and closed. */

export type ItemType = 'message' | 'reasoning'

/** How much of an item's beginning and end has been told. */
export type Stage = 'added' | 'filling' | 'textDone' | 'partDone'

export interface OpenItem {
  readonly id: string
  readonly type: ItemType
  readonly index: number
  readonly text: string
  readonly stage: Stage
}

/** How far the events of an answer have come. */
export type ResponseOpening = {
  /** As `response.created` has it: what of the request is said back, the id, the date. */
  readonly response?: Fields
  readonly inProgress?: boolean
  /** The number of the next event. */
  readonly sequence?: number
  /** The index of the next item. */
  readonly next?: number
  /** Items that are closed. */
  readonly items?: readonly Fields[]
  readonly open?: OpenItem
}

function typeOf(item: Fields | undefined): ItemType | undefined {
  const type = textAt(item, 'type')
  return type === 'message' || type === 'reasoning' ? type : undefined
}

/** True where no text can follow: the answer's text was closed, or is being closed. */
export function textIsOver({ open, items = [] }: ResponseOpening): boolean {
  if (open?.type === 'message') return open.stage === 'textDone' || open.stage === 'partDone'
  return items.some((item) => typeOf(item) === 'message')
}

export function readResponses(frames: readonly Buffer[]): Emitted {
  const tally = new Tally()
  let opening: ResponseOpening = {}
  for (const { data } of frames.flatMap(eventsOf)) {
    const fields = objectOf(data)
    if (fields === undefined) {
      tally.unreadable()
      continue
    }
    const { text, thinking } = deltaIn(fields)
    tally.piece(text, thinking)
    if (isForeign(fields)) tally.call()
    opening = {
      ...after(opening, fields),
      sequence: (numberAt(fields, 'sequence_number') ?? 0) + 1,
    }
  }
  return tally.emitted(opening)
}

/** What an event tells about the items. */
function after(opening: ResponseOpening, fields: Fields): ResponseOpening {
  const { open, items = [], ...rest } = opening
  const at = (stage: Stage, text = ''): ResponseOpening =>
    open === undefined ? opening : { ...opening, open: { ...open, stage, text: open.text + text } }
  switch (fields['type']) {
    case 'response.created':
      return { ...opening, response: fieldsAt(fields, 'response') ?? {} }
    case 'response.in_progress':
      return { ...opening, inProgress: true }
    case 'response.output_item.added': {
      const item = fieldsAt(fields, 'item')
      const index = numberAt(fields, 'output_index') ?? 0
      const type = typeOf(item)
      const next = { ...opening, next: index + 1 }
      if (type === undefined) return next
      return { ...next, open: { id: textAt(item, 'id'), type, index, text: '', stage: 'added' } }
    }
    case 'response.content_part.added':
      return at('filling')
    case 'response.output_text.delta':
    case 'response.reasoning_summary_text.delta':
      return at('filling', textAt(fields, 'delta'))
    case 'response.output_text.done':
    case 'response.reasoning_summary_text.done':
      return at('textDone')
    case 'response.content_part.done':
      return at('partDone')
    case 'response.output_item.done':
      return { ...rest, items: [...items, fieldsAt(fields, 'item') ?? {}] }
    default:
      return opening
  }
}

function deltaIn(fields: Fields) {
  const delta = textAt(fields, 'delta')
  const { type } = fields
  return {
    text: type === 'response.output_text.delta' ? delta : '',
    thinking: type === 'response.reasoning_summary_text.delta' ? delta : '',
  }
}

/** Events of the items that we fill ourselves, of texts and thoughts. */
const ownEvents =
  /^response\.(created|in_progress|completed|incomplete|failed|content_part\.|output_text\.|reasoning_summary)/

/** An event of an item that is neither text nor thought: a call, or a search that the server makes. */
function isForeign(fields: Fields): boolean {
  const type = textAt(fields, 'type')
  if (ownEvents.test(type) || type === 'error') return false
  return !type.startsWith('response.output_item.') || typeOf(fieldsAt(fields, 'item')) === undefined
}

/** The events of a later leg. What opens and closes a text is not heard; events of any other item are. */
export const hearResponses: Hear = function* (frames): Generator<Heard> {
  for (const { data, bytes } of eventsOf(frames)) {
    const fields = objectOf(data)
    if (fields === undefined) {
      yield { ...silence, garbled: true, fields: {}, bytes }
      return
    }
    const heard = { ...silence, ...deltaIn(fields), fields, bytes }
    const response = fieldsAt(fields, 'response')
    switch (fields['type']) {
      case 'response.completed':
      case 'response.incomplete': {
        const figures = usageFigures(fieldsAt(response, 'usage'))
        const reason = fields['type'] === 'response.completed' ? 'stop' : 'length'
        yield { ...heard, done: { reason, figures, fields } }
        return
      }
      case 'response.failed':
        yield { ...heard, error: errorIn({ ...response }) ?? 'the response failed' }
        return
      case 'error':
        yield { ...heard, error: errorIn(fields) ?? (textAt(fields, 'message') || 'error') }
        return
      default:
        yield isForeign(fields) ? { ...heard, calls: [fields] } : heard
    }
  }
}
