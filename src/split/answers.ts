import { type FailureCode, failures } from '../core/failure.ts'

/** What one answer says, whole or as a line of a stream. */
export interface Said {
  readonly text: string
  readonly done: boolean
  readonly reason: 'stop' | 'length'
}

/** A line of a stream that says that it failed. */
export interface SaidFailed {
  readonly error: string
  readonly code: FailureCode
}

type Fields = Readonly<Record<string, unknown>>

/** The whole answer of a part; undefined when it is none: not JSON, or not done. */
export function wholeAnswer(body: Buffer): Said | undefined {
  const fields = fieldsOf(body.toString('utf8'))
  const said = fields && saidIn(fields)
  return said?.done ? said : undefined
}

/** One line of a streamed answer; undefined for what is no JSON. */
export function lineOf(line: string): Said | SaidFailed | undefined {
  const fields = fieldsOf(line)
  if (!fields) return undefined
  const { error, code } = fields
  if (typeof error === 'string')
    return {
      error,
      code:
        typeof code === 'string' && Object.hasOwn(failures, code)
          ? (code as FailureCode)
          : 'answer_cut',
    }
  return saidIn(fields)
}

/** What a refusal says: problem JSON has it in `detail`, Ollama's own words stand in `error`. */
export function sentenceIn(body: Buffer, status: number): string {
  const fields = fieldsOf(body.toString('utf8', 0, 100_000))
  if (typeof fields?.['detail'] === 'string') return fields['detail']
  if (typeof fields?.['error'] === 'string') return fields['error']
  return status < 300 ? 'the answer could not be read' : `it was answered with status ${status}`
}

/** Both native shapes: `response`, and `message.content`. */
function saidIn(fields: Fields): Said {
  const message = fields['message'] as Fields | undefined
  const text = fields['response'] ?? message?.['content']
  return {
    text: typeof text === 'string' ? text : '',
    done: fields['done'] === true,
    reason: fields['done_reason'] === 'length' ? 'length' : 'stop',
  }
}

function fieldsOf(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined
  } catch {
    return undefined
  }
}
