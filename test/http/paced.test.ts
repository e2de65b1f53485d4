import { describe, expect, it } from 'vitest'
import { Paced } from '../../src/http/paced.ts'
import { recordingClient } from '../proxy/help.ts'

const bytes = Buffer.from('x')

describe('paced writing', () => {
  it('waits for nobody who reads', () => {
    const client = recordingClient()
    const paced = new Paced(client)
    expect(paced.write(bytes)).toBeUndefined()
    expect(paced.waiting).toBe(false)
  })

  // Two who waited for one drain: a door remembers one of them only, and the other waited for ever.
  it('lets everybody go on with one drain, however many have written meanwhile', async () => {
    const client = recordingClient()
    const asked: (() => void)[] = []
    const paced = new Paced({ ...client, left: false, onDrain: (act) => void asked.push(act) })
    client.stall()
    const waits = [paced.write(bytes), paced.write(bytes), paced.write(bytes)]
    expect([asked.length, paced.waiting]).toEqual([1, true])
    asked[0]!()
    await Promise.all(waits)
    expect(paced.waiting).toBe(false)
  })

  // Every wait left a listener behind, so a long answer to a slow client held thousands.
  it('listens once for the leaving of its client, and waits no longer then', async () => {
    const client = recordingClient()
    let listeners = 0
    const counted = {
      ...client,
      left: false,
      onLeft(act: () => void) {
        listeners++
        client.onLeft(act)
      },
    }
    const paced = new Paced(counted)
    client.stall()
    for (let each = 0; each < 100; each++) {
      void paced.write(bytes)
      client.drain()
      client.stall()
    }
    const wait = paced.write(bytes)
    client.leave()
    await wait
    expect(listeners).toBe(1)
  })
})
