import { type Dice, seededDice } from '../../src/core/dice.ts'
import { type StormEvent, troubles } from './troubles.ts'

/** The ways in which a storm asks; `split` and `parts` are cut by the proxy, the latter on a native route. */
export const ways = [
  '/api/chat',
  '/api/generate',
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/messages',
  '/v1/responses',
  '/api/embed',
  '/v1/embeddings',
  '/generate',
  'split',
  'parts',
  'list',
] as const
export type Way = (typeof ways)[number]

/** When a client goes away, and how. */
export interface Leave {
  readonly when: 'in the head' | 'in the body' | 'waiting' | 'reading'
  /** Milliseconds of waiting, or bytes of an answer, that it has patience for. */
  readonly patience: number
  readonly by: 'closing' | 'a reset' | 'half'
}

/** One request of a storm, with everything that its client will do. */
export interface Errand {
  readonly id: string
  readonly way: Way
  readonly model: string
  readonly stream: boolean
  /** What is asked; of a batch or a split, one text for each part. */
  readonly texts: readonly string[]
  /** So that a body is kept in a file. */
  readonly padChars: number
  readonly temperature: 0 | 0.7
  /** Undefined: as long as the model likes. */
  readonly tokens: number | undefined
  /** What is wrong with the request itself. */
  readonly flaw: 'no JSON' | 'no such model' | undefined
  readonly sends: 'at once' | 'in pieces'
  readonly reads: 'at once' | 'slowly'
  readonly leave: Leave | undefined
  /** It wants the connection to be closed behind it. */
  readonly closes: boolean
  /** It wants no other backend to go on with its answer: an error has to end it. */
  readonly stays: boolean
}

export type Step =
  /** One after another on one connection; several are sent ahead, together. */
  | { readonly kind: 'ask'; readonly errands: readonly Errand[] }
  | { readonly kind: 'event'; readonly event: StormEvent }

export interface Script {
  readonly seed: number
  /** Nobody leaves and nothing fails. */
  readonly before: readonly Step[]
  /** A little of everything, so that all is loaded and compiled: to what is measured behind it the storm has to come back. */
  readonly squall: readonly Step[]
  readonly storm: readonly Step[]
  /** Everything has returned, and everybody must be served. */
  readonly after: readonly Step[]
}

export const exact = 'steady'
export const anew = 'anew'
export const embedder = 'all-minilm'
/** Models that go on to the letter, or from the beginning to the letter: nothing else can be foretold. */
export const models = [
  { name: exact, kind: 'continues' },
  { name: anew, kind: 'begins-anew' },
  { name: embedder },
] as const

/** Of what comes before the storm and behind it. */
const shares = { before: 0.1, squall: 0.25, after: 0.05 }

/** The whole of a storm, told by one number: the same number, the same storm. */
export function scriptOf(seed: number, exchanges: number): Script {
  const dice = seededDice(seed)
  let asked = 0
  const some = (count: number, wild: boolean, isDue: () => StormEvent | undefined): Step[] => {
    const steps: Step[] = []
    const end = asked + count
    while (asked < end) {
      const event = isDue()
      if (event) steps.push({ kind: 'event', event })
      const group = groupSize(dice, wild, end - asked)
      const errands = Array.from({ length: group }, () =>
        errandOf(dice, `s${seed}-${asked++}`, wild && group === 1),
      )
      steps.push({ kind: 'ask', errands })
    }
    return steps
  }
  const calm = (count: number) => some(count, false, () => undefined)
  const wild = (count: number) => {
    const events = troubles(dice, asked, asked + count)
    const steps = some(count, true, () =>
      events[0] && events[0].at <= asked ? events.shift() : undefined,
    )
    return [...steps, ...events.map((event) => ({ kind: 'event', event }) as const)]
  }
  const counts = {
    before: Math.round(exchanges * shares.before),
    squall: Math.round(exchanges * shares.squall),
    after: Math.round(exchanges * shares.after),
  }
  const rest = exchanges - counts.before - counts.squall - counts.after
  // In this order: each takes its numbers from the same dice.
  const before = calm(counts.before)
  const squall = wild(counts.squall)
  const storm = wild(rest)
  return { seed, before, squall, storm, after: calm(counts.after) }
}

function groupSize(dice: Dice, wild: boolean, most: number): number {
  if (dice.roll() >= 0.02) return 1
  // Only whole requests are sent ahead; who leaves or dawdles does it alone.
  return Math.min(most, wild ? 2 + Math.floor(dice.roll() * 4) : 2)
}

/** How often each way is gone, of a hundred. */
const often: Readonly<Record<Way, number>> = {
  '/api/chat': 24,
  '/api/generate': 16,
  '/v1/chat/completions': 16,
  '/v1/completions': 5,
  '/v1/messages': 10,
  '/v1/responses': 5,
  '/api/embed': 8,
  '/v1/embeddings': 3,
  '/generate': 6,
  split: 1.5,
  parts: 0.5,
  list: 5,
}

function errandOf(dice: Dice, id: string, alone: boolean): Errand {
  const chance = (share: number) => dice.roll() < share
  const way = oneOf(dice, often)
  const batch = way === '/api/embed' || way === '/v1/embeddings'
  const cut = way === 'split' || way === 'parts'
  const count = cut ? 2 + Math.floor(dice.roll() * 3) : batch ? batchSize(dice) : 1
  const subject = Math.floor(dice.roll() * 1e6)
  const temperature = chance(0.5) ? 0 : 0.7
  const flaw =
    way === 'list' || !chance(0.02) ? undefined : chance(0.5) ? 'no JSON' : 'no such model'
  return {
    id,
    way,
    model: batch ? embedder : chance(0.75) ? exact : anew,
    stream: !batch && way !== 'list' && chance(0.5),
    texts: Array.from({ length: count }, (_, index) => `${id}: tell of ${subject + index} things`),
    padChars: count === 1 && chance(0.01) ? 12_000 : 0,
    temperature,
    tokens: chance(0.7) ? 2 + Math.floor(dice.roll() * 3) : undefined,
    flaw,
    sends: alone && chance(0.04) ? 'in pieces' : 'at once',
    reads: alone && chance(0.04) ? 'slowly' : 'at once',
    leave: alone && chance(0.12) ? leaveOf(dice) : undefined,
    closes: alone && chance(0.03),
    stays: chance(0.2),
  }
}

/** One in a hundred is too large for what the kernel holds, so that its reader's pace is felt. */
function batchSize(dice: Dice): number {
  const roll = dice.roll()
  return roll < 0.01 ? 300 : roll < 0.2 ? 24 : 1 + Math.floor(roll * 3)
}

function leaveOf(dice: Dice): Leave {
  const when = oneOf(dice, { 'in the head': 1, 'in the body': 1, waiting: 4, reading: 4 })
  const by = oneOf(dice, { closing: 3, 'a reset': 2, half: 1 })
  const patience = when === 'reading' ? 1 + dice.roll() * 600 : dice.roll() ** 2 * 400
  return { when, by, patience: Math.round(patience) }
}

export function oneOf<Name extends string>(dice: Dice, weights: Readonly<Record<Name, number>>) {
  const names = Object.keys(weights) as Name[]
  const sum = names.reduce((all, name) => all + weights[name], 0)
  let left = dice.roll() * sum
  for (const name of names) {
    left -= weights[name]
    if (left < 0) return name
  }
  return names[0]!
}
