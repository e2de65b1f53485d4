import type { Dice } from '../../../src/core/dice.ts'
import type { Request } from '../engine/specs.ts'
import { conversation, lengthsDrawn } from './lengths.ts'
import { Texts } from './trace.ts'

/** Of all conversations, those that begin with the same system prompt. */
const hotShare = 0.4
const hotTokens = 2_048
/** The others belong to one of so many applications, each with a prompt of 2,000 to 8,000 tokens. */
const applications = 24
const turnsMin = 4
const turnsMax = 20
/** Between the sending of two turns: the answer is read and the next question written. */
const thinkSecondsMin = 20
const thinkSecondsMean = 40

/**
 * Conversations of several turns, each turn's prompt the whole conversation so far; they begin one after another at
 * random moments. Cut at `count` requests, in the order of their times.
 */
export function conversationTrace(count: number, turnsPerSecond: number, dice: Dice): Request[] {
  const texts = new Texts()
  const hot = { id: texts.next(), tokens: hotTokens }
  const others = Array.from({ length: applications }, () => ({
    id: texts.next(),
    tokens: Math.round(2_000 + 6_000 * dice.roll()),
  }))
  const turnsMean = (turnsMin + turnsMax) / 2
  const requests: Request[] = []
  // A conversation lasts some ten minutes: those that began before the trace are there from its beginning.
  const beforeMs = turnsMax * (thinkSecondsMin + thinkSecondsMean) * 1_000
  const lengthMs = (count / turnsPerSecond) * 1_000
  let startMs = -beforeMs
  for (let session = 0; startMs < lengthMs; session++) {
    const isHot = dice.roll() < hotShare
    const system = isHot ? hot : others[Math.floor(dice.roll() * applications)]!
    const turns = turnsMin + Math.floor(dice.roll() * (turnsMax - turnsMin + 1))
    let atMs = startMs
    let chain = [system.id]
    let tokens = [system.tokens]
    for (let turn = 0; turn < turns; turn++) {
      const userTokens = 20 + Math.floor(280 * dice.roll())
      const promptTokens = tokens.at(-1)! + userTokens
      const { outputTokens } = lengthsDrawn(conversation, dice)
      chain = [...chain, texts.next()]
      tokens = [...tokens, promptTokens]
      const answer = texts.next()
      if (atMs >= 0)
        requests.push({
          ...{ id: 0, atMs, model: 0, promptTokens, outputTokens },
          ...{ chain, chainTokens: tokens, answer },
          ...{ tenant: 'all', band: 'normal', deadlineMs: 0, session: `s${session}` },
        })
      chain = [...chain, answer]
      tokens = [...tokens, promptTokens + outputTokens]
      atMs += 1_000 * (thinkSecondsMin - thinkSecondsMean * Math.log(1 - dice.roll()))
    }
    startMs += (-Math.log(1 - dice.roll()) * turnsMean * 1_000) / turnsPerSecond
  }
  return requests
    .sort((one, other) => one.atMs - other.atMs)
    .slice(0, count)
    .map((request, id) => ({ ...request, id }))
}
