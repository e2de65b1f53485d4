import type { Dice } from '../../src/core/dice.ts'
import { canonicalName } from '../../src/core/model-name.ts'

/** The ways to go wrong. `chunks` counts lines of NDJSON or events of SSE. */
export type FaultKind =
  /** No new connections. Only the whole server can do that: path and count mean nothing, `ms` ends it. */
  | 'refuse'
  /** The request is read and nothing is answered. */
  | 'hang'
  /** `status` with `text`. */
  | 'status'
  /** 503 with Ollama's words for a full queue. */
  | 'busy'
  /** The connection is reset before the first byte. */
  | 'reset'
  /** The request is read to its end; then the connection closes without an answer. */
  | 'close-after-read'
  | 'reset-after-chunks'
  /** The last line is said, and the connection is reset before the end of the transfer. */
  | 'reset-at-end'
  /** A clean end of the body, without the last line. */
  | 'end-after-chunks'
  /**
   * A line of error inside the stream; on the compatible routes Ollama swallows it. After 0 chunks it is what an engine
   * says that refuses its prompt: `status` with `text`, in the manner of a stream that has not begun.
   */
  | 'error-after-chunks'
  /** Silence; for `ms`, or until the client leaves. */
  | 'stall-after-chunks'
  /** The runner dies, and with it every stream that it serves. */
  | 'crash-after-chunks'
  /** `ms` between chunks. */
  | 'trickle'
  /** Each chunk is cut in the middle, inside a character where it has long ones. */
  | 'split-writes'
  /** A whole answer that promises more bytes than it has. */
  | 'wrong-content-length'
  /** Loads fail with `text`; a text with "memory" in it is tried twice, as Ollama does. */
  | 'load-failure'
  /** The pending queue stands still: what is loaded is served and listed, and nothing is loaded any more. */
  | 'loads-hang'
  /** 404, as after somebody deleted the model behind the proxy's back. */
  | 'forget-model'

export interface Fault {
  readonly kind: FaultKind
  /** How many requests it hits; absent: all. */
  readonly count?: number
  /** How many matching requests pass before it begins. */
  readonly skip?: number
  /** The share of requests that it hits. */
  readonly rate?: number
  /** Only this path; `*` any outside of the control path. Absent: the routes that infer. */
  readonly path?: string
  readonly model?: string
  readonly chunks?: number
  readonly status?: number
  readonly text?: string
  readonly ms?: number
}

const known: Readonly<Record<FaultKind, true>> = {
  refuse: true,
  hang: true,
  status: true,
  busy: true,
  reset: true,
  'close-after-read': true,
  'reset-after-chunks': true,
  'reset-at-end': true,
  'end-after-chunks': true,
  'error-after-chunks': true,
  'stall-after-chunks': true,
  'crash-after-chunks': true,
  trickle: true,
  'split-writes': true,
  'wrong-content-length': true,
  'load-failure': true,
  'loads-hang': true,
  'forget-model': true,
}

/** What no single request meets. */
const ofTheServer: ReadonlySet<FaultKind> = new Set(['refuse', 'load-failure', 'loads-hang'])

interface Armed {
  readonly fault: Fault
  skip: number
  left: number
}

const inferring =
  /^\/(api\/(generate|chat|embed|embeddings)|v1\/(chat\/completions|completions|embeddings|responses|messages|audio\/transcriptions))$/

/** What is made to go wrong, changeable while the server runs. */
export class Faults {
  readonly #dice: Dice
  readonly #onChange: () => void
  #armed: Armed[] = []

  constructor(dice: Dice, initial: readonly Fault[], onChange: () => void) {
    this.#dice = dice
    this.#onChange = onChange
    for (const fault of initial) this.#arm(fault)
  }

  add(...faults: readonly Fault[]): void {
    for (const fault of faults) this.#arm(fault)
    this.#onChange()
  }
  replace(faults: readonly Fault[]): void {
    this.#armed = []
    this.add(...faults)
  }
  clear(kind?: FaultKind): void {
    this.#armed = kind === undefined ? [] : this.#armed.filter(({ fault }) => fault.kind !== kind)
    this.#onChange()
  }
  /** What is still to come, with what is left of each count. */
  list(): Fault[] {
    return this.#armed.map(({ fault, left }) =>
      Number.isFinite(left) ? { ...fault, count: left } : fault,
    )
  }

  refusal(): Fault | undefined {
    return this.#armed.find(({ fault }) => fault.kind === 'refuse')?.fault
  }

  /** The faults that this request meets; each is counted down. `model` is undefined until the body is read. */
  forRequest(path: string, model: string | undefined): Fault[] {
    return this.#draw(({ fault }) => {
      if (ofTheServer.has(fault.kind)) return false
      if (fault.path === undefined ? !inferring.test(path) : !onPath(fault.path, path)) return false
      return (
        fault.model === undefined ||
        (model !== undefined && canonicalName(fault.model) === canonicalName(model))
      )
    })
  }

  /** As long as it is armed; whoever waits for a load waits on when its client has left. */
  get loadsHang(): boolean {
    return this.#armed.some(({ fault }) => fault.kind === 'loads-hang')
  }

  loadFailure(canonical: string): string | undefined {
    const [fault] = this.#draw(
      ({ fault }) =>
        fault.kind === 'load-failure' &&
        (fault.model === undefined || canonicalName(fault.model) === canonical),
    )
    return (
      fault && (fault.text ?? 'llama-server process has terminated: error: unable to load model')
    )
  }

  #arm(fault: Fault): void {
    // A misspelt fault would leave its test green for the wrong reason.
    if (known[fault.kind] !== true)
      throw new Error(`no fault kind "${fault.kind}"; there are ${Object.keys(known).join(', ')}`)
    this.#armed.push({ fault, skip: fault.skip ?? 0, left: fault.count ?? Infinity })
  }

  #draw(matches: (armed: Armed) => boolean): Fault[] {
    const drawn: Fault[] = []
    for (const armed of this.#armed) {
      if (armed.left <= 0 || !matches(armed)) continue
      if (armed.skip > 0) {
        armed.skip--
        continue
      }
      if (armed.fault.rate !== undefined && this.#dice.roll() >= armed.fault.rate) continue
      armed.left--
      drawn.push(armed.fault)
    }
    this.#armed = this.#armed.filter(({ left }) => left > 0)
    return drawn
  }
}

function onPath(wanted: string, path: string): boolean {
  return (
    wanted === '*' ||
    (wanted.endsWith('*') ? path.startsWith(wanted.slice(0, -1)) : wanted === path)
  )
}
