/** What is asked, and how the answers are read: known to the driver and to whoever judges, and shared with nobody else. */

export const model = 'llama3.2'

export interface Question {
  readonly id: string
  readonly path: string
  readonly body: string
}

/** What the questions of one row have in common. */
export interface Asking {
  /** Begins the ids of its requests, so that a trace tells it from everything else. */
  readonly row: string
  readonly topic: string
  readonly tokens: number
}

export interface Said {
  readonly text: string
  /** Ends that were told; a whole answer has one. */
  readonly ends: number
  readonly errors: readonly string[]
}

interface Route {
  readonly path: string
  body(question: string, tokens: number): object
  read(body: string): Said
}

type Fields = Readonly<Record<string, unknown>>

const options = (tokens: number) => ({ temperature: 0, num_predict: tokens })
const messagesOf = (question: string) => [{ role: 'user', content: question }]

const routes: readonly Route[] = [
  {
    path: '/api/chat',
    body: (question, tokens) => ({
      model,
      messages: messagesOf(question),
      options: options(tokens),
    }),
    read: (body) => readLines(body, (line) => textAt(line, 'message', 'content')),
  },
  {
    path: '/v1/chat/completions',
    body: (question, tokens) => ({
      ...{ model, stream: true, temperature: 0, max_tokens: tokens },
      messages: messagesOf(question),
    }),
    read: readChatCompletion,
  },
  {
    path: '/api/generate',
    body: (question, tokens) => ({ model, prompt: question, options: options(tokens) }),
    read: (body) => readLines(body, (line) => textAt(line, 'response')),
  },
  {
    path: '/v1/messages',
    body: (question, tokens) => ({
      ...{ model, stream: true, temperature: 0, max_tokens: tokens },
      messages: messagesOf(question),
    }),
    read: readMessages,
  },
]

/**
 * The families take turns, moved on by one with every round: who deals requests out in turn would otherwise give each
 * backend a family of its own. Each row has texts of its own: a proxy may remember under which of them servers died.
 */
export function questionOf(index: number, { row, topic, tokens }: Asking): Question {
  const route = routes[(index + Math.floor(index / routes.length)) % routes.length]!
  return {
    id: `${row}.${index}`,
    path: route.path,
    body: JSON.stringify(
      route.body(`Tell me of ${index} things on the road, and of ${topic}.`, tokens),
    ),
  }
}

/** What the body of a stream says, as a client of that route reads it; also of one that was cut anywhere. */
export function readBody(path: string, body: string): Said {
  return routes.find((route) => route.path === path)!.read(body)
}

function readLines(body: string, textOf: (line: Fields) => string): Said {
  const said = gatherer()
  for (const text of body.split('\n')) {
    const line = objectIn(text)
    if (!line) continue
    const error = line['error']
    if (error !== undefined) said.errors.push(String(error))
    said.text += textOf(line)
    if (line['done'] === true) said.ends++
  }
  return said
}

function readChatCompletion(body: string): Said {
  const said = gatherer()
  for (const data of eventsIn(body)) {
    if (data === '[DONE]') said.ends++
    const event = objectIn(data)
    if (!event) continue
    const error = event['error']
    if (error !== undefined) said.errors.push(JSON.stringify(error))
    said.text += textAt(event, 'choices', '0', 'delta', 'content')
  }
  return said
}

function readMessages(body: string): Said {
  const said = gatherer()
  for (const data of eventsIn(body)) {
    const event = objectIn(data)
    if (!event) continue
    if (event['type'] === 'error') said.errors.push(JSON.stringify(event['error']))
    if (event['type'] === 'message_stop') said.ends++
    said.text += textAt(event, 'delta', 'text')
  }
  return said
}

function gatherer() {
  return { text: '', ends: 0, errors: [] as string[] }
}

/** Only whole events: what stands behind the last empty line was cut. */
function eventsIn(body: string): string[] {
  return body
    .split('\n\n')
    .slice(0, -1)
    .flatMap((event) => /^data: (.*)$/m.exec(event)?.[1] ?? [])
}

/** Undefined for half a line. */
function objectIn(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined
  } catch {
    return undefined
  }
}

function textAt(value: unknown, ...path: readonly string[]): string {
  const found = path.reduce<unknown>((one, key) => (one as Fields | undefined)?.[key], value)
  return typeof found === 'string' ? found : ''
}
