import type { Outcome, Refusal } from '../core/outcome.ts'
import { SocketTrouble } from './wire.ts'

/**
 * Anything thrown or answered → Outcome; the only room that reads error codes.
 *
 * When a backend breaks off, the relay closes the client's side too, so "the client's signal is aborted" is true in
 * both cases: only what came first tells whose fault it was. So a client that left is never judged here; whoever
 * hears it first says so.
 */
export function judgeError(error: Error, afterFirstByte: boolean): Outcome {
  const cause = error instanceof SocketTrouble ? (error.cause as Error) : error
  const code = (cause as NodeJS.ErrnoException).code ?? ''
  if (notSendable.has(code))
    return { kind: 'refused', status: 400, why: 'clientFault', text: 'it can not be sent on' }
  const sent = error instanceof SocketTrouble ? error.sent : !neverConnected.has(code)
  if (!sent) return { kind: 'unreachable', text: sayCode(code) }
  if (isNonsense(code, cause))
    return { kind: 'refused', status: 502, why: 'serverFault', text: 'the answer was not HTTP' }
  return {
    kind: 'brokeOff',
    afterFirstByte,
    reusedSocket: error instanceof SocketTrouble && error.reusedSocket,
    text: sayCode(code),
  }
}

/** The library would not write such a request; no backend is to blame for it. */
const notSendable = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED'])

/** No connection was made, so nothing was sent. */
const neverConnected = new Set([
  'ECONNREFUSED',
  'UND_ERR_CONNECT_TIMEOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EMFILE',
  'ENFILE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_HAS_EXPIRED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

/** The backend's bytes were no HTTP answer: it lies or something else listens there. */
function isNonsense(code: string, error: Error): boolean {
  return (
    code.startsWith('HPE_') ||
    // undici's parser errors do not all carry their code.
    error.name === 'HTTPParserError' ||
    code === 'UND_ERR_HEADERS_OVERFLOW' ||
    code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' ||
    /bad (response|upgrade)/.test(error.message)
  )
}

/** Words for a person: no address and no stack may reach a client. */
function sayCode(code: string): string {
  switch (code) {
    case 'ECONNREFUSED':
      return 'connection refused'
    case 'UND_ERR_CONNECT_TIMEOUT':
      return 'no connection within timeouts.connect'
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'its name does not resolve'
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'no route to it'
    case 'EMFILE':
    case 'ENFILE':
      return 'this process may open no more files'
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return 'its certificate is signed by itself'
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'its certificate is signed by nobody who is trusted here'
    case 'CERT_HAS_EXPIRED':
      return 'its certificate has expired'
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'its certificate is for another name'
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
      return 'connection lost'
    default:
      return code === '' ? 'connection failed' : `connection failed (${code})`
  }
}

/**
 * A status of 400 or more, with the text that came along. The texts are those of Ollama's server/routes.go and
 * server/sched.go and of its runners; 500 is also what it answers to a wrongly typed option, which no other backend
 * would take.
 */
export function judgeRefusal(status: number, text: string): Outcome & { kind: 'refused' } {
  return { kind: 'refused', status, why: whyRefused(status, text), text: text.slice(0, 500) }
}

/**
 * An answer in a content coding: none was asked for, and Ollama never uses one, so something in front of it does. Its
 * frames can not be read, and no error of ours could follow what the client has of it.
 */
export function judgePacked(coding: string): Outcome & { kind: 'refused' } {
  const how = coding.slice(0, codingLengthMax)
  return badAnswer(
    `the backend's answer is packed with ${how}, which nobody asked for; switch compression off at the server in front of its Ollama`,
  )
}

/** The longest registered name of a coding has 13 letters, and there may be several. */
const codingLengthMax = 40

/** An answer that would have to be held whole, and is larger than any that is one. */
export function judgeTooLarge(bytesMax: number): Outcome & { kind: 'refused' } {
  return badAnswer(`the backend's answer is larger than ${bytesMax} bytes, which no such answer is`)
}

function badAnswer(text: string): Outcome & { kind: 'refused' } {
  return { kind: 'refused', status: 502, why: 'badAnswer', text }
}

function whyRefused(status: number, text: string): Refusal {
  // A server too old for the route says "404 page not found": that is no word about the model.
  if (status === 404) return /model\b.*not found/is.test(text) ? 'noModel' : 'clientFault'
  if (status === 503 || status === 429) return 'busy'
  if (status < 500) return 'clientFault'
  if (/option \\?".*\\?" must be of type/.test(text)) return 'clientFault'
  if (
    /out of memory|cudaMalloc failed|requires more system memory|unable to load full model/i.test(
      text,
    )
  )
    return 'outOfMemory'
  if (isRunnerCrash(text)) return 'crashed'
  return 'serverFault'
}

/** Ollama's texts for a runner that died under a request. */
export function isRunnerCrash(text: string): boolean {
  return /runner (process )?has (terminated|unexpectedly stopped)|llama-server process has terminated|an error was encountered while running the model|\bEOF\b|connection reset/i.test(
    text,
  )
}
