import type { Clock } from '../core/clock.ts'
import { type FailureCode, failures } from '../core/failure.ts'
import {
  type AskInside,
  embeddingsBytesMax,
  type InnerAnswer,
  type InnerCall,
  type InnerCallRunning,
} from '../core/inner-call.ts'
import { modelNotFoundText } from '../dialects/errors.ts'
import { ownAsk, ownRoute } from '../dialects/own-ask.ts'
import type { ClientSide } from './client-side.ts'
import { Exchange } from './exchange.ts'
import { judgeTooLarge } from './judge.ts'
import type { Server } from './serve.ts'

export interface InnerDoors {
  readonly server: Server
  readonly clock: Clock
}

/**
 * A token is 4 bytes of text, and 7 more as a number of the context that `/api/generate` gives back. So this is the
 * answer of a context of 700,000 tokens, and no part is nearly as long.
 */
const textBytesMax = 8 * 1_048_576
/**
 * The longest vectors have 16,384 numbers (Llama 3.1 405B). Ollama writes one in 15 bytes at most, with its comma; other
 * servers may take some more.
 */
const vectorBytesMax = 16_384 * 20

/**
 * What is held whole and is larger is no answer to this call. Never less than a text, since an answer of up to a mebibyte
 * comes in one piece with its end, when it is too late to ask elsewhere.
 */
function answerBytesMax({ embeds }: InnerCall): number {
  if (embeds === undefined) return textBytesMax
  return Math.min(embeddingsBytesMax, textBytesMax + embeds * vectorBytesMax)
}

/**
 * Requests of our own on behalf of a client, as ordinary exchanges: they wait in the same queue, are judged, retried
 * and told like any other, and only their answer stays in this process. Its body was charged to the budget when the
 * client sent it; a part is a piece of that.
 */
export function askInside(doors: InnerDoors): AskInside {
  return (call) => new Inner(call, doors)
}

class Inner implements InnerCallRunning {
  readonly answer: Promise<InnerAnswer>
  readonly #exchange: Exchange
  readonly #client: InnerClient
  readonly #clock: Clock

  constructor(call: InnerCall, { server, clock }: InnerDoors) {
    this.#clock = clock
    const { route, ask } = call.ask
      ? { route: ownRoute(call.path), ask: call.ask }
      : ownAsk(call.path, call.body)
    const bytesMax = answerBytesMax(call)
    this.#client = new InnerClient(call.onFrames, bytesMax, () =>
      this.#exchange.attempt?.end(judgeTooLarge(bytesMax)),
    )
    // Problem JSON carries a code that the caller can act on; a batch of embeddings passes the family's own words on.
    const family = route.op === 'embed' ? route.family : 'own'
    this.#exchange = new Exchange(
      {
        id: call.id,
        ask: { ...ask, family },
        method: 'POST',
        path: call.path,
        rawHeaders: ['Content-Type', 'application/json', 'Accept', '*/*'],
        body: {
          size: call.body.length,
          bytes: call.body,
          open: () => call.body,
          [Symbol.dispose]() {},
        },
        tenant: call.tenant,
        priority: call.priority,
        labels: call.labels,
        isPart: true,
        isOurs: call.isOurs ?? false,
        work: call.work,
        pinned: undefined,
        deadlineMs: call.deadlineMs,
        arrivedMs: clock.now(),
      },
      this.#client,
    )
    for (const name of call.except) this.#exchange.hasTried({ name })
    this.answer = this.#served(server, {
      family,
      op: route.op,
      modelUnknownText: () => modelNotFoundText(route, ask.modelText),
      headers: [],
      continues: false,
      continuationWish: undefined,
      explains: false,
      now: () => clock.now(),
    })
  }

  get backend(): string {
    return this.#exchange.backend
  }

  get onSeatSinceMs(): number | undefined {
    return this.#exchange.seatedMs
  }

  cancel(): void {
    this.#client.leave()
  }

  async #served(server: Server, style: Parameters<Server['serve']>[1]): Promise<InnerAnswer> {
    const exchange = this.#exchange
    await server.serve(exchange, style)
    const { left, whole, body } = this.#client
    const isCut = !left && !whole
    const status = isCut ? failures.answer_cut.status : left ? 499 : this.#client.status
    const { seatedMs } = exchange
    return {
      status,
      body,
      code: isCut ? 'answer_cut' : codeIn(status, body),
      backend: exchange.backend,
      attempts: exchange.attempts.length,
      waitMs: exchange.waitMs,
      servedMs: seatedMs === undefined ? 0 : this.#clock.now() - seatedMs,
      figures: exchange.figures,
    }
  }
}

/** The client's end of an inner call: it reads as fast as whoever asked, and leaves when it is told to. */
class InnerClient implements ClientSide {
  left = false
  started = false
  status = 499
  bytesOut = 0
  /** False: the answer was broken off where no line could say so. */
  whole = true
  readonly #onFrames: InnerCall['onFrames']
  readonly #bytesMax: number
  readonly #tooLarge: () => void
  #reading: Promise<void> | undefined
  readonly #chunks: Uint8Array[] = []
  #leftListeners: (() => void)[] = []
  #over = false

  /** `tooLarge`: more than `bytesMax` has come of an answer that is held; nothing of it stays. */
  constructor(onFrames: InnerCall['onFrames'], bytesMax: number, tooLarge: () => void) {
    this.#onFrames = onFrames
    this.#bytesMax = bytesMax
    this.#tooLarge = tooLarge
  }

  get body(): Buffer {
    return this.#chunks.length === 1 ? asBuffer(this.#chunks[0]!) : Buffer.concat(this.#chunks)
  }

  onLeft(act: () => void): void {
    if (this.left) act()
    else this.#leftListeners.push(act)
  }

  leave(): void {
    if (this.left || this.#over) return
    this.left = true
    for (const listener of this.#leftListeners.splice(0)) listener()
  }

  head(status: number): void {
    if (this.left) return
    this.status = status
  }

  write(bytes: Uint8Array): boolean {
    if (this.left) return true
    this.started = true
    this.bytesOut += bytes.length
    if (this.#onFrames && this.status < 300) {
      this.#reading = this.#onFrames(bytes)
      return this.#reading === undefined
    }
    this.#chunks.push(bytes)
    if (this.bytesOut > this.#bytesMax) this.#refuse()
    return true
  }

  /** Nobody has seen anything of it, so another backend may begin anew. */
  #refuse(): void {
    this.#chunks.length = 0
    this.bytesOut = 0
    this.started = false
    this.#tooLarge()
  }

  onDrain(act: () => void): void {
    if (this.#reading !== undefined) void this.#reading.then(act)
    else act()
  }

  end(bytes?: Uint8Array): void {
    if (bytes && bytes.length > 0) this.write(bytes)
    this.#over = true
  }

  answer(status: number, _rawHeaders: readonly string[], body: Uint8Array): void {
    this.head(status)
    this.end(body)
  }

  /** Its request was whole from the beginning. */
  answerEarly(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    this.answer(status, rawHeaders, body)
  }

  cut(): void {
    this.#over = true
    this.whole = false
  }
}

/** Where our own words refuse, their code; undefined for what a backend said itself, and for answers. */
function codeIn(status: number, body: Buffer): FailureCode | undefined {
  if (status < 300) return undefined
  try {
    const { code } = JSON.parse(body.toString('utf8')) as { code?: string }
    return code !== undefined && Object.hasOwn(failures, code) ? (code as FailureCode) : undefined
  } catch {
    return undefined
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
