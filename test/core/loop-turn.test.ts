import { describe, expect, it } from 'vitest'
import { handTurn } from '../help/hand-turn.ts'

describe('a turn of the loop', () => {
  it('lets who writes alone write at once', () => {
    const { turn, isEndDue } = handTurn()
    expect([turn.mustWait(), turn.mustWait()]).toEqual([false, false])
    expect(isEndDue()).toBe(false)
    expect(turn.mustWait()).toBe(true)
  })

  it('lets out at its end what was kept back, in order', () => {
    const { turn, over } = handTurn()
    const said: string[] = []
    for (const name of ['c', 'd']) turn.toWrite({ letOut: () => said.push(name) })
    expect(said).toEqual([])
    over()
    over()
    expect(said).toEqual(['c', 'd'])
  })

  it('counts anew behind its end', () => {
    const { turn, over } = handTurn()
    for (let each = 0; each < 3; each++) turn.mustWait()
    turn.toWrite({ letOut: () => {} })
    over()
    expect([turn.mustWait(), turn.mustWait(), turn.mustWait()]).toEqual([false, false, true])
  })

  it('lets out what a read has brought behind it, and in a busy turn at its end', () => {
    const { turn, over, isEndDue } = handTurn()
    const said: string[] = []
    const write = (name: string) => {
      expect(turn.mustWait()).toBe(true)
      turn.toWrite({ letOut: () => said.push(name) })
    }
    turn.readBegins()
    write('a')
    expect(said).toEqual([])
    turn.readEnds()
    expect(said).toEqual(['a'])
    expect(isEndDue()).toBe(false)
    turn.readBegins()
    write('b')
    write('c')
    turn.readEnds()
    expect(said).toEqual(['a'])
    over()
    expect(said).toEqual(['a', 'b', 'c'])
    turn.readBegins()
    turn.readEnds()
    expect(isEndDue()).toBe(false)
  })

  it('tells whoever waits for its end behind the writing, and once', () => {
    const { turn, over } = handTurn()
    const said: string[] = []
    turn.atEnd({ turnEnded: () => said.push('told') })
    turn.toWrite({ letOut: () => said.push('written') })
    over()
    over()
    expect(said).toEqual(['written', 'told'])
  })

  it('leaves what is asked for at its end to the next one', () => {
    const { turn, over } = handTurn()
    const said: string[] = []
    turn.atEnd({ turnEnded: () => turn.atEnd({ turnEnded: () => said.push('next') }) })
    over()
    expect(said).toEqual([])
    over()
    expect(said).toEqual(['next'])
  })
})
