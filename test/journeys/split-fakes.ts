import type { ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { backendAt } from '../../src/core/backend.ts'
import { fakeModel, startFakeOllama } from '../help/fake-ollama.ts'
import { type Fleet, startFleet } from '../help/fleet.ts'
import { until } from '../help/until.ts'
import { blind } from '../help/warm-fleet.ts'

/** What a server of the test says to a prompt: a text, or whatever the test does with the response. */
export type Says = (prompt: string, asked: number) => string | ((response: ServerResponse) => void)

export interface Fakes extends AsyncDisposable {
  readonly fleet: Fleet
  readonly url: string
  readonly dataDir: string
  /** In the order of their arrival, at whichever server. */
  readonly prompts: readonly string[]
  readonly bodies: readonly Readonly<Record<string, unknown>>[]
}

/** A proxy in front of servers whose every word is chosen by the test, with a context of 4,096 tokens each. */
export async function startFakes(
  says: readonly Says[],
  { slots = 2, config = blind }: { slots?: number; config?: string } = {},
): Promise<Fakes> {
  const prompts: string[] = []
  const bodies: Record<string, unknown>[] = []
  const servers = await Promise.all(
    says.map((say) =>
      startFakeOllama((request, response) => {
        void text(request).then((body) => {
          const fields = JSON.parse(body) as Record<string, unknown>
          const prompt = String(fields['prompt'])
          bodies.push(fields)
          const said = say(prompt, prompts.push(prompt))
          if (typeof said === 'function') said(response)
          else answer(response, said)
        })
      }),
    ),
  )
  let dataDir = ''
  const fleet = await startFleet({
    simulators: [],
    config,
    settings: (settings) => {
      dataDir = settings.dataDir
      const backends = servers.map(({ url }, index) => ({
        ...backendAt(String.fromCharCode(97 + index), url),
        slots,
      }))
      return { ...settings, backends }
    },
  })
  await until(() => fleet.app.pool.endpoints.every(({ ready, onDisk }) => ready && onDisk.size > 0))
  return {
    fleet,
    url: fleet.url,
    dataDir,
    prompts,
    bodies,
    async [Symbol.asyncDispose]() {
      await fleet[Symbol.asyncDispose]()
      await Promise.all(servers.map((each) => each[Symbol.asyncDispose]()))
    },
  }
}

/** A whole answer of generate with this text. */
export function answer(response: ServerResponse, said: string): void {
  const fields = { model: fakeModel, response: said, done: true, done_reason: 'stop' }
  const figures = { total_duration: 2e6, prompt_eval_count: 7, eval_count: 3, eval_duration: 1e6 }
  response
    .setHeader('content-type', 'application/json')
    .end(JSON.stringify({ ...fields, ...figures }))
}

export const fails =
  (status: number, error: string) =>
  (response: ServerResponse): void => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ error }))
  }

/** A breaker that never opens: what one part meets must be the same for the next. */
export const calm = `${blind}\nbreaker: { failures: 1000, share: 1, window: 10000 }`
