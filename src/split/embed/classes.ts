import type { Clock } from '../../core/clock.ts'
import type { InnerAnswer } from '../../core/inner-call.ts'
import { leastCosine, type ProbeNumbers, probeBody, readProbe } from './probe.ts'

/** One model at one server program at one backend: what gives the same numbers as long as it stays. */
export interface Subject {
  /** Of the model's manifest. */
  readonly digest: string
  readonly backend: string
  /** Of the server program; undefined when it does not say. */
  readonly version: string | undefined
}

export interface ClassDoors {
  readonly clock: Clock
  /** Asks exactly this backend to embed; a status other than 200 is a failed probe. */
  readonly askOne: (backend: string, body: Buffer) => Promise<Pick<InnerAnswer, 'status' | 'body'>>
  /** A backend was measured; what it said it took is a first idea of its speed. */
  readonly measured: (subject: Subject, model: string, numbers: ProbeNumbers) => void
}

/** Vectors of different machines are near enough to stand in one index. The requirement's number. */
const cosineMin = 0.9999
/** Backends times models times versions. An entry shares its numbers with its class: some 30 KB for each class. */
const measuredMax = 2_048
const waitingMax = 256
/** After a failed probe; doubled with each further one. */
const pauseMsFirst = 30_000
const pauseMsMax = 600_000

/**
 * Which backends give identical numbers for a model. Nobody can read that from a version or a name of a graphics card,
 * so it is measured: a few fixed texts are embedded by each, one backend at a time, and the answers compared. The
 * result holds until the backend has been away, since it may come back as another machine.
 */
export class EmbedClasses {
  readonly #doors: ClassDoors
  readonly #measured = new Map<string, { subject: Subject; numbers: ProbeNumbers }>()
  readonly #failed = new Map<string, { subject: Subject; untilMs: number; pauseMs: number }>()
  readonly #waiting = new Map<string, { subject: Subject; model: string }>()
  #underWay: { readonly key: string; readonly subject: Subject; isStale: boolean } | undefined

  constructor(doors: ClassDoors) {
    this.#doors = doors
  }

  /** The name of the subject's class; undefined until it is measured. */
  classOf(subject: Subject): string | undefined {
    return this.#measured.get(keyOf(subject))?.numbers.fingerprint
  }

  /** Bytes of one vector as this subject writes it. */
  bytesPerVector(subject: Subject): number | undefined {
    return this.#measured.get(keyOf(subject))?.numbers.bytesPerVector
  }

  /** True for one class, and for two whose vectors were seen to be near enough. */
  isMixable(one: Subject, other: Subject): boolean {
    const ones = this.#measured.get(keyOf(one))?.numbers
    const others = this.#measured.get(keyOf(other))?.numbers
    if (!ones || !others || one.digest !== other.digest) return false
    return ones.fingerprint === others.fingerprint || leastCosine(ones, others) >= cosineMin
  }

  /** The measured backends of a model, by class: for people. */
  byClass(digest: string): string[][] {
    const rows = [...this.#measured.values()].filter(({ subject }) => subject.digest === digest)
    const classes = Map.groupBy(rows, ({ numbers }) => numbers.fingerprint).values()
    return [...classes].map((each) => each.map(({ subject }) => subject.backend))
  }

  areAllMixable(digest: string): boolean {
    const rows = [...this.#measured.values()].filter(({ subject }) => subject.digest === digest)
    return rows.every((one) => rows.every((other) => this.isMixable(one.subject, other.subject)))
  }

  /** Measures it when nothing else is being measured. Asking again while it waits or is under way does nothing. */
  measure(subject: Subject, model: string): void {
    const key = keyOf(subject)
    if (this.#measured.has(key) || this.#waiting.has(key)) return
    if (this.#underWay?.key === key && !this.#underWay.isStale) return
    if ((this.#failed.get(key)?.untilMs ?? 0) > this.#doors.clock.now()) return
    if (this.#waiting.size >= waitingMax) return
    this.#waiting.set(key, { subject, model })
    this.#next()
  }

  /** It was away, or its address changed: whatever is known of it was of the machine before. */
  forget(backend: string): void {
    for (const rows of [this.#measured, this.#failed, this.#waiting])
      for (const [key, { subject }] of rows) if (subject.backend === backend) rows.delete(key)
    // What is on its way tells of the machine before as well: its answer is not taken.
    if (this.#underWay?.subject.backend === backend) this.#underWay.isStale = true
  }

  #next(): void {
    if (this.#underWay !== undefined) return
    const [first] = this.#waiting
    if (!first) return
    const [key, { subject, model }] = first
    this.#waiting.delete(key)
    const probe = { key, subject, isStale: false }
    this.#underWay = probe
    void this.#probe(probe, model).finally(() => {
      this.#underWay = undefined
      this.#next()
    })
  }

  async #probe(
    probe: { readonly key: string; readonly subject: Subject; readonly isStale: boolean },
    model: string,
  ): Promise<void> {
    const { key, subject } = probe
    let numbers: ProbeNumbers | undefined
    try {
      const { status, body } = await this.#doors.askOne(subject.backend, probeBody(model))
      numbers = status === 200 ? readProbe(body) : undefined
    } catch {
      numbers = undefined
    }
    if (probe.isStale) return
    if (!numbers) return this.#pause(key, subject)
    this.#failed.delete(key)
    this.#keep(key, subject, numbers)
    this.#doors.measured(subject, model, numbers)
  }

  #keep(key: string, subject: Subject, numbers: ProbeNumbers): void {
    const rows = [...this.#measured.values()]
    const same = rows.find((row) => row.numbers.fingerprint === numbers.fingerprint)
    this.#measured.set(key, { subject, numbers: same?.numbers ?? numbers })
    if (this.#measured.size > measuredMax)
      this.#measured.delete(this.#measured.keys().next().value!)
  }

  #pause(key: string, subject: Subject): void {
    const before = this.#failed.get(key)?.pauseMs
    const pauseMs = before === undefined ? pauseMsFirst : Math.min(before * 2, pauseMsMax)
    this.#failed.delete(key)
    this.#failed.set(key, { subject, pauseMs, untilMs: this.#doors.clock.now() + pauseMs })
    if (this.#failed.size > measuredMax) this.#failed.delete(this.#failed.keys().next().value!)
  }
}

const keyOf = (subject: Subject) =>
  JSON.stringify([subject.backend, subject.digest, subject.version])
