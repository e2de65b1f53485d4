import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Outlet } from '../../src/core/outlet.ts'
import { handTurn } from '../help/hand-turn.ts'

const large = 'x'.repeat(16_385)

/** An outlet in a turn that is busy, and what its socket was given. */
function outletOf({ busy = true, writableLength = 0, takes = true } = {}) {
  const { turn, over, isEndDue } = handTurn()
  const written: string[] = []
  const sink = {
    destroyed: false,
    writableLength,
    write: (bytes: Uint8Array | string) => {
      written.push(Buffer.from(bytes as Uint8Array).toString())
      return takes
    },
    cork: () => void written.push('('),
    uncork: () => void written.push(')'),
  }
  if (busy) for (let each = 0; each < 2; each++) turn.mustWait()
  const outlet = new Outlet(sink, turn)
  const write = (text: string) => outlet.write('', Buffer.from(text))
  return { outlet, sink, written, write, over, isEndDue }
}

describe('an outlet', () => {
  it('writes at once while the turn is quiet', () => {
    const { written, write, isEndDue } = outletOf({ busy: false })
    expect(write('a')).toBe(true)
    expect(written).toEqual(['a'])
    expect(isEndDue()).toBe(false)
  })

  it('lets out in one piece at the end of a busy turn what was written in it', () => {
    const { outlet, written, write, over } = outletOf()
    expect([write('a'), write('b')]).toEqual([true, true])
    expect(written).toEqual([])
    expect(outlet.isEmpty).toBe(false)
    over()
    expect(written).toEqual(['ab'])
    expect(outlet.isEmpty).toBe(true)
  })

  it('keeps back nothing large, and nothing behind what the socket still has', () => {
    const one = outletOf()
    one.write(large)
    expect(one.written).toEqual([large])
    const slow = outletOf({ writableLength: 1, takes: false })
    expect(slow.write('a')).toBe(false)
    expect(slow.written).toEqual(['a'])
  })

  it('lets out what waits before what is too large to wait', () => {
    const { written, write } = outletOf()
    write('a')
    write(large)
    expect(written).toEqual(['a', large])
  })

  it('writes bytes and what frames them as one piece, large ones as they are', () => {
    const { outlet, written, over } = outletOf()
    outlet.write('1\r\n', Buffer.from('a'), '\r\n')
    outlet.write('0\r\n\r\n', undefined)
    outlet.write('', undefined)
    over()
    expect(written.splice(0)).toEqual(['1\r\na\r\n0\r\n\r\n'])
    outlet.write('4001\r\n', Buffer.from(large), '\r\n')
    expect(written).toEqual(['(', '4001\r\n', large, '\r\n', ')'])
  })

  it('lets out sooner when it is asked, and then nothing at the end', () => {
    const { outlet, written, write, over } = outletOf()
    write('a')
    outlet.letOut()
    over()
    expect(written).toEqual(['a'])
  })

  it('writes nothing to a socket that is gone', () => {
    const { sink, written, write, over } = outletOf()
    write('a')
    sink.destroyed = true
    over()
    expect(written).toEqual([])
  })

  it('keeps the order of whatever is written', () => {
    const step = fc.oneof(
      fc.nat({ max: 20_000 }).map((size) => ({ size })),
      fc.constant('over' as const),
      fc.constant('letOut' as const),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, busy) => {
        const { outlet, written, write, over } = outletOf({ busy })
        let wanted = ''
        for (const [index, each] of steps.entries()) {
          if (each === 'over') over()
          else if (each === 'letOut') outlet.letOut()
          else {
            const text = String.fromCharCode(97 + (index % 26)).repeat(each.size)
            wanted += text
            write(text)
          }
        }
        over()
        outlet.letOut()
        expect(written.join('')).toBe(wanted)
      }),
    )
  })
})
