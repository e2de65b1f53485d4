import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { removeDir, tempDir } from '../../bench/lib/temp-dir.ts'
import { codeGaps, gammaGaps, poissonGaps } from '../../bench/routing/traffic/arrivals.ts'
import { conversationTrace } from '../../bench/routing/traffic/conversations.ts'
import {
  code,
  conversation,
  conversationApart,
  lengthsDrawn,
} from '../../bench/routing/traffic/lengths.ts'
import { partOf, readRecorded } from '../../bench/routing/traffic/recorded.ts'
import { plainTrace, withModels, withModelsByChat } from '../../bench/routing/traffic/trace.ts'
import { seededDice } from '../../src/core/dice.ts'

const count = 20_000

function sorted(draw: () => number): number[] {
  return Array.from({ length: count }, draw).sort((one, other) => one - other)
}
const mean = (values: readonly number[]) =>
  values.reduce((sum, value) => sum + value, 0) / values.length
const at = (values: readonly number[], share: number) => values[Math.floor(share * values.length)]!
function cvOf(values: readonly number[]): number {
  const middle = mean(values)
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2))) / middle
}

describe('generated traffic', () => {
  // Mean, p50, p90 and p99 of prompts and answers as they are published for the two traces.
  it.each([
    ['conversation', conversation, [1_155, 1_020, 2_735, 4_142], [211, 129, 424, 601]],
    ['apart', conversationApart, [1_155, 1_020, 2_735, 4_142], [211, 129, 424, 601]],
    ['code', code, [2_048, 1_469, 5_194, 7_436], [28, 13, 55, 252]],
  ] as const)('has the lengths of the %s trace', (_name, lengths, prompt, answer) => {
    const dice = seededDice(1)
    for (const [which, wanted] of [
      ['promptTokens', prompt],
      ['outputTokens', answer],
    ] as const) {
      const values = sorted(() => lengthsDrawn(lengths, dice)[which])
      const found = [mean(values), at(values, 0.5), at(values, 0.9), at(values, 0.99)]
      for (const [index, value] of found.entries())
        expect(value / wanted[index]!).toSatisfy((off: number) => off > 0.85 && off < 1.18)
    }
  })

  // The means of the trace's own requests with such prompts.
  it.each([
    [395, 410, 105],
    [1_040, 1_100, 416],
    [4_073, 4_200, 67],
  ])('answers prompts of %i to %i tokens of chats as the trace does', (from, to, wanted) => {
    const dice = seededDice(7)
    const answersTo = (lengths: typeof conversation) =>
      Array.from({ length: count }, () => lengthsDrawn(lengths, dice))
        .filter(({ promptTokens }) => promptTokens >= from && promptTokens < to)
        .map(({ outputTokens }) => outputTokens)
    const isNear = (off: number) => off > 0.9 && off < 1.1
    expect(mean(answersTo(conversation)) / wanted).toSatisfy(isNear)
    expect(mean(answersTo(conversationApart)) / 211).toSatisfy(isNear)
  })

  it('has gaps with a mean of one: Poisson, in clusters, and in bursts as of the code trace', () => {
    const dice = seededDice(2)
    const gapsOf = (gaps: () => number) => Array.from({ length: 4 * count }, gaps)
    const poisson = gapsOf(poissonGaps(dice))
    expect(mean(poisson)).toBeCloseTo(1, 1)
    expect(cvOf(poisson)).toBeCloseTo(1, 1)
    const clusters = gapsOf(gammaGaps(dice, 0.25))
    expect(mean(clusters)).toBeCloseTo(1, 1)
    expect(cvOf(clusters)).toBeCloseTo(2, 0)
    const bursts = gapsOf(codeGaps(dice))
    expect(mean(bursts)).toSatisfy((value: number) => value > 0.8 && value < 1.2)
    expect(cvOf(bursts)).toSatisfy((value: number) => value > 10 && value < 16)
  })

  it('asks for models by their rank, and for others after a flip', () => {
    const dice = seededDice(3)
    const plain = plainTrace(count, 10, poissonGaps(dice), () => conversation, dice)
    const flipMs = plain.at(-1)!.atMs / 2 + 1
    const trace = withModels(plain, 4, flipMs, dice)
    const shareOf = (model: number, isLater: boolean) => {
      const part = trace.filter(({ atMs }) => atMs >= flipMs === isLater)
      return part.filter((each) => each.model === model).length / part.length
    }
    // 1 : 1/2 : 1/3 : 1/4
    expect(shareOf(0, false)).toBeCloseTo(0.48, 1)
    expect(shareOf(3, false)).toBeCloseTo(0.12, 1)
    expect(shareOf(3, true)).toBeCloseTo(0.48, 1)
  })

  it('has conversations whose every turn begins with all before it', () => {
    const trace = conversationTrace(2_000, 2, seededDice(4))
    const bySession = Map.groupBy(trace, ({ session }) => session)
    let hot = 0
    for (const turns of bySession.values()) {
      expect(turns.length).toBeLessThanOrEqual(20)
      for (const [index, turn] of turns.slice(1).entries()) {
        const before = turns[index]!
        expect(turn.chain.slice(0, before.chain.length + 1)).toEqual([
          ...before.chain,
          before.answer,
        ])
        expect(turn.promptTokens).toBe(turn.chainTokens.at(-1))
      }
      if (turns[0]!.chainTokens[0] === 2_048) hot++
    }
    expect(hot / bySession.size).toBeCloseTo(0.4, 1)
  })

  it('keeps each conversation with the model that it has begun with', () => {
    const chats = conversationTrace(2_000, 5, seededDice(5))
    const trace = withModelsByChat(chats, 3, 60_000, seededDice(6))
    const modelsOf = new Map<string, Set<number>>()
    for (const { session, model } of trace)
      modelsOf.set(session, (modelsOf.get(session) ?? new Set()).add(model))
    expect([...modelsOf.values()].every(({ size }) => size === 1)).toBe(true)
    expect(new Set(trace.map(({ model }) => model)).size).toBe(3)
  })

  it('is the same for the same seed, and another for another', () => {
    const trace = (seed: number) =>
      plainTrace(50, 1, poissonGaps(seededDice(seed)), () => code, seededDice(seed))
    expect(trace(5)).toEqual(trace(5))
    expect(trace(5)).not.toEqual(trace(6))
  })

  it('is read from a file, from its first moment on; what is no trace is refused by its line', () => {
    const dir = tempDir()
    try {
      const file = join(dir, 'trace.csv')
      writeFileSync(
        file,
        'TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:04.0319600,3180,8\r\n2023-11-16 18:17:03.9799600,4808,10\r\n',
      )
      expect(readRecorded(file)).toEqual([
        { atMs: 0, promptTokens: 4_808, outputTokens: 10 },
        { atMs: 52, promptTokens: 3_180, outputTokens: 8 },
      ])
      const rows = Array.from({ length: 10 }, (_, at) => ({
        ...{ atMs: 100 * at, promptTokens: 1, outputTokens: at },
      }))
      const part = (seed: number) => partOf(rows, 3, seed).map(({ outputTokens }) => outputTokens)
      expect([0, 1, 2, 3].map(part)).toEqual([
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
        [0, 1, 2],
      ])
      expect(partOf(rows, 3, 1)[0]!.atMs).toBe(0)
      expect(partOf(rows, 50, 1)).toHaveLength(10)
      writeFileSync(file, 'a,b,c\n0,5,5\n1,many,5\n')
      expect(() => readRecorded(file)).toThrow('line 3')
    } finally {
      removeDir(dir)
    }
  })
})
