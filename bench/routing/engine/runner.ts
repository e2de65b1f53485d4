import { PromptCache } from './prompt-cache.ts'
import type { Visit } from './visit.ts'

/** A loaded model: its slots, and who waits for one, first come first served. */
export class Runner {
  readonly model: number
  slots: number
  cache: PromptCache
  readonly waiting: Visit[] = []
  readonly seated: Visit[] = []
  keepAliveMs: number
  /** Of idle times; a timer of an older one means nothing. */
  idleVersion = 0

  constructor(model: number, slots: number, keepAliveMs: number) {
    this.model = model
    this.slots = slots
    this.cache = new PromptCache(slots)
    this.keepAliveMs = keepAliveMs
  }

  get users(): number {
    return this.waiting.length + this.seated.length
  }
}
