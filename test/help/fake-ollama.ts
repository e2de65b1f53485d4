import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Just enough of a server to be taken for an Ollama with one loaded model; the rest is the test's. */
export interface FakeOllama extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Requests that were not probes. */
  readonly asked: () => number
}

export const fakeModel = 'llama3.2:latest'

export async function startFakeOllama(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  probed: (response: ServerResponse) => void = () => {},
): Promise<FakeOllama> {
  let count = 0
  const model = { name: fakeModel, model: fakeModel, digest: 'a'.repeat(64), size: 1 }
  const probes: Readonly<Record<string, object>> = {
    '/api/version': { version: '0.33.0' },
    '/api/tags': { models: [{ ...model, capabilities: ['completion'] }] },
    '/api/ps': { models: [{ ...model, context_length: 4_096 }] },
  }
  const server = createServer((request, response) => {
    const probe = probes[request.url ?? '']
    if (probe) {
      probed(response)
      response.setHeader('content-type', 'application/json').end(JSON.stringify(probe))
      return
    }
    count++
    answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    asked: () => count,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A whole answer of chat. */
export const doneLine = `${JSON.stringify({
  model: fakeModel,
  message: { role: 'assistant', content: 'yes' },
  done: true,
  done_reason: 'stop',
})}\n`
