import { sign, signedHeader, verify } from '../guard/signing.ts'
import type { Member } from './member.ts'
import type { Refusal } from './register.ts'
import { readHello } from './words.ts'

/** What came back, up to 64 KiB of it. */
export interface Answer {
  readonly status: number
  /** Name, value … */
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

/**
 * One small call to an address that was checked: on a connection of its own, no redirect followed, two seconds at most.
 * Undefined: there was no whole answer.
 */
export type CallAddress = (
  origin: string,
  call: {
    readonly method: 'GET' | 'POST'
    readonly path: string
    readonly headers?: readonly string[]
    readonly body?: string
    readonly timeoutMs: number
  },
) => Promise<Answer | undefined>

export interface CallDoors {
  readonly call: CallAddress
  /** Milliseconds since 1970: signatures are of a moment. */
  readonly wallMs: () => number
  /** 16 bytes that nobody can guess, in hex. */
  readonly nonce: () => string
}

/** An agent that needs longer to say who it is would not be of use. */
const callMsMax = 2_000

/** Both nonces of a session: each side has chosen one, so that neither can bring an old session back. */
export interface Greeted {
  readonly agentNonce: string
  readonly proxyNonce: string
}

/**
 * Calls back whoever wants to join, at the address that it gave: it must be there, have the token, be the one who
 * asked, and have an Ollama behind it that is not this proxy.
 */
export async function greet(
  who: { readonly origin: string; readonly name: string; readonly instance: string },
  { key, hop }: { readonly key: Buffer; readonly hop: string },
  doors: CallDoors,
): Promise<Greeted | Refusal> {
  const proxyNonce = doors.nonce()
  const said = await callSigned(who.origin, '/agent/hello', key, doors, {
    nonce: proxyNonce,
    name: who.name,
    hop,
  })
  const unreachable = (why: string): Refusal => ({
    code: 'agent_unreachable',
    sentence: `the agent at ${who.origin} ${why}`,
  })
  if (said.result === 'nothing') return unreachable('did not answer within 2 s')
  if (said.result === 'unsigned')
    return unreachable(`answered ${said.status}, and not with the same token`)
  if (said.status !== 200) return unreachable(`answered ${said.status}`)
  const hello = readHello(said.body)
  if (!hello) return unreachable('answered with no words of an agent')
  if (hello.name !== who.name || hello.instance !== who.instance)
    return unreachable('is another one than the one that wants to join')
  if (hello.ollama === 'loop')
    return { code: 'loop', sentence: `the Ollama of the agent "${who.name}" is this proxy itself` }
  return { agentNonce: hello.nonce, proxyNonce }
}

export type Told = 'done' | 'refused' | 'unreached'

/** An order to a member that is an agent. */
export async function tellAgent(
  member: Member,
  verb: 'drain' | 'resume' | 'restart',
  doors: CallDoors,
): Promise<{ readonly told: Told; readonly status: number }> {
  if (!member.agent) return { told: 'refused', status: 0 }
  member.ownSequence++
  const said = await callSigned(member.origin, `/agent/${verb}`, member.agent.key, doors, {
    sequence: member.ownSequence,
  })
  if (said.result !== 'signed') return { told: 'unreached', status: 0 }
  return { told: said.status < 300 ? 'done' : 'refused', status: said.status }
}

type Said =
  | { readonly result: 'nothing' }
  | { readonly result: 'unsigned'; readonly status: number }
  | { readonly result: 'signed'; readonly status: number; readonly body: Buffer }

async function callSigned(
  origin: string,
  path: string,
  key: Buffer,
  { call, wallMs, nonce: makeNonce }: CallDoors,
  words: object,
): Promise<Said> {
  const body = JSON.stringify(words)
  const nonce = makeNonce()
  const signed = sign({ key, method: 'POST', path, body, nowMs: wallMs(), nonce })
  const headers = [signedHeader, signed]
  const answer = await call(origin, { method: 'POST', path, headers, body, timeoutMs: callMsMax })
  if (!answer) return { result: 'nothing' }
  const verdict = verify({
    key,
    method: `ANSWER ${answer.status}`,
    path,
    body: answer.body,
    header: headerIn(answer.rawHeaders, signedHeader),
    nowMs: wallMs(),
    nonce,
  })
  return verdict.ok
    ? { result: 'signed', status: answer.status, body: answer.body }
    : { result: 'unsigned', status: answer.status }
}

function headerIn(raw: readonly string[], wanted: string): string | undefined {
  for (let index = 0; index + 1 < raw.length; index += 2)
    if (raw[index]?.toLowerCase() === wanted) return raw[index + 1]
  return undefined
}
