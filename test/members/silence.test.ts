import { describe, expect, it } from 'vitest'
import {
  joinKey,
  memberTag,
  sessionKey,
  sign,
  signedHeader,
  verify,
} from '../../src/guard/signing.ts'
import type { Answer, CallAddress } from '../../src/members/calls.ts'
import type { SignedCall } from '../../src/members/join.ts'
import { Members } from '../../src/members/members.ts'
import { Memory } from '../../src/members/memory.ts'
import { handClock } from '../help/clock.ts'
import { scratchFolder } from '../help/scratch.ts'
import { nonce, report, token } from './help.ts'

const key = joinKey(token)

/** Members and one agent of theirs, in a time that is moved by hand. */
function community(
  dataDir: string,
  allow: readonly object[] = [{ labels: [] }],
  clock = handClock(1_000_000),
) {
  const noticed: string[] = []
  const told: string[] = []
  const turned: string[] = []
  const own = nonce()
  let proxyNonce = ''
  let sequence = 0
  const greeting: CallAddress = async (_origin, { path, body = '', headers = [] }) => {
    const said = { key, method: 'POST', path, body, header: headers[1], nowMs: clock.wall() }
    const verdict = verify(said)
    if (!verdict.ok) return undefined
    proxyNonce = (JSON.parse(body) as { nonce: string }).nonce
    const text = JSON.stringify({ name: 'ash', instance: 'one', nonce: own, ollama: 'ok' })
    const signed = { key, method: 'ANSWER 200', path, body: text, nowMs: clock.wall() }
    const rawHeaders = [signedHeader, sign({ ...signed, nonce: verdict.nonce })]
    return { status: 200, rawHeaders, body: Buffer.from(text) } satisfies Answer
  }
  const members = new Members({
    clock,
    observer: {
      backendTurned: (name, state) => turned.push(`${name} ${state}`),
      noticed: (sentence, detail) => noticed.push(`${sentence}: ${detail?.['code']}`),
    },
    settings: {
      join: {
        token,
        allow: allow as never,
        allowAddresses: [],
        membersMax: 3,
      },
    },
    memory: new Memory(dataDir, () => {}),
    call: greeting,
    resolve: async () => [],
    nonce,
    hop: 'here',
    ownAddresses: () => [],
    ownPort: () => 1,
    others: () => [],
    changed: () =>
      told.push(
        members
          .backends()
          .map(({ name }) => name)
          .join(','),
      ),
    service: {
      silent: (name) => told.push(`${name} silent`),
      back: (name, anew) => told.push(`${name} back${anew ? ' anew' : ''}`),
      load() {},
      isDrained: () => false,
      isBusy: () => told.includes('busy'),
    },
  })
  const signed = (path: string, words: object, signer: Buffer): SignedCall => {
    const body = Buffer.from(JSON.stringify(words))
    const message = { key: signer, method: 'POST', path, body, nowMs: clock.wall() }
    return {
      method: 'POST',
      path,
      body,
      peer: '10.0.0.1',
      header: sign({ ...message, nonce: nonce() }),
    }
  }
  return {
    clock,
    members,
    told,
    turned,
    noticed,
    join: (peer = '10.0.0.1') =>
      members.join({
        ...signed('/api/workers', { name: 'ash', port: 7, instance: 'one', nonce: own }, key),
        peer,
      }),
    beat: () => {
      const words = { sequence: ++sequence, load: report }
      const session = sessionKey(key, own, proxyNonce)
      return members.heartbeat('ash', signed('/api/workers/ash/heartbeat', words, session))
    },
    leave: () => {
      const session = sessionKey(key, own, proxyNonce)
      return members.leave('ash', signed('/x', { sequence: ++sequence }, session))
    },
    tag: () => memberTag(sessionKey(key, own, proxyNonce)),
    state: () => members.get('ash')?.state,
  }
}

describe('an agent', () => {
  it('is gone after ten seconds without a word, and back with the next', async () => {
    using folder = scratchFolder()
    const it = community(folder.path)
    await it.join()
    expect(it.members.backends()).toMatchObject([
      { name: 'ash', origin: 'http://10.0.0.1:7', agent: { instance: 'one', tag: it.tag() } },
    ])
    it.clock.pass(9_000)
    it.beat()
    it.clock.pass(9_900)
    expect([it.state(), it.told]).toEqual(['accepted', ['ash']])
    it.clock.pass(1_100)
    expect([it.state(), it.told]).toEqual(['gone', ['ash', 'ash silent']])
    // Away, and still a backend: those who wait for its models are told so.
    expect(it.members.backends()).toHaveLength(1)
    it.clock.pass(60_000)
    it.beat()
    expect([it.state(), it.told.at(-1)]).toEqual(['accepted', 'ash back'])
    expect(it.turned).toEqual(['ash joined', 'ash gone', 'ash back'])
  })

  // After a laptop's sleep all of a fleet seemed to have been silent, and what ran there was given up: the heartbeats of
  // the meantime were there, and not yet read.
  it('is not taken for silent when it was the proxy that stood still', async () => {
    using folder = scratchFolder()
    const hand = handClock(1_000_000)
    let sleptMs = 0
    const clock = { ...hand, now: () => hand.now() + sleptMs }
    const it = community(folder.path, undefined, clock)
    await it.join()
    clock.pass(900)
    sleptMs = 3_600_000
    clock.pass(9_000)
    expect(it.state()).toBe('accepted')
    clock.pass(2_000)
    expect(it.state()).toBe('gone')
  })

  it('that can not join is said, and not again and again', async () => {
    using folder = scratchFolder()
    const it = community(folder.path)
    const stranger = {
      method: 'POST',
      path: '/api/workers',
      body: Buffer.from('{}'),
      peer: '10.0.0.6',
    }
    for (let each = 0; each < 3; each++)
      await expect(it.members.join({ ...stranger, header: undefined })).rejects.toThrow(
        'not signed',
      )
    expect(it.noticed).toEqual(['somebody could not join: join_forged'])
    it.clock.pass(60_000)
    await it.members.join({ ...stranger, header: 'v1' }).catch(() => {})
    expect(it.noticed).toHaveLength(2)
  })

  it('that nobody has accepted is forgotten when it is silent', async () => {
    using folder = scratchFolder()
    const it = community(folder.path, [])
    await it.join()
    expect([it.state(), it.told]).toEqual(['pending', []])
    it.clock.pass(11_000)
    expect([it.state(), it.told]).toEqual([undefined, []])
    expect(() => it.beat()).toThrow('no agent "ash" has joined')
  })

  it('that leaves is out of service at once, and forgotten when its last work has ended', async () => {
    using folder = scratchFolder()
    const it = community(folder.path)
    await it.join()
    it.told.push('busy')
    it.leave()
    expect([it.state(), it.told.at(-1)]).toEqual(['leaving', ''])
    it.clock.pass(30_000)
    expect(it.state()).toBe('leaving')
    it.told.splice(0)
    it.clock.pass(1_000)
    expect(it.state()).toBeUndefined()
  })

  it('that served serves after a restart, at its last place, until it is too long silent', async () => {
    using folder = scratchFolder()
    const before = community(folder.path)
    await before.join()
    const memory = new Memory(folder.path, () => {})
    await expect
      .poll(async () => {
        await memory.read()
        return memory.get('ash')?.serving
      })
      .toBe(true)
    const it = community(folder.path)
    await it.members.recall()
    expect(it.members.backends()).toMatchObject([
      { name: 'ash', origin: 'http://10.0.0.1:7', agent: undefined },
    ])
    it.clock.pass(4_000)
    await it.join()
    expect(it.members.backends()[0]?.agent?.tag).toBe(it.tag())

    const lonely = community(folder.path)
    await lonely.members.recall()
    lonely.clock.pass(11_000)
    expect([lonely.state(), lonely.told]).toEqual(['gone', ['ash silent']])
  })
})

describe("the operator's yes", () => {
  // It was answered while it was still on its way to the disk: a proxy that was killed right behind the answer had
  // forgotten at its next start what the operator had been told was done.
  it('is on disk when it is said to be done, and so is the no', async () => {
    using folder = scratchFolder()
    const it = community(folder.path)
    await it.join()
    const onDisk = async () => {
      const memory = new Memory(folder.path, () => {})
      await memory.read()
      return memory.get('ash')?.answer
    }
    await it.members.accept('ash')
    expect(await onDisk()).toBe('accepted')
    await it.members.reject('ash')
    expect(await onDisk()).toBe('rejected')
  })

  // What the operator had accepted at one address held for every other at which a rule let the name in, and went on
  // there when the rule was gone.
  it('is for the address that it was said of', async () => {
    using folder = scratchFolder()
    const it = community(folder.path)
    await it.join()
    await it.members.accept('ash')
    await it.join()
    const answerAt = async (address: string) => {
      const memory = new Memory(folder.path, () => {})
      await memory.read()
      const known = memory.get('ash')
      return known?.address === address ? known.answer : undefined
    }
    await expect.poll(() => answerAt('10.0.0.1')).toBe('accepted')
    await it.join('10.0.0.9')
    await expect.poll(() => answerAt('10.0.0.9')).toBe('allowed')
  })
})

describe('a server that was found', () => {
  const server = {
    name: 'box',
    origin: 'http://10.0.0.5:11434',
    how: 'scan',
    version: '1',
  } as const

  it('waits for a yes, is forgotten when it goes before, and serves again after a restart', async () => {
    using folder = scratchFolder()
    const it = community(folder.path)
    it.members.found(server, false)
    it.members.found(server, false)
    expect([it.members.backends(), it.turned]).toEqual([[], ['box pending']])
    it.members.lost(server.origin)
    expect(it.members.get('box')).toBeUndefined()
    it.members.found(server, false)
    await it.members.accept('box')
    expect(it.members.backends()).toMatchObject([{ name: 'box', agent: undefined }])
    // Who serves is for the probes to judge.
    it.members.lost(server.origin)
    it.clock.pass(60_000)
    expect(it.members.backends()).toHaveLength(1)
    const again = community(folder.path)
    await expect
      .poll(async () => {
        await again.members.recall()
        return again.members.backends().map(({ name }) => name)
      })
      .toEqual(['box'])
  })

  it('serves at once where the operator said so for all, and never where it was rejected', async () => {
    using folder = scratchFolder()
    const it = community(folder.path)
    it.members.found(server, true)
    expect(it.members.backends()).toHaveLength(1)
    await it.members.reject('box')
    expect(it.members.backends()).toEqual([])
    it.clock.pass(2_000)
    it.members.found(server, true)
    expect(it.members.backends()).toEqual([])
  })

  it('must be at an address that may be called, and there is an end of them', () => {
    using folder = scratchFolder()
    const it = community(folder.path)
    for (const origin of ['http://127.0.0.1:11434', 'http://169.254.169.254', 'http://[fe80::1]:1'])
      it.members.found({ ...server, origin }, true)
    expect([...it.members.all()]).toEqual([])
    for (let each = 0; each < 9; each++)
      it.members.found({ ...server, name: `n${each}`, origin: `http://10.0.1.${each}` }, false)
    expect([...it.members.all()]).toHaveLength(3)
  })
})
