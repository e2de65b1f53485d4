import { describe, expect, it } from 'vitest'
import { type Holding, LoopTurn } from '../../src/core/loop-turn.ts'

/** A loop whose turn ends when it is told to, and what happened in it. */
function loop() {
  const said: string[] = []
  let end: (() => void) | undefined
  const turn = new LoopTurn((act) => {
    end = act
  })
  const socket = (name: string): Holding => ({
    writableCorked: 0,
    cork() {
      Object.assign(this, { writableCorked: this.writableCorked + 1 })
      said.push(`${name} held`)
    },
    uncork() {
      Object.assign(this, { writableCorked: this.writableCorked - 1 })
      said.push(`${name} out`)
    },
  })
  const over = () => {
    const act = end
    end = undefined
    act?.()
  }
  return { turn, said, socket, over, isEndDue: () => end !== undefined }
}

describe('a turn of the loop', () => {
  it('lets who writes alone write at once', () => {
    const { turn, said, socket, isEndDue } = loop()
    turn.writes(socket('a'))
    turn.writes(socket('b'))
    expect(said).toEqual([])
    expect(isEndDue()).toBe(false)
  })

  it('keeps back what is written in a busy one, and lets it out in order at its end', () => {
    const { turn, said, socket, over } = loop()
    for (const name of ['a', 'b', 'c', 'd']) turn.writes(socket(name))
    expect(said).toEqual(['c held', 'd held'])
    over()
    expect(said).toEqual(['c held', 'd held', 'c out', 'd out'])
  })

  it('holds a socket once, however often it is written to', () => {
    const { turn, said, socket, over } = loop()
    const [other, busy] = [socket('a'), socket('b')]
    for (const each of [other, other, busy, busy, busy]) turn.writes(each)
    over()
    expect(said).toEqual(['b held', 'b out'])
  })

  it('begins anew behind its end', () => {
    const { turn, said, socket, over } = loop()
    for (const name of ['a', 'b', 'c']) turn.writes(socket(name))
    over()
    turn.writes(socket('d'))
    expect(said).toEqual(['c held', 'c out'])
  })

  it('tells whoever waits for its end behind the writing, and once', () => {
    const { turn, said, socket, over } = loop()
    turn.atEnd({ turnEnded: () => said.push('told') })
    for (const name of ['a', 'b', 'c']) turn.writes(socket(name))
    over()
    over()
    expect(said).toEqual(['c held', 'c out', 'told'])
  })

  it('leaves what is asked for at its end to the next one', () => {
    const { turn, said, over } = loop()
    turn.atEnd({ turnEnded: () => turn.atEnd({ turnEnded: () => said.push('next') }) })
    over()
    expect(said).toEqual([])
    over()
    expect(said).toEqual(['next'])
  })
})
