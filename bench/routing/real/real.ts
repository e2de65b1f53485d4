/**
 * Layer two of the study: real balancers, real sockets and simulated servers as processes, the same traces, and how far
 * the model was off. How to read it: ../README.md.
 */
import { cpus } from 'node:os'
import { loadNow } from '../../lib/machine.ts'
import { figure, table } from '../../lib/table.ts'
import type { Figures } from '../measure.ts'
import { scenarios } from '../scenarios/scenarios.ts'
import type { Column, Scenario, Variant } from '../scenarios/stage.ts'
import { type Act, acts, columnOf, playable } from './acts.ts'
import { type Front, ours } from './fronts.ts'
import { foretold } from './model.ts'
import { figuresAt, loadsOf, outcomesOf } from './outcomes.ts'
import { playReal, type RealRun } from './play.ts'
import { tooSlow } from './strain.ts'

export interface RealPlan {
  readonly only: readonly string[]
  /** So many times faster than life. */
  readonly scale: number
  readonly requests: number
  readonly seed: number
}

interface CellResult {
  readonly front: Front
  readonly model: readonly Figures[]
  readonly real: Figures
}

type Say = (...lines: string[]) => void

/** Of the model, for the spread that chance makes. */
const plays = 5

export async function realLayer(plan: RealPlan, say: Say): Promise<void> {
  say(
    '## layer two: processes and sockets beside the model',
    `seed ${plan.seed}; ${figure(plan.requests)} requests; ${figure(plan.scale)} times the speed of life; ` +
      `${plays} plays of the model; ${loadNow()}`,
    '',
  )
  for (const scenario of scenarios.filter(({ word }) => plan.only.includes(word))) {
    const act = acts[scenario.word]!
    for (const variant of variantsOf(scenario, act))
      await playVariant(scenario, variant, act, plan, say)
  }
}

function variantsOf({ variants }: Scenario, act: Act): readonly Variant[] {
  return variants.filter(({ word, isDecisive }) => act.variants?.includes(word) ?? isDecisive)
}

async function playVariant(
  scenario: Scenario,
  variant: Variant,
  act: Act,
  plan: RealPlan,
  say: Say,
) {
  const { seed, requests, scale } = plan
  const stage = playable(scenario.stage({ variant, seed, requests, recorded: undefined }), act)
  const heading = `${scenario.word} ${variant.word}`
  const cells: CellResult[] = []
  for (const front of [ours, ...act.peers]) {
    const found = front.look()
    if ('missing' in found) {
      say(`${heading}, ${front.name}: left out, ${found.missing}`)
      continue
    }
    const pace = Math.min(scale, front.scaleMax ?? scale)
    process.stderr.write(`${heading} ${front.name}\n`)
    const run = await playReal(stage, front, act, pace)
    const overMs = stage.trace.at(-1)!.atMs + act.drainMs
    const model = foretold(stage, front.policy, seed, { plays, overMs })
    const real = figuresAt(Math.min(overMs, run.overMs), stage, outcomesOf(run), loadsOf(run))
    cells.push({ front, model, real })
    const title = `${heading}, ${front.name} ${found.version}${pace < scale ? ` at ${pace} times the speed` : ''}`
    say(strainLine(title, stage.trace.length, run))
    const warning = tooSlow(run.strain, cpus().length)
    if (warning !== undefined) say(`${heading}, ${front.name}: ${warning}`)
  }
  const columns = act.figures.map((name) => columnOf(scenario.columns, name))
  say(
    '',
    table(
      [heading, 'figure', 'model', 'its plays', 'real', 'real / model'],
      [
        ...cells.flatMap((cell) => columns.map((column) => cellRow(cell, column))),
        ...ratios(cells, columns),
      ],
    ),
  )
  if (act.note !== '') say(`${heading}: ${act.note}`)
  say('')
}

function cellRow({ front, model, real }: CellResult, column: Column): string[] {
  const all = model.map((each) => each[column.figure]!)
  return [
    front.name,
    column.title,
    shown(all[0]!, column),
    `${shown(Math.min(...all), column)}–${shown(Math.max(...all), column)}`,
    shown(real[column.figure]!, column),
    figure(real[column.figure]! / all[0]!, 2),
  ]
}

/** What the study is about: how much better than each peer. */
function ratios(cells: readonly CellResult[], columns: readonly Column[]): string[][] {
  const own = cells.find(({ front }) => front === ours)
  if (own === undefined) return []
  return cells.filter((cell) => cell !== own).flatMap((other) => ratioRows(own, other, columns))
}

/** Nothing is many times nothing. */
function ratioRows(one: CellResult, other: CellResult, columns: readonly Column[]): string[][] {
  return columns
    .filter(({ figure: name }) => other.real[name]! > 0 && other.model[0]![name]! > 0)
    .map(({ figure: name, title }) => {
      const ratios = one.model.map((each, turn) => each[name]! / other.model[turn]![name]!)
      const real = one.real[name]! / other.real[name]!
      return [
        `${one.front.name} / ${other.front.name}`,
        title,
        figure(ratios[0]!, 2),
        `${figure(Math.min(...ratios), 2)}–${figure(Math.max(...ratios), 2)}`,
        figure(real, 2),
        figure(real / ratios[0]!, 2),
      ]
    })
}

function shown(value: number, { digits, percent }: Column): string {
  return figure(percent ? 100 * value : value, Math.max(digits, 1))
}

function strainLine(heading: string, requests: number, { strain, example }: RealRun): string {
  const percent = (share: number) => `${figure(100 * share)} %`
  return (
    `${heading}: ${figure(requests)} requests in ${figure(strain.seconds)} s; of a core: front ` +
    `${percent(strain.frontShare)}, machines ${percent(strain.machinesShare)}, clients ` +
    `${percent(strain.clientsShare)}; sent up to ${figure(strain.lateMs)} ms of the study late (p99); ` +
    `${strain.aways > 0 ? `a machine taken for away ${strain.aways} times; ` : ''}load average ` +
    `${figure(strain.loadBefore, 1)} to ${figure(strain.loadAfter, 1)}${example === '' ? '' : `; first error: ${example}`}`
  )
}
