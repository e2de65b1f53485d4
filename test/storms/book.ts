import type { Gone } from './client.ts'
import type { Judged, Verdict } from './judge.ts'
import type { Fact } from './proxy-host.ts'

/** So many are kept as they were said; the others are counted. */
const complaintsKept = 40

/** What the clients had and what the proxy told of it, side by side. */
export class Book {
  readonly verdicts: Record<Verdict, number> = {
    complete: 0,
    error: 0,
    refused: 0,
    broken: 0,
    left: 0,
  }
  exchanges = 0
  readonly #told = new Map<string, Fact>()
  readonly #gone: { readonly gone: Gone; readonly judged: Judged }[] = []
  readonly #complaints: string[] = []
  #more = 0

  get complaints(): readonly string[] {
    return this.#more === 0 ? this.#complaints : [...this.#complaints, `and ${this.#more} more`]
  }

  complain(what: string): void {
    if (this.#complaints.length < complaintsKept) this.#complaints.push(what)
    else this.#more++
  }

  told(fact: Fact): void {
    const [id, , code] = fact
    if (this.#told.has(id)) this.complain(`${id} has ended twice`)
    if (code === 'internal') this.complain(`${id} failed inside the proxy`)
    this.#told.set(id, fact)
  }

  write(gone: Gone, judged: Judged): void {
    this.exchanges++
    const { id, way, stream } = gone.errand
    if (judged.verdict === 'complaint')
      this.complain(`${id} ${way}${stream ? ', a stream' : ''}: ${judged.why}`)
    else this.verdicts[judged.verdict]++
    this.#gone.push({ gone, judged })
  }

  /** Everything has been told: each client's end is held against the proxy's sentence of it. */
  close(): void {
    for (const { gone, judged } of this.#gone) {
      const { errand, mustBeKnown } = gone
      // Lists are answered from memory, and nobody tells of them.
      if (errand.way === 'list') continue
      const fact = this.#told.get(errand.id)
      if (!fact) {
        if (mustBeKnown) this.complain(`${errand.id} ${errand.way} never ended (${judged.verdict})`)
        continue
      }
      const [, ending] = fact
      if (!fits(judged.verdict, ending))
        this.complain(`${errand.id} ${errand.way} was ${judged.verdict}, and was told as ${ending}`)
    }
  }
}

function fits(verdict: Judged['verdict'], ending: string): boolean {
  switch (verdict) {
    case 'complete':
      return ending === 'ok'
    case 'error':
    case 'refused':
    case 'broken':
      return ending !== 'ok'
    case 'left':
    case 'complaint':
      return true
  }
}
