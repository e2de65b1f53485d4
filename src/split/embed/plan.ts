import { embeddingsBytesMax } from '../../core/inner-call.ts'
import { finishMs } from './sizes.ts'

/** `embed.split`: never, among machines that give identical numbers, also among those that are near enough. */
export type EmbedSplit = 'off' | 'same-class' | 'all'

/** A batch as far as the decision needs it. */
export interface Batch {
  readonly items: number
  /** Of text, in bytes as written. */
  readonly textBytes: number
  /** As `Weights` has it. */
  readonly weight: number
  /** The client's own num_ctx, the same for every backend; undefined: each has its default. */
  readonly contextAsked: number | undefined
  /** Whether every item surely has no more tokens. Asked last, since it looks at all of them. */
  readonly surelyFits: (contextTokens: number) => boolean
}

/** A backend that could serve the batch now. */
export interface Machine {
  readonly name: string
  readonly digest: string
  readonly version: string | undefined
  readonly seats: number
  /** Tokens of a model that is not loaded there, and of the runner that is. */
  readonly contextDefault: number
  readonly contextLoaded: number | undefined
  readonly contextTrained: number | undefined
  readonly resident: boolean
  /** Loading the model there for a probe would not push out anything that somebody may need. */
  readonly mayLoadQuietly: boolean
  /** Bytes of weight a millisecond of one part; undefined: no part has shown it yet. */
  readonly weightPerMs: number | undefined
  /** A first idea of it. */
  readonly weightPerMsHint: number | undefined
  /** Undefined: not measured yet. */
  readonly classId: string | undefined
  readonly bytesPerVector: number | undefined
}

/** Who takes part, with the speed that is reckoned with. */
export interface Member {
  readonly machine: Machine
  readonly lanes: number
  readonly weightPerMs: number
  /** The speed is a guess: the first part is a small one, to find out. */
  readonly isGuess: boolean
}

export type WhyWhole =
  | 'off'
  | 'small'
  | 'oneBackend'
  | 'unmeasured'
  | 'otherNumbers'
  | 'longItems'
  | 'largeAnswer'
  | 'notWorthLoading'

export type EmbedPlan = {
  /** Backends whose class is not known and should be. */
  readonly measure: readonly Machine[]
} & (
  | { readonly kind: 'split'; readonly members: readonly Member[] }
  | { readonly kind: 'whole'; readonly why: WhyWhole }
)

/** Below either, one server is done before two have begun. The requirement leaves the numbers to us. */
export const itemsMin = 16
export const textBytesMin = 8_192
/**
 * One request with many items already takes every slot of an Ollama: its handler asks for all at once. So a second
 * part at the same backend only fills the gap while an answer travels.
 */
const lanesMax = 2
/** With more machines a batch would not end much sooner, and each has parts in flight. */
const membersMax = 32
/** A guess for the time a model takes to load, where it decides whether another machine is worth the trouble. */
const loadMs = 5_000
/** Of a machine that nobody measured: a small model on a processor. Only proportions matter. */
const weightPerMsGuess = 100

/**
 * Splits a batch over machines, or says why it goes whole to one. Pure. `machines` hold one digest, may serve now, and
 * are in the order of the configuration.
 */
export function planBatch(
  batch: Batch,
  machines: readonly Machine[],
  setting: EmbedSplit,
  isMixable: (one: Machine, other: Machine) => boolean,
): EmbedPlan {
  const whole = (why: WhyWhole, measure: readonly Machine[] = []): EmbedPlan => ({
    kind: 'whole',
    why,
    measure,
  })
  if (setting === 'off') return whole('off')
  if (batch.items < itemsMin || batch.textBytes < textBytesMin) return whole('small')
  if (machines.length < 2) return whole('oneBackend')

  const measure = machines.filter(
    ({ classId, resident, mayLoadQuietly }) =>
      classId === undefined && (resident || mayLoadQuietly),
  )
  const measured = machines.filter(({ classId }) => classId !== undefined)
  if (measured.length < 2) return whole('unmeasured', measure)

  const alike = withTheSameNumbers(measured, setting, isMixable)
  if (alike.length < 2) return whole('otherNumbers', measure)
  const members = worthWaitingFor(membersOf(alike), batch.weight)
  if (members.length < 2) return whole('notWorthLoading', measure)
  const bytesPerVector = Math.max(...alike.map((machine) => machine.bytesPerVector ?? 0))
  if (batch.items * bytesPerVector > embeddingsBytesMax) return whole('largeAnswer', measure)
  // Last, since it looks at every text.
  const machinesUsed = members.map(({ machine }) => machine)
  if (!areCutAlike(batch, machinesUsed)) return whole('longItems', measure)
  return { kind: 'split', members, measure }
}

/**
 * The most powerful class of several machines; under `all`, with every other class that is near enough to all that are
 * in. None when a single machine does as well: left whole, the batch goes to any of them, at their mean speed.
 */
function withTheSameNumbers(
  machines: readonly Machine[],
  setting: EmbedSplit,
  isMixable: (one: Machine, other: Machine) => boolean,
): Machine[] {
  // All are weighed together, since the mean stands for those of whom no speed is known.
  const members = membersOf(machines)
  const classes = [...Map.groupBy(members, ({ machine }) => machine.classId!).values()]
    .toSorted((one, other) => powerOf(other) - powerOf(one))
    .map((each, place, all) =>
      setting === 'all' ? withNear(each, all.toSpliced(place, 1), isMixable) : each,
    )
    .filter((each) => each.length > 1)
    .toSorted((one, other) => powerOf(other) - powerOf(one))
  const [best] = classes
  const mean = members.reduce((sum, each) => sum + each.weightPerMs, 0) / members.length
  return best && powerOf(best) > mean ? best.map(({ machine }) => machine) : []
}

/** A class with the others that are near enough to every class that is in already. */
function withNear(
  first: readonly Member[],
  others: readonly (readonly Member[])[],
  isMixable: (one: Machine, other: Machine) => boolean,
): Member[] {
  const chosen = [first]
  for (const more of others)
    if (chosen.every(([one]) => isMixable(one!.machine, more[0]!.machine))) chosen.push(more)
  return chosen.flat()
}

function powerOf(members: readonly Member[]): number {
  return members.reduce((sum, { lanes, weightPerMs }) => sum + lanes * weightPerMs, 0)
}

function membersOf(machines: readonly Machine[]): Member[] {
  const known = machines.flatMap((machine) => machine.weightPerMs ?? machine.weightPerMsHint ?? [])
  const guess =
    known.length === 0
      ? weightPerMsGuess
      : known.reduce((sum, each) => sum + each, 0) / known.length
  const members = machines.map((machine) => ({
    machine,
    lanes: Math.min(lanesMax, Math.max(1, machine.seats)),
    weightPerMs: machine.weightPerMs ?? machine.weightPerMsHint ?? guess,
    isGuess: machine.weightPerMs === undefined,
  }))
  return members.sort((one, other) => other.weightPerMs - one.weightPerMs).slice(0, membersMax)
}

/** Without those where the model would have to be loaded first, unless the batch takes longer than that anyway. */
function worthWaitingFor(members: readonly Member[], weight: number): Member[] {
  const loaded = members.filter(({ machine }) => machine.resident)
  const lanes = loaded.map(({ weightPerMs, lanes }) => ({
    freeInMs: 0,
    weightPerMs: weightPerMs * lanes,
  }))
  return loaded.length > 0 && finishMs(weight, lanes) <= loadMs ? loaded : [...members]
}

/**
 * Whether a text that is too long would be cut at the same token everywhere, or none is too long. Ollama cuts at the
 * smaller of the runner's context and the length that the model was trained with (server/routes.go, EmbedHandler). So
 * where every machine's context holds the trained length, all cut there, whatever the text (if they run the same
 * program); and a context that the client itself asked for is the same for all. Otherwise every text must surely fit
 * the smallest. A runner that somebody loaded with a larger context than the default may be gone a moment later, so of
 * the two the smaller counts.
 */
function areCutAlike(batch: Batch, machines: readonly Machine[]): boolean {
  const contexts = machines.map(({ contextDefault, contextLoaded }) =>
    Math.min(contextDefault, contextLoaded ?? contextDefault),
  )
  const smallest = batch.contextAsked ?? Math.min(...contexts)
  const trained = machines[0]?.contextTrained
  const isOneProgram = machines.every(({ version }) => version === machines[0]?.version)
  const isCutByTheModel =
    trained !== undefined &&
    trained <= smallest &&
    machines.every(({ contextTrained }) => contextTrained === trained)
  if (isOneProgram && (isCutByTheModel || batch.contextAsked !== undefined)) return true
  return batch.surelyFits(Math.min(smallest, trained ?? smallest))
}
