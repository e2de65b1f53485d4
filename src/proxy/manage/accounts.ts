import type { Endpoint } from '../../pool/endpoint.ts'
import { askEndpoint } from '../ask-backend.ts'
import type { FanOutDoors } from './fan-out.ts'
import { reachable } from './targets.ts'

/** Somebody may sign in or out at a backend itself; each question makes that backend ask ollama.com. */
const rememberedMs = 60_000
const askMsMax = 2_000

/** Accounts live on a server each. The fleet has one: that of the first backend that is signed in. */
export class Accounts {
  readonly #doors: FanOutDoors
  #known: { name: string; untilMs: number } | undefined

  constructor(doors: FanOutDoors) {
    this.#doors = doors
  }

  /** Undefined: nobody is there at all. With nobody signed in it is the first, who says where to do it. */
  async holder(): Promise<Endpoint | undefined> {
    const { pool, clock } = this.#doors
    const able = reachable(pool.endpoints)
    if (able.length < 2) return able[0]
    const known = this.#known
    const remembered = able.find(({ name }) => name === known?.name)
    if (known && remembered && clock.now() < known.untilMs) return remembered
    const signedIn = await Promise.all(able.map((endpoint) => this.#isSignedIn(endpoint)))
    const found = able.find((_, index) => signedIn[index])
    this.#known = found && { name: found.name, untilMs: clock.now() + rememberedMs }
    return found ?? able[0]
  }

  /** Somebody signs out: who has an account is asked anew. */
  forget(): void {
    this.#known = undefined
  }

  async #isSignedIn(endpoint: Endpoint): Promise<boolean> {
    const { wire, clock, hop } = this.#doors
    const question = { method: 'POST', path: '/api/me', timeoutMs: askMsMax }
    const { outcome } = await askEndpoint(wire, clock, hop, endpoint, question)
    return outcome.kind === 'answered'
  }
}
