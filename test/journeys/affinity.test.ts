import { describe, expect, it } from 'vitest'
import type { Simulator } from '../../backends/simulator/server.ts'
import type { Fleet } from '../help/fleet.ts'
import { until } from '../help/until.ts'
import { startCalmFleet } from './routing-fleet.ts'

interface Message {
  readonly role: string
  readonly content: string
}

/** Text of so many of the simulator's tokens in which no piece is like another. */
function prose(tokens: number, seed: number): string {
  let text = ''
  for (let word = 1; text.length < tokens * 4; word++)
    text += `${(word * 7_919 * seed) % 1_048_573} `
  return text.slice(0, tokens * 4)
}

async function ask(
  { url }: Pick<Fleet, 'url'>,
  messages: readonly Message[],
  headers: Record<string, string> = {},
  answerTokens = 4,
): Promise<Message> {
  const answer = await fetch(`${url}/api/chat`, {
    method: 'POST',
    headers,
    body: JSON.stringify({
      model: 'm',
      messages,
      stream: false,
      options: { num_predict: answerTokens },
    }),
  })
  expect(answer.status).toBe(200)
  const { message } = (await answer.json()) as { message: Message }
  return message
}

const user = (content: string): Message => ({ role: 'user', content })

/** One turn after another, each with the answers so far; gives the backends that served them, one letter each. */
async function talk(
  fleet: Fleet,
  { turns, seed, tokens = 500 }: { turns: number; seed: number; tokens?: number },
  between: (turn: number) => Promise<unknown> = async () => {},
): Promise<string> {
  const messages: Message[] = []
  let served = ''
  for (let turn = 0; turn < turns; turn++) {
    messages.push(user(prose(tokens, seed * 100 + turn)))
    messages.push(await ask(fleet, messages))
    served += fleet.ended.at(-1)?.backend ?? '?'
    await between(turn)
  }
  return served
}

/** Both have the model in memory, and the proxy knows. */
async function warm(fleet: Fleet): Promise<void> {
  for (const { url } of fleet.simulators)
    await fetch(`${url}/api/generate`, {
      method: 'POST',
      body: JSON.stringify({ model: 'm', stream: false }),
    })
  for (const endpoint of fleet.app.pool.endpoints) endpoint.learnLoaded('m:latest')
}

/** Prompts that both have read from their beginning: so much the proxy has seen of how fast they are. */
async function measure(fleet: Fleet): Promise<void> {
  for (let seed = 900; seed < 906; seed++)
    await Promise.all([seed, seed + 50].map((each) => ask(fleet, [user(prose(400, each))])))
}

/** Seconds that reading the last prompt would have taken at each backend, as the proxy decided. */
async function readingS(fleet: Fleet): Promise<Readonly<Record<string, number>>> {
  const answer = await fetch(`${fleet.url}/api/distributed/decisions/${fleet.ended.at(-1)!.id}`)
  const { decisions } = (await answer.json()) as {
    decisions: { candidates: { backend: string; terms_s: { prefill?: number } }[] }[]
  }
  return Object.fromEntries(
    decisions.at(-1)!.candidates.map(({ backend, terms_s }) => [backend, terms_s.prefill ?? 0]),
  )
}

/** By how many times the dearest of them is dearer to read at than the cheapest. */
function unevenness(seconds: Readonly<Record<string, number>>): number {
  const all = Object.values(seconds)
  return Math.max(...all) / Math.min(...all)
}

const cachedAt = (simulator: Simulator | undefined) =>
  simulator?.trace().reduce((sum, { cachedTokens = 0 }) => sum + cachedTokens, 0) ?? 0

/** A thousand tokens take a tenth of a second to read. */
const machine = { models: ['m'], slots: 2, contextDefault: 32_768, prefillTokensPerSecond: 10_000 }

describe('a conversation', () => {
  it('stays where it is in memory, since reading costs less there', async () => {
    // Slow enough at reading that what a busy test machine adds to an answer is little beside it.
    const slow = { ...machine, prefillTokensPerSecond: 2_500 }
    await using fleet = await startCalmFleet({
      simulators: [slow, slow, slow],
      backend: (backend) => ({ ...backend, slots: 2 }),
    })
    await warm(fleet)
    await measure(fleet)
    const worth: number[] = []
    const served = await talk(fleet, { turns: 6, seed: 1 }, async (turn) => {
      if (turn > 0) worth.push(unevenness(await readingS(fleet)))
      await Promise.all([
        ask(fleet, [user(prose(60, 300 + turn))]),
        ask(fleet, [user(prose(60, 400 + turn))]),
      ])
    })
    expect(Math.min(...worth)).toBeGreaterThan(1.3)
    expect(worth.at(-1)).toBeGreaterThan(2)
    // A machine that tests keep busy may once look slower by more than a hit is worth.
    const moves = [...served].filter((name, turn) => turn > 0 && name !== served[turn - 1]).length
    expect(moves).toBeLessThanOrEqual(1)
    // Of 10,500 tokens in six prompts, all but what was new each time were there; less one that was read anew.
    const cached = fleet.simulators.reduce((sum, each) => sum + cachedAt(each), 0)
    expect(cached).toBeGreaterThan(4_000)
  })

  it('moves when waiting for its machine costs more than reading it anew', async () => {
    await using fleet = await startCalmFleet({
      simulators: [machine, machine].map((each) => ({ ...each, slots: 1, answerTokens: 3_000 })),
      backend: (backend) => ({ ...backend, slots: 1, labels: [`only-${backend.name}`] }),
    })
    await warm(fleet)
    await measure(fleet)
    const messages = [user(prose(1_000, 1))]
    messages.push(await ask(fleet, messages))
    const home = fleet.ended.at(-1)!.backend
    const elsewhere = home === 'a' ? 'b' : 'a'
    // Its machine is taken for seconds by somebody who is bound to it; two thousand tokens are read in 0.2 s.
    const long = fetch(`${fleet.url}/api/chat`, {
      method: 'POST',
      headers: { 'x-chasqui-labels': `only-${home}` },
      body: JSON.stringify({
        model: 'm',
        messages: [user('go on')],
        options: { num_predict: 4_000 },
      }),
    })
    await until(() => fleet.app.pool.endpoint(home)!.inFlight === 1)
    messages.push(user(prose(1_000, 2)))
    messages.push(await ask(fleet, messages))
    expect(fleet.ended.at(-1)?.backend).toBe(elsewhere)
    await (await long).body?.cancel()
  })

  it('goes on where it moved to', async () => {
    await using fleet = await startCalmFleet({
      simulators: [machine, machine],
      backend: (backend) => ({ ...backend, slots: 2 }),
    })
    await warm(fleet)
    await measure(fleet)
    const messages = [user(prose(1_000, 1))]
    messages.push(await ask(fleet, messages))
    const home = fleet.app.pool.endpoint(fleet.ended.at(-1)!.backend)!
    fleet.app.pool.setEnabled(home, false)
    const say = async (seed: number) => {
      messages.push(user(prose(500, seed)))
      messages.push(await ask(fleet, messages))
      return fleet.ended.at(-1)!.backend
    }
    const elsewhere = await say(2)
    expect(elsewhere).not.toBe(home.name)
    await say(3)
    fleet.app.pool.setEnabled(home, true)
    // The old machine has its first thousand tokens, the new one everything.
    expect(await say(4)).toBe(elsewhere)
  })

  it('is not looked for with routing.affinity: off', async () => {
    await using fleet = await startCalmFleet({
      simulators: [machine, machine, machine],
      backend: (backend) => ({ ...backend, slots: 2 }),
      config: 'routing: { affinity: off }\n',
    })
    await warm(fleet)
    await measure(fleet)
    await talk(fleet, { turns: 6, seed: 1 })
    expect(unevenness(await readingS(fleet))).toBeLessThan(2.5)
  })
})

describe('what many conversations begin with', () => {
  it('is soon in memory at every machine that they need', async () => {
    await using fleet = await startCalmFleet({
      simulators: [machine, machine].map((each) => ({ ...each, slots: 2 })),
      backend: (backend) => ({ ...backend, slots: 2 }),
    })
    await warm(fleet)
    await measure(fleet)
    const system = { role: 'system', content: prose(1_500, 7) }
    const one = (seed: number) => ask(fleet, [system, user(prose(50, seed))], {}, 60)
    await one(20)
    const holder = fleet.ended.at(-1)!.backend
    for (const wave of [30, 40])
      await Promise.all(Array.from({ length: 8 }, (_, at) => one(wave + at)))
    const served = fleet.ended.slice(-16).map(({ backend }) => backend)
    const both = ['a', 'b'].map((name) => served.filter((each) => each === name).length)
    expect(Math.min(...both)).toBeGreaterThan(3)
    const other = fleet.simulators[holder === 'a' ? 1 : 0]
    expect(cachedAt(other)).toBeGreaterThan(1_400)
  })
})

describe('a machine whose cache never has what it should', () => {
  it('is not preferred for it any more', async () => {
    const forgetful = { ...machine, slots: 1, generation: 'old' as const }
    await using fleet = await startCalmFleet({
      simulators: [forgetful, forgetful, forgetful],
      backend: (backend) => ({ ...backend, slots: 1 }),
    })
    await warm(fleet)
    await measure(fleet)
    // Somebody whom the proxy does not see takes the only slot of each after every turn.
    const push = (turn: number) =>
      Promise.all(
        fleet.simulators.map(({ url }, at) =>
          ask({ url }, [user(prose(300, 5_000 + turn * 10 + at))], {}, 1),
        ),
      )
    let believed = 0
    await talk(fleet, { turns: 3, seed: 9, tokens: 150 }, async (turn) => {
      if (turn > 0) believed = Math.max(believed, unevenness(await readingS(fleet)))
      await push(100 + turn)
    })
    for (let round = 0; round < 3; round++)
      await talk(fleet, { turns: 8, seed: 10 + round, tokens: 150 }, push)
    // Three machines that are equal are measured a little apart.
    expect(unevenness(await readingS(fleet))).toBeLessThan(Math.max(believed, 2))
    expect(unevenness(await readingS(fleet))).toBeLessThan(2.5)
  })
})
