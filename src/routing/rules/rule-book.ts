import type { Capability } from '../../core/ask.ts'
import { matchesModel } from '../../core/model-name.ts'
import type { PlaceWords, Rule, RuleWhen } from '../../core/settings.ts'
import { matchesAny } from '../../core/wildcard.ts'
import type { Placement } from './placement.ts'

/** What a request is known by when the rules are read. */
export interface RuledRequest {
  /** As the log names it: `user:…`, `key:…`, or an address. */
  readonly tenant: string
  /** Canonical name of the model that would answer. */
  readonly model: string
  /** The name that the client used, where it is another one. */
  readonly askedModel: string
  readonly work: string
  readonly labels: readonly string[]
  readonly promptTokens: number
  readonly needs: readonly Capability[]
}

/** Placements that are kept. There are as many as sets of rules that fit together; beyond this they are made anew. */
const placementsMax = 1_000
const userMark = 'user:'

/**
 * The operator's rules, read from the first to the last. Of each kind of word (`only`, `never`, `prefer`, `priority`,
 * `use_model`) the first rule that fits and has one counts, so that a rule for one thing does not hide one for another.
 */
export class RuleBook {
  readonly #rules: readonly Rule[]
  readonly #placements = new Map<string, Placement>()

  constructor(rules: readonly Rule[]) {
    this.#rules = rules
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0
  }

  placementOf(request: RuledRequest): Placement {
    let [only, never, prefer, priority, useModel] = [-1, -1, -1, -1, -1]
    for (let at = 0; at < this.#rules.length; at++) {
      const rule = this.#rules[at]!
      if (!fits(rule.when, request)) continue
      if (only < 0 && rule.only !== undefined) only = at
      if (never < 0 && rule.never !== undefined) never = at
      if (prefer < 0 && rule.preferMs !== undefined) prefer = at
      if (priority < 0 && rule.priority !== undefined) priority = at
      if (useModel < 0 && rule.useModel !== undefined) useModel = at
    }
    return this.#placement({ only, never, prefer, priority, useModel })
  }

  #placement(
    from: Readonly<Record<'only' | 'never' | 'prefer' | 'priority' | 'useModel', number>>,
  ) {
    const { only, never, prefer, priority, useModel } = from
    const all = `${only} ${never} ${prefer} ${priority} ${useModel}`
    const known = this.#placements.get(all)
    if (known) return known
    const rule = (at: number) => this.#rules[at]
    const said = [
      wordsOf(only, rule(only)?.only, 'only'),
      wordsOf(never, rule(never)?.never, 'never'),
      wordsOf(prefer, preferred(rule(prefer)), 'prefer'),
      wordsOf(priority, rule(priority)?.priority, 'priority'),
    ]
    const made: Placement = Object.freeze({
      said: said.filter((words) => words !== undefined),
      saidOfModel: wordsOf(useModel, rule(useModel)?.useModel, 'use_model'),
      key: only < 0 && never < 0 && prefer < 0 ? '' : `${only} ${never} ${prefer}`,
      only: this.#rules[only]?.only,
      never: this.#rules[never]?.never,
      prefer: Object.entries(this.#rules[prefer]?.preferMs ?? {}).map(([word, ms]) => ({
        word,
        seconds: ms / 1_000,
      })),
      priority: this.#rules[priority]?.priority,
      useModel: this.#rules[useModel]?.useModel,
    })
    if (this.#placements.size >= placementsMax) this.#placements.clear()
    this.#placements.set(all, made)
    return made
  }
}

/** With the number that the rule has in the file, from 1. */
function wordsOf(at: number, what: PlaceWords | string | undefined, word: string) {
  if (what === undefined) return undefined
  return `rule ${at + 1}: ${word} ${typeof what === 'string' ? what : what.join(', ')}`
}

function preferred(rule: Rule | undefined): readonly string[] | undefined {
  const { preferMs } = rule ?? {}
  return preferMs && Object.entries(preferMs).map(([word, ms]) => `${word} by ${ms / 1_000} s`)
}

function fits(when: RuleWhen, request: RuledRequest): boolean {
  const { tenant, user, model, work, labels, promptTokensMax, tools, images } = when
  if (tenant && !matchesAny(request.tenant, tenant)) return false
  if (user && !isUser(request.tenant, user)) return false
  if (model && !isModel(request, model)) return false
  if (work && !matchesAny(request.work, work)) return false
  if (!labels.every((label) => request.labels.includes(label))) return false
  if (promptTokensMax !== undefined && request.promptTokens > promptTokensMax) return false
  if (tools !== undefined && request.needs.includes('tools') !== tools) return false
  return images === undefined || hasMedia(request) === images
}

function isUser(tenant: string, patterns: readonly string[]): boolean {
  return tenant.startsWith(userMark) && matchesAny(tenant.slice(userMark.length), patterns)
}

function isModel({ model, askedModel }: RuledRequest, patterns: readonly string[]): boolean {
  return (
    matchesModel(model, patterns) || (askedModel !== model && matchesModel(askedModel, patterns))
  )
}

const hasMedia = ({ needs }: RuledRequest) => needs.includes('vision') || needs.includes('audio')
