/** What happens when, in virtual time: a binary heap, first come first among equal moments. */
export class Agenda {
  #nowMs = 0
  #count = 0
  #serial = 0
  #times = new Float64Array(1_024)
  #serials = new Float64Array(1_024)
  readonly #acts: (() => void)[] = []
  #done = 0

  get nowMs(): number {
    return this.#nowMs
  }

  /** How many things have happened. */
  get done(): number {
    return this.#done
  }

  at(momentMs: number, act: () => void): void {
    if (this.#count === this.#times.length) this.#grow()
    let hole = this.#count++
    const serial = this.#serial++
    const time = Math.max(momentMs, this.#nowMs)
    while (hole > 0) {
      const parent = (hole - 1) >> 1
      if (this.#times[parent]! <= time) break
      this.#move(parent, hole)
      hole = parent
    }
    this.#put(hole, time, serial, act)
  }

  /** Plays everything up to the moment; ends earlier when nothing is left to happen, or nothing is wanted any more. */
  playUntil(momentMs: number, isEnough: () => boolean = never): void {
    while (this.#count > 0 && this.#times[0]! <= momentMs && !isEnough()) this.#playFirst()
  }

  #playFirst(): void {
    this.#nowMs = this.#times[0]!
    const act = this.#acts[0]!
    const last = --this.#count
    const time = this.#times[last]!
    const serial = this.#serials[last]!
    const moved = this.#acts.pop()!
    if (last > 0) this.#sink(time, serial, moved)
    this.#done++
    act()
  }

  #sink(time: number, serial: number, act: () => void): void {
    let hole = 0
    for (;;) {
      let child = 2 * hole + 1
      if (child >= this.#count) break
      if (child + 1 < this.#count && this.#isBefore(child + 1, child)) child++
      if (time < this.#times[child]!) break
      if (time === this.#times[child]! && serial < this.#serials[child]!) break
      this.#move(child, hole)
      hole = child
    }
    this.#put(hole, time, serial, act)
  }

  #isBefore(one: number, other: number): boolean {
    const apart = this.#times[one]! - this.#times[other]!
    return apart < 0 || (apart === 0 && this.#serials[one]! < this.#serials[other]!)
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#times[from]!, this.#serials[from]!, this.#acts[from]!)
  }

  #put(at: number, time: number, serial: number, act: () => void): void {
    this.#times[at] = time
    this.#serials[at] = serial
    this.#acts[at] = act
  }

  #grow(): void {
    const times = new Float64Array(2 * this.#times.length)
    const serials = new Float64Array(2 * this.#serials.length)
    times.set(this.#times)
    serials.set(this.#serials)
    this.#times = times
    this.#serials = serials
  }
}

function never(): boolean {
  return false
}
