import { describe, expect, it } from 'vitest'
import type { ModelInMemory } from '../../src/pool/catalogue.ts'
import { bytesOf, departedOf, occupantOf } from '../../src/pool/occupants.ts'
import { ps } from './help.ts'

const wallMs = 1_000_000
const model = (more: Partial<ModelInMemory> = {}): ModelInMemory => ({ ...ps(['m'])[0]!, ...more })
const leftMs = (ms: number) => model({ expiresAt: new Date(wallMs + ms).toISOString() })
const hadToLeave = (one: ModelInMemory, hasCome: boolean, parting: string[] = []) =>
  departedOf(one, hasCome, new Set(parting), wallMs).hadToLeave

describe('the room of a model', () => {
  it('is what it takes on the graphics card, else of the whole machine; what is not said is nothing', () => {
    const models = [
      model({ sizeBytes: 9e9, sizeVramBytes: 6e9 }),
      model({ sizeBytes: 3e9, sizeVramBytes: 0 }),
      model(),
    ]
    expect(models.map((each) => occupantOf(each).bytes)).toEqual([6e9, 3e9, 0])
    expect(bytesOf(models)).toBe(9e9)
  })
})

describe('one that is gone', () => {
  it('had to leave when it had time left, by more than clocks differ', () => {
    expect(hadToLeave(leftMs(15_001), false)).toBe(true)
    expect(hadToLeave(leftMs(15_000), true)).toBe(false)
    expect(hadToLeave(leftMs(-1_000), true)).toBe(false)
  })

  it('had to leave for what has come, where nobody says how much time it had', () => {
    expect([hadToLeave(model(), true), hadToLeave(model(), false)]).toEqual([true, false])
  })

  it('did not have to when it was asked to', () => {
    expect(hadToLeave(leftMs(300_000), true, ['m:latest'])).toBe(false)
    expect(hadToLeave(model(), true, ['n:latest'])).toBe(true)
  })
})
