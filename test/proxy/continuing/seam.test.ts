import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { answerOf } from '../../../backends/simulator/text.ts'
import { SeamDiverged } from '../../../src/dialects/continuing/continuing.ts'
import type { Manner } from '../../../src/proxy/continuing/manner.ts'
import { seamFor } from '../../../src/proxy/continuing/seam.ts'
import { cutAt, legTextOf, piecesOf, texts } from './help.ts'

const manners: Manner[] = ['exact', 'adds-a-space', 'repeats-the-last-word', 'from-the-beginning']

/** What the client gets of a leg's text. */
function letOut(manner: Manner | 'unknown', text: string, pieces: readonly string[]): string {
  const seam = seamFor({ manner }, { text, thinking: '' })
  const out = pieces.map((piece) => seam.text(piece)).join('')
  return out + seam.end().text
}

/** The same for a thought; the text behind it comes in one piece. */
function letOutThought(manner: Manner, thinking: string, pieces: readonly string[], text: string) {
  const seam = seamFor({ manner }, { text: '', thinking })
  const thought = pieces.map((piece) => seam.thinking(piece)).join('')
  const said = seam.text(text)
  const rest = seam.end()
  return { thinking: thought + rest.thinking, text: said + rest.text }
}

describe.each(manners)('a seam to a model whose manner is %s', (manner) => {
  it('gives with what the client has the whole text, wherever it was cut and however it comes', () => {
    fc.assert(
      fc.property(texts, fc.nat(), fc.array(fc.nat(9)), (whole, place, sizes) => {
        const [text, rest] = cutAt(whole, place)
        const pieces = piecesOf(legTextOf(manner, text, rest), sizes)
        expect(text + letOut(manner, text, pieces)).toBe(whole)
      }),
      { numRuns: 2_000 },
    )
  })

  it('does the same for a thought that broke off, and the text behind it', () => {
    fc.assert(
      fc.property(texts, fc.nat(), fc.array(fc.nat(9)), texts, (whole, place, sizes, answer) => {
        const [thinking, rest] = cutAt(whole, place)
        fc.pre(thinking !== '')
        const pieces = piecesOf(legTextOf(manner, thinking, rest), sizes)
        const out = letOutThought(manner, thinking, pieces, answer)
        expect(thinking + out.thinking).toBe(whole)
        expect(out.text).toBe(answer)
      }),
      { numRuns: 500 },
    )
  })

  it('has let out a beginning of the rest, and nothing else, wherever the leg breaks off again', () => {
    fc.assert(
      fc.property(texts, fc.nat(), fc.nat(), fc.array(fc.nat(9)), (whole, place, end, sizes) => {
        const [text, rest] = cutAt(whole, place)
        const [begun] = cutAt(legTextOf(manner, text, rest), end)
        let out = ''
        try {
          out = letOut(manner, text, piecesOf(begun, sizes))
        } catch (error) {
          expect(error).toBeInstanceOf(SeamDiverged)
          expect(manner).toBe('from-the-beginning')
        }
        expect(rest.startsWith(out)).toBe(true)
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('a seam to an answer from the beginning', () => {
  it('says at the first other character that it is another answer, and has let nothing out', () => {
    fc.assert(
      fc.property(texts, fc.nat(), fc.nat(), fc.array(fc.nat(9)), (whole, place, at, sizes) => {
        const [text, rest] = cutAt(whole, place)
        fc.pre(text !== '')
        const [same, other] = cutAt(text, at % [...text].length)
        const pieces = piecesOf(`${same}${other.startsWith('#') ? '+' : '#'}${rest}`, sizes)
        const seam = seamFor({ manner: 'from-the-beginning' }, { text, thinking: '' })
        const out: string[] = []
        expect(() => out.push(...pieces.map((piece) => seam.text(piece)))).toThrow(SeamDiverged)
        expect(out.join('')).toBe('')
      }),
    )
  })

  it('compares thoughts and text each for itself, and in their order', () => {
    const emitted = { thinking: 'Hm, well.', text: 'The sky' }
    const anew = () => seamFor({ manner: 'from-the-beginning' }, emitted)
    const good = anew()
    expect([good.thinking('Hm, '), good.thinking('well.'), good.text('The sky is')]).toEqual([
      '',
      '',
      ' is',
    ])
    expect(good.end()).toEqual({ text: '', thinking: '' })

    const thinksLess = anew()
    thinksLess.thinking('Hm, ')
    expect(thinksLess.text('The sky')).toBe('')
    expect(() => thinksLess.text(' is')).toThrow(SeamDiverged)
    const thinksMore = anew()
    expect(() => thinksMore.thinking('Hm, well. But')).toThrow(SeamDiverged)
    const endsEarly = anew()
    endsEarly.thinking('Hm, well.')
    endsEarly.text('The')
    expect(() => endsEarly.end()).toThrow(SeamDiverged)
  })

  it('lets everything out where the client has nothing', () => {
    for (const manner of [...manners, 'unknown'] as const)
      expect(letOut(manner, '', [' The', ' sky'])).toBe(' The sky')
  })
})

describe('a seam behind text', () => {
  it('does not pass a thought that comes again, and passes an empty one over', () => {
    const seam = seamFor({ manner: 'exact' }, { text: 'The sky', thinking: 'Hm.' })
    expect(seam.thinking('\n\n')).toBe('')
    expect(() => seam.thinking('Hm.')).toThrow(SeamDiverged)
    const later = seamFor({ manner: 'exact' }, { text: 'The sky', thinking: 'Hm.' })
    expect([later.text(' is'), later.thinking('Hm?')]).toEqual([' is', 'Hm?'])
  })

  it('takes only the first of two words that are rightly the same', () => {
    expect(letOut('repeats-the-last-word', 'no no', [' n', 'o no yes'])).toBe(' no yes')
    expect(letOut('repeats-the-last-word', 'the sun', ['sun', ' is'])).toBe(' is')
  })

  it('takes several words that come again, up to 32 characters', () => {
    const text = 'because the sun is bright'
    expect(letOut('repeats-the-last-word', text, [' sun is', ' bright and'])).toBe(' and')
    const long = 'one two three four five six seven eight nine ten'
    expect(letOut('repeats-the-last-word', long, [` ${long} eleven`])).toBe(` ${long} eleven`)
  })

  it('leaves out the white space that a template has cut off, if it comes again', () => {
    const trimmed = { manner: 'exact', trims: true } as const
    const seam = seamFor(trimmed, { text: 'A line.\n\n', thinking: '' })
    expect([seam.text('\n'), seam.text('\nAnother')]).toEqual(['', 'Another'])
    const other = seamFor(trimmed, { text: 'A line.\n\n', thinking: '' })
    expect(() => other.text(' And')).toThrow(SeamDiverged)
    const open = seamFor(trimmed, { text: 'A line.', thinking: '' })
    expect(open.text('\n\nAnother')).toBe('\n\nAnother')
  })

  it('takes a word as long as a text without spaces in time that grows with it only', () => {
    const word = '天空'.repeat(200_000)
    const pieces = piecesOf(` ${word} end`, [5])
    expect(letOut('repeats-the-last-word', word, pieces)).toBe(' end')
  }, 5_000)
})

describe('a seam to a model that nobody has measured', () => {
  const guess = (text: string, ...pieces: string[]) => letOut('unknown', text, pieces)

  it('takes a leg as it is where nothing speaks against it', () => {
    expect(guess('The sky is', ' bl', 'ue.')).toBe(' blue.')
    expect(guess('The sun', ' sunlight')).toBe(' sunlight')
    expect(guess('The sky is blue', '.')).toBe('.')
    expect(guess('wonder', 'ful')).toBe('ful')
    expect(guess('a bon', 'bon ')).toBe('bon ')
    expect(guess('if x:\n', '    return 1')).toBe('    return 1')
    expect(guess('if x:\n  ', '  return 1')).toBe('  return 1')
    expect(guess('if x:\n  ', ' return 1')).toBe(' return 1')
    expect(guess('a  # one\nb', '  # two')).toBe('  # two')
    expect(guess('| 1 |', ' 1 |')).toBe(' 1 |')
    expect(guess('no no', ' no yes')).toBe(' no yes')
    expect(guess('- one\n', '- two\n')).toBe('- two\n')
  })

  it('takes out a space that doubles', () => {
    expect(guess('The sky is', ' ', ' blue')).toBe(' blue')
    expect(guess('The sky is ', ' blue')).toBe('blue')
    expect(guess('The sky is blue', ' ', '.', ' The')).toBe('. The')
    expect(guess('It is blue.\n\n', ' Here')).toBe('Here')
    expect(guess('It is blue.', ' ', '\n\n', 'Here')).toBe('\n\nHere')
  })

  it('takes out a word that comes again, also in pieces', () => {
    expect(guess('The bright sun', ' s', 'un', ' is')).toBe(' is')
    expect(guess('It is blue.', ' blue.', ' Then')).toBe(' Then')
    expect(guess('The bright sun', ' bright sun', ' is')).toBe(' is')
    const long = '天空'.repeat(60)
    expect(guess(long, ...piecesOf(` ${long}の`, [7]))).toBe('の')
  })

  it('takes out a beginning that comes again, and ends at the first difference', () => {
    expect(guess('The sky is', 'The', ' sky', ' is blue')).toBe(' blue')
    const long = 'The sky is blue because '.repeat(4)
    expect(guess(long, ...piecesOf(`${long}it is`, [11]))).toBe('it is')
    expect(() => guess(long, ...piecesOf(`${long.slice(0, 80)}## it is`, [11]))).toThrow(
      SeamDiverged,
    )
    expect(() => guess(long, 'The sky')).toThrow(SeamDiverged)
  })

  it.each(manners)('is right about nearly all prose of a model whose manner is %s', (manner) => {
    const wrong: string[] = []
    let tried = 0
    for (let seed = 0; seed < 40; seed++) {
      const { tokens, text: whole } = answerOf(seed, 60)
      for (let cut = 1; cut < tokens.length; cut++) {
        const text = tokens.slice(0, cut).join('')
        const leg = legTextOf(manner, text, whole.slice(text.length))
        tried++
        if (text + guess(text, ...piecesOf(leg, [4])) !== whole) wrong.push(`${text} ⟂ ${leg}`)
      }
    }
    // Words doubled by chance, and signs and numbers that come again.
    expect(wrong.length / tried, wrong.slice(0, 5).join('\n\n')).toBeLessThan(0.06)
  })

  it('holds no more than 64 characters', () => {
    fc.assert(
      fc.property(texts, texts, fc.array(fc.nat(9)), (text, leg, sizes) => {
        fc.pre(text !== '')
        const seam = seamFor({ manner: 'unknown' }, { text, thinking: '' })
        let read = ''
        let out = ''
        for (const piece of piecesOf(leg, sizes)) {
          read += piece
          try {
            out += seam.text(piece)
          } catch {
            return
          }
          if (seam.manner === 'unknown') expect(read.length).toBeLessThanOrEqual(64 + 10)
          // What it lets out is always an end of what it read, less what it left out at the beginning.
          expect(read.endsWith(out)).toBe(true)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('tells what it took the model for', () => {
    const seam = seamFor({ manner: 'unknown' }, { text: 'The bright sun', thinking: '' })
    expect(seam.manner).toBe('unknown')
    seam.text(' sun is')
    expect(seam.manner).toBe('repeats-the-last-word')
  })

  it('passes no text behind half a thought, and knows a model that thinks all over again', () => {
    const half = seamFor({ manner: 'unknown' }, { text: '', thinking: 'So if we' })
    expect(() => half.text('The sky')).toThrow(SeamDiverged)
    const whole = seamFor({ manner: 'unknown' }, { text: '', thinking: 'So we do.' })
    expect(whole.text('The sky')).toBe('The sky')
    const anew = seamFor({ manner: 'unknown' }, { text: 'The sky', thinking: 'So.' })
    expect([anew.thinking('So.'), anew.text('The sky is')]).toEqual(['', ' is'])
    expect(anew.manner).toBe('from-the-beginning')
  })
})
