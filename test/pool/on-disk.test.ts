import { describe, expect, it } from 'vitest'
import { OnDisk } from '../../src/pool/on-disk.ts'
import { Seats } from '../../src/pool/seats.ts'
import type { ModelHost } from '../../src/pool/served-model.ts'
import { tags } from './help.ts'

/** An endpoint where everything is free; each set of weights has as many seats as its digest says. */
const host: ModelHost = {
  now: 0,
  parting: new Set(),
  roomInTotal: true,
  seatsOf: ({ digest }) => new Seats(Number(digest)),
  admittingModel: () => true,
  residentAs: () => false,
  contextLoaded: () => undefined,
  runsAs: () => 'unknown',
  mustEvict: () => false,
  heldBack: () => false,
}
const told = { capabilities: new Set(['embedding']), contextTrained: 512 }

describe('the models on a disk', () => {
  it('are the same to routing from list to list, and gone with the list that lacks them', () => {
    const onDisk = new OnDisk(host)
    onDisk.learn(tags(['m', 'n']))
    const before = onDisk.listed
    const served = onDisk.served.get('m:latest')
    onDisk.learn(tags([{ name: 'm', modified_at: 'later' }]))
    expect(onDisk.served.get('m:latest')).toBe(served)
    expect(served?.disk).toBe(onDisk.get('m:latest'))
    expect([...onDisk.served.keys(), ...onDisk.listed.keys()]).toEqual(['m:latest', 'm:latest'])
    // Who still reads the list before is not disturbed.
    expect([...before.keys()]).toEqual(['m:latest', 'n:latest'])
  })

  it('have the seats of their weights, also when the weights under a name change', () => {
    const onDisk = new OnDisk(host)
    onDisk.learn(tags([{ name: 'm', digest: '2' }]))
    const served = onDisk.served.get('m:latest')!
    expect(served.seatsLimit).toBe(2)
    onDisk.learn(tags([{ name: 'm', digest: '5' }]))
    expect(served.seatsLimit).toBe(5)
  })

  it('take details by their weights, where the list did not say', () => {
    const onDisk = new OnDisk(host)
    onDisk.learn(
      tags([
        { name: 'm', digest: 'd' },
        { name: 'alias', digest: 'd' },
        { name: 'said', digest: 'd', capabilities: ['completion'] },
        { name: 'other', digest: 'e' },
      ]),
    )
    onDisk.learnDetails('d', told)
    expect([...onDisk.served.values()].map(({ embeddingOnly }) => embeddingOnly)).toEqual([
      true,
      true,
      false,
      false,
    ])
    expect(onDisk.get('alias:latest')).toMatchObject(told)
    expect(onDisk.get('other:latest')?.contextTrained).toBeUndefined()
  })

  it('are believed missing until the next list', () => {
    const onDisk = new OnDisk(host)
    onDisk.learn(tags(['m']))
    onDisk.forget('m:latest')
    expect([onDisk.get('m:latest'), onDisk.served.get('m:latest')]).toEqual([undefined, undefined])
    onDisk.learn(tags(['m']))
    expect(onDisk.served.get('m:latest')).toBeDefined()
  })
})
