import { createHash } from 'node:crypto'
import type { Conversation } from './conversation.ts'
import type { Received } from './recording-backend.ts'
import { type Meant, readStream } from './strict-reader.ts'

/** What reaches a backend, and as what. Everything else is answered by the proxy, or refused. */
const forwarded: readonly string[] = [
  ...['/api/generate', '/api/chat', '/v1/chat/completions', '/api/show', '/api/me'],
].map((path) => `POST ${path}`)

/** What the recording backend answers: so that an answer shows whose it is. */
export function echoOf(target: string, body: string): string {
  const hash = createHash('sha1').update(body, 'latin1').digest('hex').slice(0, 12)
  // As it can stand in JSON.
  return `${encodeURIComponent(target)} ${hash}`
}

/** What is wrong with a conversation; empty: nothing. Every sentence can be checked against the bytes. */
export function judge(conversation: Conversation, received: readonly Received[]): string[] {
  const { sent, answers, rest, closed, stuck } = conversation
  const { requests, end, why, mayWait } = readStream(sent)
  const faults: string[] = []
  const said = (words: string) => faults.push(words)

  // Whatever a backend saw is one of the requests that were sent, once, and the same to the byte.
  const unseen = new Set(requests.keys())
  for (const each of received) {
    const body = each.body.toString('latin1')
    const found = [...unseen].find((index) => isSame(requests[index]!, each, body))
    if (found === undefined) {
      said(`the backend got a request that nobody sent: ${each.method} ${each.target} ${body}`)
      continue
    }
    unseen.delete(found)
    const answer = answers[found]
    if (answer && answer.status >= 400)
      said(`request ${found} was sent on and refused all the same, with ${answer.status}`)
    if (answer && answer.status < 300 && !answer.body.includes(echoOf(each.target, body)))
      said(`request ${found} got the answer of another: ${answer.body}`)
    const last = answers.findIndex(({ isLast }) => isLast)
    if (last >= 0 && found > last)
      said(`request ${found} was sent on, after answer ${last} had said that it is the last`)
  }
  // Whatever was answered well, and is for backends, was seen by one.
  for (const [index, answer] of answers.entries()) {
    const request = requests[index]
    if (!request) {
      // What needs no backend may be answered before its body has come and turned out to be none.
      if (answer.status < 400 && answer.body.includes('q7z'))
        said(`answer ${index} with ${answer.status} is nobody's`)
      continue
    }
    if (answer.status < 300 && unseen.has(index) && isForBackends(request))
      said(`request ${index} was answered with ${answer.status}, and no backend saw it`)
  }
  // What breaks in its body may have been answered by then: then the end of the connection is told once more.
  const ends = answers.at(-1)?.isLast === true && answers.at(-1)!.status >= 400 ? 1 : 0
  if (answers.length > requests.length + (end === 'broken' || end === 'cut' ? 1 : 0) + ends)
    said(`${answers.length} answers to ${requests.length} requests`)
  if (rest !== '' && !closed) said(`half an answer: ${rest.slice(0, 200)}`)
  if (stuck) said(`neither answered nor closed (the strict reading: ${end} ${why})`)
  if (end === 'clean' && answers.length < requests.length && !mayWait) {
    const lastOne = answers.at(-1)
    if (!lastOne?.isLast)
      said(`closed without a word: ${answers.length} answers to ${requests.length} requests`)
  }
  if ((end === 'broken' || end === 'over') && answers.length === 0 && !mayWait)
    said(`closed without a word (the strict reading: ${end} ${why})`)
  return faults
}

function isSame(request: Meant, got: Received, body: string): boolean {
  const [path = '', query] = splitTarget(request.target)
  const [gotPath, gotQuery] = splitTarget(got.target)
  return (
    got.method === request.method &&
    gotQuery === query &&
    gotPath === withoutSpareSlashes(path) &&
    forwarded.includes(`${got.method} ${gotPath}`) &&
    body === request.body
  )
}

function isForBackends({ method, target }: Meant): boolean {
  return forwarded.includes(`${method} ${withoutSpareSlashes(splitTarget(target)[0]!)}`)
}

function splitTarget(target: string): [path: string, query: string | undefined] {
  const mark = target.indexOf('?')
  return mark < 0 ? [target, undefined] : [target.slice(0, mark), target.slice(mark + 1)]
}

/** As Ollama's own redirects mend a path. */
function withoutSpareSlashes(path: string): string {
  return path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1')
}
