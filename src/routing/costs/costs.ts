import { Recent } from '../../core/recent.ts'
import type { Work } from '../work.ts'
import { Answers, outTokensUsual } from './answers.ts'
import { Foreign } from './foreign.ts'
import { Guard } from './guard.ts'
import { LoadTimes } from './load-times.ts'
import { Pair } from './pair.ts'
import { decodeSGuess, type KnownPair, Prior, prefillSGuess } from './prior.ts'
import { blankRates, decodeSAt, prefillSAt, type Rates } from './rates.ts'
import type { RequestSize, Sample, ServedBy } from './sample.ts'
import { errorOfGuess, slopeUsual } from './slope.ts'
import { TextWeights } from './text-weights.ts'

/** Models of one endpoint of which rates are kept; the one unused longest is forgotten. */
const pairsOfEndpointMax = 256
const endpointsMax = 4_096
/** Models of which is kept what is usual. */
const modelsMax = 2_000
/**
 * Guesses for pairs that have not met are made anew after so many samples; in a large fleet after as many as there are
 * pairs, so that a sample costs the same in any fleet, and fewer than one decision in a hundred waits for it.
 */
const priorEvery = 64
/** … and with each new pair as long as there are no more than this. */
const pairsFew = 32

/** What is usual for a model, on average over all machines that serve it. */
export interface Usual {
  /** Tokens of the prompt and of the answer. */
  prompt: number
  out: number
  /** Seconds for a token of the prompt and of the answer. */
  readS: number
  writeS: number
}

const usualAtFirst: Readonly<Usual> = {
  prompt: 500,
  out: outTokensUsual,
  readS: prefillSGuess,
  writeS: decodeSGuess,
}
/** What a new answer counts in that. */
const usualShare = 0.05

/**
 * Everything that was learned from answers, and the only place where it is kept. Time comes with every call; there are
 * no timers and no chance in it, so the same samples give the same beliefs.
 */
export class Costs {
  readonly #pairs = new Recent<string, Recent<string, Pair>>(endpointsMax)
  readonly #answers: Answers
  readonly #loads = new LoadTimes()
  readonly #texts = new TextWeights()
  readonly #foreign = new Foreign()
  readonly #guard = new Guard()
  readonly #usual = new Recent<string, Usual>(modelsMax)
  readonly #scratch = blankRates()
  #prefillPrior: Prior | undefined
  #decodePrior: Prior | undefined
  #arePriorsOld = true
  #samplesSincePrior = 0
  #pairsInPrior = 0
  #versions = 0
  #guessesVersion = 0
  #pairsVersion = 0
  /** Pairs that were met, ever. */
  #pairCount = 0

  constructor(answers = new Answers()) {
    this.#answers = answers
  }

  /** What a request is expected to take of whoever serves it. */
  workOf(size: RequestSize): Work {
    const promptTokens = size.textBytes / this.#texts.bytesPerToken(size.model)
    const outTokensMax = size.outTokensMax ?? Number.POSITIVE_INFINITY
    const usual = this.usualOf(size.model)
    const readS = promptTokens * usual.readS
    if (size.op === 'embed')
      return { promptTokens, outTokens: 0, serviceS: readS, outTokensMax: 0, lengths: undefined }
    const lengths = this.#answers.lengthsOf(size)
    const outTokens = lengths.mean(outTokensMax)
    const serviceS = readS + outTokens * usual.writeS
    return { promptTokens, outTokens, serviceS, outTokensMax, lengths }
  }

  bytesPerToken(model: string): number {
    return this.#texts.bytesPerToken(model)
  }

  /** How fast a pair is believed to be, written into `rates`; how long a load takes is asked for apart. */
  ratesOf(rates: Rates, served: ServedBy): void {
    const pair = this.pairOf(served.endpoint, served.weights)
    if (pair && pair.prefill.samples > 0) {
      rates.prefillS = pair.prefill.base
      rates.prefillSlope = pair.prefill.slope
      rates.prefillError = pair.prefill.error
    } else {
      rates.prefillS = this.#prefillGuess().seconds(served.endpoint, served.weights)
      rates.prefillSlope = slopeUsual
      rates.prefillError = errorOfGuess
    }
    if (pair && pair.decode.samples > 0) {
      rates.decodeS = pair.decode.base
      rates.decodeSlope = pair.decode.slope
      rates.decodeError = pair.decode.error
    } else {
      rates.decodeS = this.#decodeGuess().seconds(served.endpoint, served.weights)
      rates.decodeSlope = slopeUsual
      rates.decodeError = errorOfGuess
    }
    rates.samples = pair?.samples ?? 0
  }

  /** Another number than before: pairs have come or gone, and who keeps one looks it up again. */
  get pairsVersion(): number {
    return this.#pairsVersion
  }

  /** What was measured of this pair; undefined: nothing. */
  pairOf(endpoint: string, weights: string): Pair | undefined {
    return this.#pairs.peek(endpoint)?.peek(weights)
  }

  /** Another number than before: what `ratesOf` says of this pair may have changed. Guesses change for all at once. */
  versionOf(pair: Pair | undefined): number {
    if (pair === undefined) return this.#guessesVersion
    return pair.isKnown ? pair.version : Math.max(this.#guessesVersion, pair.version)
  }

  /** Seconds that a load there would take. */
  loadS({ endpoint, weights, sizeBytes }: ServedBy, nowMs: number): number {
    return this.#loads.expectedS(endpoint, weights, sizeBytes, nowMs)
  }

  /** What is usual for this model. */
  usualOf(model: string): Readonly<Usual> {
    return this.#usual.peek(model) ?? usualAtFirst
  }

  /** Seconds of others' work at an endpoint. */
  foreignS(endpoint: string, nowMs: number): number {
    return this.#foreign.at(endpoint, nowMs)
  }

  /** Why predictions for a model are not to be used; undefined: they may be. */
  distrust(model: string): string | undefined {
    if (!this.#guard.isBad(model)) return undefined
    const error = Math.round(100 * this.#guard.medianError(model))
    return `half of the last predictions for ${model} were off by more than ${error} %`
  }

  /** Models whose predictions are not used at present. */
  distrusted(): string[] {
    return this.#guard.bad()
  }

  medianError(model: string): number {
    return this.#guard.medianError(model)
  }

  /** A load of ours took so long, the room for it made before. */
  learnLoad({ endpoint, weights, sizeBytes }: ServedBy, seconds: number, nowMs: number): void {
    this.#loads.learn(endpoint, weights, sizeBytes, seconds, nowMs)
  }

  unloaded(endpoint: string, weights: string, nowMs: number): void {
    this.#loads.unloaded(endpoint, weights, nowMs)
  }

  /** Gives true when it turned over whether predictions for its model are used. */
  learn(sample: Sample): boolean {
    const { figures, size, endpoint, weights, endedMs } = sample
    const times = timesOf(sample)
    if (figures && sample.whole) {
      this.#texts.learn(size.model, size.textBytes, figures.promptTokens)
    }
    if (size.op !== 'embed') this.#learnLength(sample)
    if (!times) return false
    if (sample.whole) this.#noteUsual(size.model, times)
    const turned = this.#compare(sample, times)
    const pair = this.#pairOf(endpoint, weights)
    const isNew = pair.samples === 0
    pair.learnPrefill(times.promptTokens, sample.cachedTokens, times.promptS, sample.streams)
    pair.learnDecode(times.outTokens, times.outS, sample.streams)
    // A seat that may not exist hides a wait behind our own work, and a load explains a wait as well.
    if (!sample.asTry && sample.loadMs === 0 && times.hiddenS !== undefined)
      this.#foreign.noticed(endpoint, times.hiddenS, endedMs)
    if (isNew) this.#pairCount++
    const few = isNew && this.#pairCount <= pairsFew
    if (++this.#samplesSincePrior >= Math.max(priorEvery, this.#pairsInPrior) || few)
      this.#agePriors()
    return turned
  }

  /** Under this name there may be another machine from now on. */
  forget(endpoint: string): void {
    this.#pairs.delete(endpoint)
    this.#pairsVersion++
    this.#loads.forget(endpoint)
    this.#foreign.forget(endpoint)
    this.#prefillPrior = undefined
    this.#decodePrior = undefined
    this.#agePriors()
  }

  /** Rates that were measured, for those who show them. */
  *known(): Iterable<{ endpoint: string; weights: string; pair: Pair }> {
    for (const [endpoint, pairs] of this.#pairs)
      for (const [weights, pair] of pairs) yield { endpoint, weights, pair }
  }

  #compare({ size, endpoint, weights, streams, cachedTokens }: Sample, times: Times): boolean {
    if (times.promptTokens + times.outTokens < 32) return false
    const rates = this.#scratch
    this.ratesOf(rates, { endpoint, weights, sizeBytes: undefined })
    // A guess that was wrong is no broken belief; there was none.
    if (rates.samples < 3) return false
    const read = Math.max(0, times.promptTokens - cachedTokens)
    const predictedS =
      read * prefillSAt(rates, streams) + times.outTokens * decodeSAt(rates, streams)
    return this.#guard.compare(size.model, predictedS, times.promptS + times.outS)
  }

  #noteUsual(model: string, { promptTokens, promptS, outTokens, outS }: Times): void {
    let usual = this.#usual.get(model)
    const share = usual ? usualShare : 1
    if (!usual) {
      usual = { ...usualAtFirst }
      this.#usual.set(model, usual)
    }
    usual.prompt += share * (promptTokens - usual.prompt)
    usual.out += share * (outTokens - usual.out)
    if (promptTokens > 0 && promptS > 0)
      usual.readS += share * (promptS / promptTokens - usual.readS)
    if (outTokens > 1 && outS > 0) usual.writeS += share * (outS / outTokens - usual.writeS)
  }

  #learnLength({ size, figures, pieces, whole }: Sample): void {
    const tokens = whole ? (figures?.outputTokens ?? 0) : pieces
    if (tokens <= 0) return
    // One that was cut short says only that it would have been longer: it counts a little, at what it had.
    const weight = whole ? 1 : 0.2
    this.#answers.learn(size, tokens, weight)
  }

  #pairOf(endpoint: string, weights: string): Pair {
    let pairs = this.#pairs.get(endpoint)
    if (!pairs) {
      pairs = new Recent(pairsOfEndpointMax)
      this.#pairs.set(endpoint, pairs)
    }
    let pair = pairs.get(weights)
    if (!pair) {
      pair = new Pair()
      pairs.set(weights, pair)
      this.#pairsVersion++
    }
    pair.version = ++this.#versions
    return pair
  }

  #prefillGuess(): Prior {
    this.#refit()
    return this.#prefillPrior!
  }

  #decodeGuess(): Prior {
    this.#refit()
    return this.#decodePrior!
  }

  #refit(): void {
    if (!this.#arePriorsOld) return
    this.#arePriorsOld = false
    this.#prefillPrior = new Prior(this.#knownBy('prefill'), prefillSGuess, this.#prefillPrior)
    const known = this.#knownBy('decode')
    this.#decodePrior = new Prior(known, decodeSGuess, this.#decodePrior)
    this.#pairsInPrior = known.length
  }

  #knownBy(what: 'prefill' | 'decode'): KnownPair[] {
    const known: KnownPair[] = []
    for (const [endpoint, pairs] of this.#pairs)
      for (const [weights, pair] of pairs) {
        const slope = pair[what]
        if (slope.samples > 0) known.push({ endpoint, weights, logS: Math.log(slope.base) })
      }
    return known
  }

  #agePriors(): void {
    this.#arePriorsOld = true
    this.#samplesSincePrior = 0
    this.#guessesVersion = ++this.#versions
  }
}

/** Seconds that a request of such a size takes where so many streams run. */
export function secondsOf({ prompt, out }: Readonly<Usual>, rates: Rates, streams: number): number {
  return prompt * prefillSAt(rates, streams) + out * decodeSAt(rates, streams)
}

interface Times {
  readonly promptTokens: number
  readonly promptS: number
  readonly outTokens: number
  readonly outS: number
  /** Undefined: the answer does not tell the parts of its time. */
  readonly hiddenS: number | undefined
}

/** Ollama's own durations, or our own clock where an answer has none or was cut short. */
function timesOf(sample: Sample): Times | undefined {
  const { figures, tookMs, loadMs, firstTokenMs } = sample
  if (figures && figures.promptNs + figures.outputNs > 0)
    return {
      promptTokens: figures.promptTokens,
      promptS: figures.promptNs / 1e9,
      outTokens: figures.outputTokens,
      outS: figures.outputNs / 1e9,
      hiddenS: (figures.totalNs - figures.loadNs - figures.promptNs - figures.outputNs) / 1e9,
    }
  if (figures && sample.size.op === 'embed') {
    const totalS =
      figures.totalNs > 0 ? (figures.totalNs - figures.loadNs) / 1e9 : (tookMs - loadMs) / 1e3
    return {
      promptTokens: figures.promptTokens,
      promptS: totalS,
      outTokens: 0,
      outS: 0,
      hiddenS: undefined,
    }
  }
  if (firstTokenMs === undefined || sample.pieces < 2 || sample.asTry) return undefined
  return {
    promptTokens: figures?.promptTokens ?? 0,
    promptS: (firstTokenMs - loadMs) / 1_000,
    outTokens: figures?.outputTokens || sample.pieces,
    outS: (tookMs - firstTokenMs) / 1_000,
    hiddenS: undefined,
  }
}
