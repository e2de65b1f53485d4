import { createHash } from 'node:crypto'
import { type Dice, seededDice } from '../../src/core/dice.ts'

/**
 * What a model says is a pure function of what it is asked, so that one simulator can go on where another broke off,
 * and a test can say which text is the right one without having heard it.
 */
export interface Answer {
  /** The pieces of the whole text, one per token. */
  readonly tokens: readonly string[]
  readonly text: string
}

// Suites that are pointed at a server judge an answer by words of the subject; every first sentence holds some of each.
const subjects = ['scattering', 'nitrogen', '1776', 'pilgrim', 'rain', 'rayleigh', 'soil', 'color']
const words = (
  'the of a in blue light sky rayleigh scattering atmosphere sun wavelength oxygen nitrogen molecule ocean earth ' +
  'water vapor cloud rain air particle interact reflect absorb short long red evening because every small when it is ' +
  'we see and so more than across through bright distant horizon slowly always often only colour señal café naïve über ' +
  'Ångström 天空 青い небо γη 🌈 ☀️ über–hell river stone bridge road messenger knot rope mountain high thin cold ' +
  'clear dust travels bends turns shines carries follows leaves reaches returns between under above near far'
).split(' ')

export function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

/** Thirty-two bits that stand for a text. */
export function seedOf(...parts: readonly string[]): number {
  return createHash('sha256').update(parts.join('\u0000')).digest().readUInt32LE(0)
}

function pick<Thing>(dice: Dice, things: readonly Thing[]): Thing {
  return things[Math.floor(dice.roll() * things.length)] as Thing
}

/** The pieces one after the other, without end; the length of an answer is somebody else's decision. */
function* pieces(dice: Dice): Generator<string> {
  let inSentence = 0
  let sentence = 0
  let sentenceLength = 12
  let glue = ''
  let openers = [...subjects]
  for (;;) {
    let word = pick(dice, words)
    if (sentence === 0 && inSentence > 0 && openers.length > 0) {
      word = pick(dice, openers)
      openers = openers.filter((other) => other !== word)
    }
    if (inSentence === 0) word = word.slice(0, 1).toUpperCase() + word.slice(1)
    yield glue + word
    glue = ' '
    inSentence++
    if (inSentence < sentenceLength) continue
    yield '.'
    sentence++
    inSentence = 0
    sentenceLength = 5 + Math.floor(dice.roll() * 9)
    if (dice.roll() < 0.2) {
      yield '\n\n'
      glue = ''
    }
  }
}

/** The answer that belongs to a seed; `length` overrides its own length, never its words; `most` is all that is wanted. */
export function answerOf(seed: number, length: number | undefined, most = Infinity): Answer {
  const dice = seededDice(seed)
  const own = 20 + Math.floor(dice.roll() * 101)
  const tokens: string[] = []
  const source = pieces(dice)
  const wanted = Math.min(length ?? own, most)
  while (tokens.length < wanted) tokens.push(source.next().value as string)
  return { tokens, text: tokens.join('') }
}

/** What a scripted question begins with, and the answer that it gets. */
export function scriptMark(name: string, tokens: number): string {
  return `[[${name} says ${tokens}]]`
}

/** The answer that a question asks for by its mark; undefined: it has none. */
export function scriptIn(question: string): string[] | undefined {
  const [, name, count] = /^\[\[([\w-]{1,64}) says (\d{1,6})\]\]/.exec(question) ?? []
  return name === undefined ? undefined : scriptOf(name, Number(count))
}

/** So many tokens of four characters: as many as they count for when they stand in a prompt later. */
export function scriptOf(name: string, count: number): string[] {
  const dice = seededDice(seedOf('script', name))
  const letter = () => String.fromCharCode(97 + Math.floor(26 * dice.roll()))
  return Array.from({ length: count }, () => ` ${letter()}${letter()}${letter()}`)
}

/** Any text cut into tokens of about four characters, never inside one character. */
export function tokensOf(text: string): string[] {
  return text.match(/[\s\S]{1,4}/gu) ?? []
}

/** The pieces from a position on; a token that the position cuts gives its rest. */
export function piecesFrom(tokens: readonly string[], position: number): string[] {
  const rest: string[] = []
  let at = 0
  for (const token of tokens) {
    const end = at + token.length
    if (at >= position) rest.push(token)
    else if (end > position) rest.push(token.slice(position - at))
    at = end
  }
  return rest
}

/** No answer of its own length is longer; looking further back would only cost time. */
const seamCharsMax = 8192

/** A hash that grows with its text: the seed of every beginning of a prompt, in one pass. */
function step(hash: number, code: number): number {
  return Math.imul(hash ^ code ^ (hash >>> 13), 0x5bd1e995) >>> 0
}

/**
 * A raw prompt may end in the beginning of its own answer. The longest such ending is where the answer goes on; the
 * seed is the hash of what stands before it. A match found for a prompt is found again for the prompt and any further
 * part of the same answer, so a resumed answer never changes its mind.
 */
export function rawSeam(
  prompt: string,
  salt: number,
  length: number | undefined,
): { seed: number; position: number } {
  let hash = salt
  const earliest = prompt.length - Math.max(seamCharsMax, (length ?? 0) * 8)
  for (let at = 0; at < prompt.length; at++) {
    if (at >= earliest && opens(hash, prompt, at)) {
      const answer = answerOf(hash, length).text
      if (answer.startsWith(prompt.slice(at))) return { seed: hash, position: prompt.length - at }
    }
    hash = step(hash, prompt.charCodeAt(at))
  }
  return { seed: hash, position: 0 }
}

/** A cheap first look: does the answer's first word stand here, as far as the prompt goes? */
function opens(seed: number, prompt: string, at: number): boolean {
  const dice = seededDice(seed)
  dice.roll()
  const word = pick(dice, words)
  const first = word.slice(0, 1).toUpperCase() + word.slice(1)
  const rest = prompt.length - at
  return rest >= first.length ? prompt.startsWith(first, at) : first.startsWith(prompt.slice(at))
}

/** A unit vector that belongs to weights and a text: the same on every simulator. */
export function embeddingOf(digest: string, text: string, dimensions: number): number[] {
  const dice = seededDice(seedOf('embedding', digest, text))
  const vector = Array.from({ length: dimensions }, () => dice.roll() * 2 - 1)
  const norm = Math.hypot(...vector) || 1
  return vector.map((value) => Math.fround(value / norm))
}
