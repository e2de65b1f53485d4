/**
 * How good decisions are: the real modules of src/routing before virtual machines, in virtual time, beside the rules of
 * other balancers and a scheduler that knows everything. How to read it: routing/README.md.
 */
import { cpus } from 'node:os'
import { type Goal, verdict } from './goals.ts'
import { loadNow } from './lib/machine.ts'
import { figure } from './lib/table.ts'
import { boundsLine } from './routing/bounds.ts'
import type { Cell } from './routing/cell.ts'
import { playAll } from './routing/crew.ts'
import { decideGoals, decideTable, measureDecisions } from './routing/decide-speed.ts'
import { goalsOf } from './routing/goals-of.ts'
import { type RoutingPlan, readRoutingPlan, routingUsage } from './routing/plan.ts'
import { realLayer } from './routing/real/real.ts'
import { ablationLines, gapLine, variantTable } from './routing/report.ts'
import { Results } from './routing/results.ts'
import { scenarios } from './routing/scenarios/scenarios.ts'
import type { Scenario, Variant } from './routing/scenarios/stage.ts'

export const usage = routingUsage

export async function routing(args: readonly string[]): Promise<void> {
  const plan = readRoutingPlan(args, cpus().length)
  if (plan.isReal && plan.real) return realLayer(plan.real, say)
  say(
    plan.isShort ? 'SHORT: does it work, not how good is it' : 'the study in virtual time',
    `seeds ${plan.seeds.join(', ')}; ${figure(plan.requests)} requests a run; Node ${process.version}; ${loadNow()}`,
    '',
  )
  const goals: Goal[] = []
  const gaps: string[] = []
  let events = 0
  let wallMs = 0
  for (const scenario of scenarios.filter(({ word }) => plan.only.includes(word))) {
    const played = await playAll(cellsOf(scenario, plan), plan.threads, (done, { policy }) =>
      process.stderr.write(`${scenario.word} ${done} ${policy}\n`),
    )
    for (const each of played) {
      events += each.events
      wallMs += each.wallMs
    }
    const results = new Results(played)
    say(`## ${scenario.word} ${scenario.title}`, '')
    for (const variant of results.variants())
      say(variantTable(scenario, variant, results), boundsOfVariant(scenario, variant, plan), '')
    say(...results.variants().flatMap((word) => ablationLines(scenario, word, results)), '')
    gaps.push(...results.variants().flatMap((variant) => gapLine(scenario, variant, results)))
    goals.push(...goalsOf[scenario.word]!(results))
  }
  if (events > 0)
    say(`${figure(events / (wallMs / 1_000))} events a second and thread, policies in it`)
  if (plan.decisions) {
    const rows = measureDecisions(plan.isShort)
    say('', decideTable(rows))
    goals.push(...decideGoals(rows))
  }
  // A short run does not play all that is promised.
  const judged = goals.filter(({ found }) => !plan.isShort || Number.isFinite(found))
  say('', ...judged.map(verdict), '', ...gaps)
  if (plan.real && plan.real.only.length > 0) {
    say('')
    await realLayer(plan.real, say)
  }
}

/** The traces are made anew: they are the same for the same seed. */
function boundsOfVariant(scenario: Scenario, word: string, plan: RoutingPlan): string {
  const { requests, recorded } = plan
  const variant = variantsOf(scenario, plan).find((each) => each.word === word)!
  return boundsLine(
    `no schedule is better than, ${word}`,
    plan.seeds.map((seed) => scenario.stage({ variant, seed, requests, recorded })),
  )
}

function cellsOf(scenario: Scenario, plan: RoutingPlan): Cell[] {
  return variantsOf(scenario, plan).flatMap((variant) => {
    const full = [
      ...scenario.policies,
      'ours',
      ...((variant.isDecisive ? scenario.ablations : variant.ablations) ?? []),
    ]
    const policies = plan.policies ?? (plan.isShort ? scenario.inShort : full)
    return policies.flatMap((policy) =>
      plan.seeds.map((seed) => ({
        ...{ scenario: scenario.word, variant, policy, seed },
        ...{ requests: plan.requests, recorded: plan.recorded },
      })),
    )
  })
}

function variantsOf({ variants }: Scenario, { isShort, load }: RoutingPlan): readonly Variant[] {
  const decisive = variants.filter(({ isDecisive }) => isDecisive)
  if (load) return decisive.map((variant) => ({ ...variant, word: `${load}`, load }))
  return isShort ? decisive : variants
}

function say(...lines: string[]): void {
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`)
}
