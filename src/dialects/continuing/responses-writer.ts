import type { Figures } from './figures.ts'
import type { Ended, Heard, Writer } from './later-leg.ts'
import { eventOf, type Fields, fieldsAt, numberAt, textAt } from './reading.ts'
import type { ItemType, OpenItem, ResponseOpening, Stage } from './responses-frames.ts'

/** Ollama's events are maps, so their keys are in order. Source: openai/responses.go, newEvent; Go encoding/json. */
function sorted(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).sort(([one], [other]) => (one < other ? -1 : 1)))
}

const partOf = (text: string) => ({ annotations: [], logprobs: [], text, type: 'output_text' })

/** An item as it is told when it is opened, and with its text when it is closed. */
function shown(item: OpenItem, whole: boolean): Fields {
  const { id, type, text } = item
  if (type === 'reasoning') {
    const summary = whole ? [{ text, type: 'summary_text' }] : []
    return { ...(whole ? { encrypted_content: text } : {}), id, summary, type }
  }
  const status = whole ? 'completed' : 'in_progress'
  return { content: whole ? [partOf(text)] : [], id, role: 'assistant', status, type }
}

/** Writes the events of Responses: the same items, numbers and indices, and at the end the whole text of all legs. */
export function responseWriter(opening: ResponseOpening): Writer {
  const { response = {} } = opening
  const items: Fields[] = [...(opening.items ?? [])]
  let { open, inProgress, sequence = 0, next = 0 } = opening

  const event = (type: string, fields: Fields): string =>
    eventOf(type, sorted({ ...fields, type, sequence_number: sequence++ }))
  const begin = (): string => {
    if (inProgress) return ''
    inProgress = true
    return event('response.in_progress', { response })
  }

  /** Tells what is still to be told of an open item's end. */
  const close = (): string => {
    if (open === undefined) return ''
    const item = open
    const place = { item_id: item.id, output_index: item.index }
    const text = { ...place, content_index: 0 }
    const told = (stage: Stage) => stages.indexOf(item.stage) >= stages.indexOf(stage)
    let said = ''
    if (item.type === 'reasoning') {
      if (!told('textDone'))
        said += event('response.reasoning_summary_text.done', {
          ...place,
          summary_index: 0,
          text: item.text,
        })
    } else {
      if (!told('filling')) said += partAdded(item)
      if (!told('textDone'))
        said += event('response.output_text.done', { ...text, text: item.text, logprobs: [] })
      if (!told('partDone'))
        said += event('response.content_part.done', { ...text, part: partOf(item.text) })
    }
    const whole = shown(item, true)
    items.push(whole)
    open = undefined
    return said + event('response.output_item.done', { output_index: item.index, item: whole })
  }
  const partAdded = (item: OpenItem) =>
    event('response.content_part.added', {
      item_id: item.id,
      output_index: item.index,
      content_index: 0,
      part: partOf(''),
    })

  /** Sees to it that an item of the type is open and takes text. */
  const into = (type: ItemType, heard: Heard | undefined): string => {
    let said = ''
    const takes = open?.type === type && (open.stage === 'added' || open.stage === 'filling')
    if (!takes) {
      said += close()
      open = { id: idFor(type, heard), type, index: next++, text: '', stage: 'added' }
      const item = shown(open, false)
      said += event('response.output_item.added', { output_index: open.index, item })
    }
    if (type === 'message' && open!.stage === 'added') said += partAdded(open!)
    open = { ...open!, stage: 'filling' }
    return said
  }
  /** An item that a later leg begins has that leg's name for it; one of a raw prompt has a name made of the answer's. */
  const idFor = (type: ItemType, heard: Heard | undefined): string => {
    const prefix = type === 'message' ? 'msg' : 'rs'
    const given = textAt(heard?.fields, 'item_id')
    const digits = textAt(response, 'id').replace(/^resp_/, '')
    return given.startsWith(`${prefix}_`) ? given : `${prefix}_${digits}${next}`
  }
  const delta = (type: ItemType, text: string, heard: Heard | undefined): string => {
    if (text === '') return ''
    const begun = into(type, heard)
    const item = open!
    open = { ...item, text: item.text + text }
    const place = { item_id: item.id, output_index: item.index, delta: text }
    return type === 'message'
      ? begun + event('response.output_text.delta', { ...place, content_index: 0, logprobs: [] })
      : begun + event('response.reasoning_summary_text.delta', { ...place, summary_index: 0 })
  }

  return {
    piece: ({ text, thinking }, heard) =>
      begin() + delta('reasoning', thinking, heard) + delta('message', text, heard),
    calls({ fields }) {
      const type = textAt(fields, 'type')
      let said = begin()
      if (type === 'response.output_item.added') {
        said += close()
        next++
      }
      if (type === 'response.output_item.done') items.push(fieldsAt(fields, 'item') ?? {})
      const placed = 'output_index' in fields ? { output_index: next - 1 } : {}
      return said + event(type, { ...fields, ...placed })
    },
    end(ended, merged, heard) {
      const said = begin() + close()
      const own = fieldsAt(ended.fields, 'response')
      const type = textAt(ended.fields, 'type') || 'response.completed'
      const told = {
        ...response,
        // The date of the end, in seconds; in a native line it is a text.
        completed_at:
          numberAt(own, 'completed_at') ?? secondsOf(heard?.fields) ?? response['created_at'],
        status: textAt(own, 'status') || 'completed',
        incomplete_details: own?.['incomplete_details'] ?? null,
        output: items,
        usage: usageOf(ended, merged),
      }
      return said + event(type, { response: told })
    },
  }
}

const stages: readonly Stage[] = ['added', 'filling', 'textDone', 'partDone']

function usageOf(ended: Ended, merged: Figures): Fields {
  const own = fieldsAt(fieldsAt(ended.fields, 'response'), 'usage')
  return sorted({
    input_tokens_details: { cached_tokens: 0 },
    output_tokens_details: { reasoning_tokens: 0 },
    ...own,
    input_tokens: merged.promptTokens,
    output_tokens: merged.outputTokens,
    total_tokens: merged.promptTokens + merged.outputTokens,
  })
}

function secondsOf(fields: Fields | undefined): number | undefined {
  const ms = Date.parse(textAt(fields, 'created_at'))
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000)
}
