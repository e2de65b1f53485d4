import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { Looks } from '../../backends/agent/looks.ts'

const known = { name: 'm', model: 'm', digest: 'd', size: 7, size_vram: 5 }

async function answering() {
  const answers = { text: JSON.stringify({ models: [known] }) }
  const server = createServer((_request, response) => response.end(answers.text))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    answers,
    looks: new Looks(`http://127.0.0.1:${port}`, {}, () => 0),
    [Symbol.dispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

describe('a look at the Ollama', () => {
  // A server that answered "{}" to a question for its lists ended the whole agent: nobody caught what the look threw,
  // and the next heartbeat was never sent.
  it.each(['{}', '{"models":null}', '{"models":[{}]}', '[]', 'null', 'hello'])(
    'at a server that answers %s sees what was seen last',
    async (text) => {
      using it = await answering()
      const seen = [{ model: 'm:latest', bytes: 7, vram_bytes: 5, context: null }]
      expect(await it.looks.resident()).toEqual(seen)
      it.answers.text = text
      expect(await it.looks.resident()).toEqual(seen)
      expect(await it.looks.capabilities()).toEqual({})
    },
  )
})
