import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import { type Bar, barOf, contextAt, isCapable } from './filters.ts'
import type { Need } from './need.ts'
import type { Candidate } from './pickers.ts'

/** Who can not serve a need, and why. `smallContext`: the prompt would be cut there, and not everywhere. */
export interface Barred {
  readonly endpoint: string
  readonly bar: Bar | 'smallContext'
}

/**
 * Who could serve a need: the numbers of endpoints among all there are, and beside each the model that it has. Kept and
 * filled anew for each need, up to `count`; an object for each endpoint would be most of what a decision leaves behind.
 */
export interface Able {
  count: number
  readonly at: number[]
  readonly models: (ModelView | undefined)[]
}

export function noneAble(): Able {
  return { count: 0, at: [], models: [] }
}

/**
 * Finds who could serve this need, now or when a seat comes free; none: nobody can, and `barsOf` says why. Who can not
 * is added to `barred`.
 */
export function findAble(
  able: Able,
  endpoints: readonly EndpointView[],
  need: Need,
  barred: Barred[],
): void {
  addAble(able, endpoints, need, barred)
  if (able.count === 0) addWhoCanOnlySayNo(able, endpoints, need)
  if (able.count === 0) addWhoRests(able, endpoints, need)
  if (need.cloud) keepListing(able)
  else if (need.promptTokens !== 0 && able.count > 1) keepWithRoom(able, endpoints, need, barred)
}

/** The same as a list, for those who do not ask all the time. */
export function candidatesFor(
  endpoints: readonly EndpointView[],
  need: Need,
  barred: Barred[],
): Candidate[] {
  const able = noneAble()
  findAble(able, endpoints, need, barred)
  return able.at
    .slice(0, able.count)
    .map((at, index) => ({ endpoint: endpoints[at]!, model: able.models[index] }))
}

/** Whether there is anybody at all who could serve it; mostly the first one that is looked at. */
export function isServable(endpoints: readonly EndpointView[], need: Need): boolean {
  for (const endpoint of endpoints)
    if (barOf(endpoint, endpoint.model(need.model), need) === undefined) return true
  const able = noneAble()
  addWhoCanOnlySayNo(able, endpoints, need)
  if (able.count === 0) addWhoRests(able, endpoints, need)
  return able.count > 0
}

export function barsOf(endpoints: readonly EndpointView[], need: Need): Map<string, Bar> {
  const bars = new Map<string, Bar>()
  for (const endpoint of endpoints) {
    const bar = barOf(endpoint, endpoint.model(need.model), need)
    if (bar !== undefined) bars.set(endpoint.name, bar)
  }
  return bars
}

function addAble(
  able: Able,
  endpoints: readonly EndpointView[],
  need: Need,
  barred: Barred[] | undefined,
): void {
  able.count = 0
  for (let at = 0; at < endpoints.length; at++) {
    const endpoint = endpoints[at]!
    const model = endpoint.model(need.model)
    const bar = barOf(endpoint, model, need)
    if (bar === undefined) add(able, at, model)
    else barred?.push({ endpoint: endpoint.name, bar })
  }
}

function add(able: Able, at: number, model: ModelView | undefined): void {
  able.at[able.count] = at
  able.models[able.count] = model
  able.count++
}

/**
 * A model that can not do what is asked, wherever it is: one that has it says so, in the very words of Ollama. Not
 * while somebody has it who can, and is only away for now or has failed already.
 */
function addWhoCanOnlySayNo(able: Able, endpoints: readonly EndpointView[], need: Need): void {
  if (need.capabilities.length === 0) return
  const capable = endpoints.some((endpoint) => {
    const model = endpoint.model(need.model)
    if (!model || !isCapable(model, need)) return false
    const bar = barOf(endpoint, model, need)
    return bar !== undefined && isForNow.has(bar)
  })
  if (!capable) addAble(able, endpoints, { ...need, capabilities: [] }, undefined)
}

/** Bars of those that can, but not now or not once more. */
const isForNow: ReadonlySet<Bar> = new Set(['tried', 'underWay', 'away', 'draining', 'resting'])

/** Where all who could serve it rest, a rest protects nobody: they are asked all the same, but not by a second attempt. */
function addWhoRests(able: Able, endpoints: readonly EndpointView[], need: Need): void {
  if (need.not.size > 0 || need.beside !== undefined) return
  for (let at = 0; at < endpoints.length; at++) {
    const model = endpoints[at]!.model(need.model)
    if (barOf(endpoints[at]!, model, need) === 'resting' && (!model || isCapable(model, need)))
      add(able, at, model)
  }
}

/** A cloud model needs no copy on disk, only a server that is signed in: who lists it probably is. */
function keepListing(able: Able): void {
  const { at, models, count } = able
  if (!models.slice(0, count).some((model) => model !== undefined)) return
  able.count = 0
  for (let index = 0; index < count; index++)
    if (models[index] !== undefined) add(able, at[index]!, models[index])
}

/**
 * Those whose context holds the prompt. When none does, those with the largest: Ollama cuts such a prompt by itself,
 * and refusing here what a single server would answer is no improvement.
 */
function keepWithRoom(
  able: Able,
  endpoints: readonly EndpointView[],
  need: Need,
  barred: Barred[],
): void {
  const { at, models, count } = able
  let largest = 0
  let fitting = 0
  for (let index = 0; index < count; index++) {
    const context = contextAt(endpoints[at[index]!]!, models[index])
    if (context > largest) largest = context
    if (context >= need.promptTokens) fitting++
  }
  if (fitting === count) return
  const enough = Math.min(need.promptTokens, largest)
  able.count = 0
  for (let index = 0; index < count; index++) {
    const endpoint = endpoints[at[index]!]!
    const model = models[index]
    if (contextAt(endpoint, model) >= enough) add(able, at[index]!, model)
    else barred.push({ endpoint: endpoint.name, bar: 'smallContext' })
  }
}
