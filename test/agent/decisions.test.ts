import { describe, expect, it } from 'vitest'
import { Hidden } from '../../backends/agent/hidden.ts'
import { afterEnd, freshFate } from '../../backends/agent/manage/pauses.ts'
import {
  firstSaid,
  listeningInodes,
  readVariables,
  variablesIn,
} from '../../backends/agent/ollama-environment.ts'
import { seatsNow } from '../../backends/agent/permit-decisions.ts'
import { slotsByModel } from '../../backends/agent/slots.ts'
import { figuresOf } from '../pool/help.ts'

function rowOf(used: number, more: { limit?: number; tries?: boolean; sinceMs?: number } = {}) {
  return {
    seats: { used, limit: more.limit ?? 2, mayTry: () => more.tries === true },
    waiting: { length: more.sinceMs === undefined ? 0 : 1 },
    oldestSinceMs: () => more.sinceMs,
  }
}

describe('the seats that may be held', () => {
  const roomFor = (resident: readonly object[], modelsLoadedMax: number | undefined) => ({
    nowMs: 10_000,
    modelsLoadedMax,
    isResident: (row: object) => resident.includes(row),
  })

  it('are those that are known, and one more where somebody waits at a loaded model', () => {
    const waits = rowOf(2, { tries: true, sinceMs: 9_000 })
    expect(seatsNow(waits, [waits], roomFor([waits], undefined))).toBe(3)
    expect(seatsNow(waits, [waits], roomFor([], undefined))).toBe(2)
    const nobody = rowOf(2, { tries: true })
    expect(seatsNow(nobody, [nobody], roomFor([nobody], undefined))).toBe(2)
  })

  it('are none for a cold model while every model that fits is at work', () => {
    const cold = rowOf(0, { sinceMs: 9_900 })
    const busy = rowOf(1)
    const idle = rowOf(0)
    expect(seatsNow(cold, [cold, busy], roomFor([busy], 1))).toBe(0)
    expect(seatsNow(cold, [cold, busy, idle], roomFor([busy, idle], 2))).toBe(2)
    expect(seatsNow(cold, [cold, busy], roomFor([busy], undefined))).toBe(2)
  })

  it('are none for who is in the way of a cold model that has waited long and longer', () => {
    const cold = rowOf(0, { sinceMs: 4_000 })
    const small = rowOf(1, { sinceMs: 6_000 })
    const large = rowOf(2)
    const rows = [cold, large, small]
    expect(seatsNow(small, rows, roomFor([small, large], 2))).toBe(0)
    expect(seatsNow(large, rows, roomFor([small, large], 2))).toBe(2)
    const patient = rowOf(0, { sinceMs: 6_000 })
    expect(seatsNow(small, [patient, large, small], roomFor([small, large], 2))).toBe(2)
    const early = rowOf(1, { sinceMs: 3_000 })
    expect(seatsNow(early, [cold, large, early], roomFor([early, large], 2))).toBe(2)
  })
})

describe('strangers at the Ollama', () => {
  it('are not known before an answer has told', () => {
    const hidden = new Hidden()
    expect(hidden.strangers(0)).toBeUndefined()
    hidden.heard(undefined, 1, 2, 0)
    expect(hidden.strangers(0)).toBeUndefined()
  })

  it('hold at least the slots that we had left free when one of ours was kept waiting', () => {
    const hidden = new Hidden()
    hidden.heard(figuresOf(1_000, 400), 1, 4, 0)
    expect(hidden.strangers(0)).toBe(4)
    hidden.heard(figuresOf(1_000, 400), 4, 4, 0)
    expect(hidden.strangers(0)).toBe(3) // halved towards one
  })

  it('are nobody where nobody was kept waiting, and are forgotten in half a minute', () => {
    const hidden = new Hidden()
    hidden.heard(figuresOf(1_000, 20), 1, 4, 0)
    expect(hidden.strangers(0)).toBe(0)
    hidden.heard(figuresOf(1_000, 500), 1, 4, 0)
    expect(hidden.strangers(15_000)).toBe(2)
    expect(hidden.strangers(30_000)).toBe(0)
  })
})

describe('what an Ollama was told', () => {
  it('is read from its environment, and nonsense is not believed', () => {
    const told = variablesIn('OLLAMA_NUM_PARALLEL=4\0OLLAMA_MAX_LOADED_MODELS=0\0PATH=/bin\0')
    expect(readVariables(told)).toEqual({
      slots: 4,
      modelsLoadedMax: undefined,
      modelsDir: undefined,
    })
    expect(readVariables({ OLLAMA_NUM_PARALLEL: 'many', OLLAMA_MODELS: '/models' })).toEqual({
      slots: undefined,
      modelsLoadedMax: undefined,
      modelsDir: '/models',
    })
  })

  it('is taken from the first that says it', () => {
    const own = readVariables({ OLLAMA_NUM_PARALLEL: '2' })
    const theirs = readVariables({ OLLAMA_NUM_PARALLEL: '8', OLLAMA_MODELS: '/m' })
    expect(firstSaid(own, theirs)).toMatchObject({ slots: 2, modelsDir: '/m' })
  })

  it('belongs to who listens on the port, in the table of the kernel', () => {
    const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0000000000000000 100 0 0 10 0
   1: 0100007F:2CAA 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000  1000        0 31338 1 0000000000000000 20 4 30 10 -1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31339 1 0000000000000000 100 0 0 10 0
`
    expect(listeningInodes(table, 11_434)).toEqual(['31337'])
    expect(listeningInodes(table, 22)).toEqual(['31339'])
    expect(listeningInodes(table, 23)).toEqual([])
  })
})

describe('the slots of a model', () => {
  const model = (canonical: string, family: string) => ({
    canonical,
    entry: { details: { family } },
  })

  it('are one for the families that Ollama gives no more', () => {
    const models = [model('a:latest', 'llama'), model('b:latest', 'qwen3vlmoe')]
    expect(slotsByModel(models, 4)).toEqual(
      new Map([
        ['a:latest', 4],
        ['b:latest', 1],
      ]),
    )
    expect(slotsByModel([models[0]!], 4)).toBe(4)
  })

  it('are learned where nobody said a number', () => {
    expect(slotsByModel([model('b:latest', 'mllama')], undefined)).toBeUndefined()
  })
})

describe('a program that has ended', () => {
  it('is started again after pauses that grow, and given up when it ended at once five times', () => {
    let fate = freshFate
    const pauses: (number | undefined)[] = []
    for (let each = 0; each < 5; each++) {
      const after = afterEnd(fate, 100)
      fate = after.fate
      pauses.push(after.pauseMs)
    }
    expect(pauses).toEqual([500, 1_000, 2_000, 4_000, undefined])
  })

  it('begins anew with its pauses once it has run for a while', () => {
    const { fate } = afterEnd(freshFate, 100)
    expect(afterEnd(fate, 5_000)).toEqual({ fate: freshFate, pauseMs: 500 })
  })
})
