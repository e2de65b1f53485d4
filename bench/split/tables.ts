import { median, spreadPercent } from '../lib/stats.ts'
import { figure, table } from '../lib/table.ts'
import type { EmbedRow, EmbedSample } from './embed.ts'
import type { Sample } from './round.ts'
import type { Scene } from './scenes.ts'

export interface SceneRow {
  readonly scene: Scene
  readonly ours: readonly Sample[]
  readonly dealt: readonly Sample[]
}

export function makespanTable(rows: readonly SceneRow[]): string {
  const of = (samples: readonly Sample[], figureOf: (sample: Sample) => number) =>
    median(samples.map(figureOf))
  return table(
    [
      'fleet',
      'parts',
      'bound ms',
      'split ms',
      'x bound',
      'spread %',
      'dealt ms',
      'x bound',
      'dealt / split',
      'start %',
      'gaps %',
      'tail %',
      'wasted %',
      'hedged',
      'retried',
    ],
    rows.map(({ scene, ours, dealt }) => [
      scene.title,
      figure(scene.parts),
      figure(of(ours, ({ boundMs }) => boundMs)),
      figure(of(ours, ({ makespanMs }) => makespanMs)),
      figure(ratioOf(ours), 3),
      figure(spreadPercent(ours.map(({ makespanMs }) => makespanMs))),
      figure(of(dealt, ({ makespanMs }) => makespanMs)),
      figure(ratioOf(dealt), 2),
      figure(timesBetter({ scene, ours, dealt }), 2),
      ...(['start', 'gaps', 'tail', 'wasted'] as const).map((kind) =>
        figure(
          of(ours, ({ lost }) => 100 * lost[kind]),
          1,
        ),
      ),
      figure(of(ours, ({ hedged }) => hedged)),
      figure(of(ours, ({ retried }) => retried)),
    ]),
  )
}

/** Each round has its own bound, since a machine dies when it dies. */
export function ratioOf(samples: readonly { readonly ratio: number }[]): number {
  return median(samples.map(({ ratio }) => ratio))
}

export function timesBetter({ ours, dealt }: SceneRow): number {
  const makespan = ({ makespanMs }: Sample) => makespanMs
  return median(dealt.map(makespan)) / median(ours.map(makespan))
}

export function embedTable(rows: readonly EmbedRow[]): string {
  return table(
    [
      'texts',
      'bound ms',
      'ours ms',
      'x bound',
      'spread %',
      'requests',
      'machines',
      'whole at fastest ms',
      'x bound',
      'even split ms',
      'x bound',
    ],
    rows.map(({ items, ours, wholeMs, evenMs }) => {
      const of = (figureOf: (sample: EmbedSample) => number) => median(ours.map(figureOf))
      const boundMs = of((sample) => sample.boundMs)
      return [
        figure(items),
        figure(boundMs, 1),
        figure(
          of(({ ms }) => ms),
          1,
        ),
        figure(ratioOf(ours), 3),
        figure(spreadPercent(ours.map(({ ms }) => ms))),
        figure(of(({ parts }) => parts)),
        figure(of(({ machinesUsed }) => machinesUsed)),
        figure(median(wholeMs), 1),
        figure(median(wholeMs) / boundMs, 2),
        figure(median(evenMs), 1),
        figure(median(evenMs) / boundMs, 2),
      ]
    }),
  )
}
