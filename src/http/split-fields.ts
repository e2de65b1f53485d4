import { Failure } from '../core/failure.ts'
import { readModelName } from '../core/model-name.ts'
import type { NamedModel, SplitOrder } from '../split/order.ts'

type Fields = Readonly<Record<string, unknown>>

/** What a native request says that a run must know, and how a part of it is asked. */
export type FieldsOfOrder = Pick<
  SplitOrder,
  | 'model'
  | 'input'
  | 'path'
  | 'bodyOf'
  | 'bodyOfPrompt'
  | 'overhead'
  | 'question'
  | 'context'
  | 'answerTokens'
  | 'schema'
>

/** `/api/generate`: the prompt is cut, everything else goes with each part. `input` stands for the prompt. */
export function orderOfGenerate(
  native: Fields,
  input: string | readonly unknown[],
  instruction: string,
): FieldsOfOrder {
  const before = instruction === '' ? '' : `${instruction}\n\n`
  const common = JSON.stringify({ ...native, prompt: undefined, stream: undefined }).slice(1, -1)
  return {
    ...shared(native),
    input,
    path: '/api/generate',
    bodyOf: (text, stream) =>
      Buffer.from(`{${common},"stream":${stream},"prompt":${JSON.stringify(before + text)}}`),
    question: instruction === '' ? undefined : instruction,
    overhead: `${before}${textIn(native['system'])}`,
  }
}

/** `/api/chat`: the last message of the user is cut, every part carries the others. Throws a Failure. */
export function orderOfChat(native: Fields): FieldsOfOrder {
  const { messages, tools } = native
  if (Array.isArray(tools) && tools.length > 0)
    throw invalid('a chat with tools can not be split: a call belongs to the whole of it')
  if (!Array.isArray(messages)) throw invalid('"messages" must be an array')
  if (
    messages.some(
      (message: Fields) => Array.isArray(message?.['images']) && message['images'].length > 0,
    )
  )
    throw invalid('a chat with images can not be split')
  const at = messages.findLastIndex((message: Fields) => message?.['role'] === 'user')
  const last = messages[at] as Fields | undefined
  if (typeof last?.['content'] !== 'string' || last['content'] === '')
    throw invalid('there is no message of the user with text in it to split')
  const mark = `\u0001${crypto.randomUUID()}`
  const marked = messages.with(at, { ...last, content: mark })
  const rest = { ...native, messages: marked, stream: undefined }
  const [before, after] = JSON.stringify(rest).slice(0, -1).split(JSON.stringify(mark)) as [
    string,
    string,
  ]
  return {
    ...shared(native),
    input: last['content'],
    path: '/api/chat',
    bodyOf: (text, stream) =>
      Buffer.from(`${before}${JSON.stringify(text)}${after},"stream":${stream}}`),
    question: undefined,
    overhead: messages
      .toSpliced(at, 1)
      .map((message: Fields) => textIn(message?.['content']))
      .join('\n'),
  }
}

function shared(native: Fields) {
  const options = (native['options'] ?? {}) as Fields
  const { format } = native
  return {
    model: namedModel(String(native['model'])),
    context: positive(options['num_ctx']),
    answerTokens: positive(options['num_predict']),
    schema: typeof format === 'object' && format !== null ? format : undefined,
    bodyOfPrompt: (modelText: string, prompt: string) => {
      const { keep_alive, think } = native
      return Buffer.from(
        JSON.stringify({
          model: modelText,
          prompt,
          stream: false,
          options: native['options'],
          keep_alive,
          think,
        }),
      )
    },
  }
}

/** Throws a Failure for what is no name of a model. */
export function namedModel(text: string): NamedModel {
  const name = readModelName(text)
  if (!name) throw invalid(`"${text.slice(0, 100)}" is no model name`)
  return { text, ...name }
}

/** Ollama's -1 and -2 mean no limit. */
function positive(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : undefined
}

function textIn(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function invalid(sentence: string): Failure {
  return new Failure('request_invalid', sentence)
}
