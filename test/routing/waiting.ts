import type { Op } from '../../src/core/ask.ts'
import { readModelName } from '../../src/core/model-name.ts'
import { noBody } from '../../src/proxy/body.ts'
import type { ClientSide } from '../../src/proxy/client-side.ts'
import { type Asked, Exchange } from '../../src/proxy/exchange.ts'

let asked = 0

/** An exchange without a socket; `leave` is its client hanging up. */
export function exchangeOf(
  model: string,
  more: Partial<Asked> & { textBytes?: number; op?: Op; purpose?: 'infer' | 'load' } = {},
): { exchange: Exchange; leave: () => void } {
  const listeners: (() => void)[] = []
  const client: ClientSide = {
    left: false,
    started: false,
    bytesOut: 0,
    onLeft: (act) => void listeners.push(act),
    head() {},
    write: () => true,
    onDrain() {},
    end() {},
    answer() {},
    answerEarly() {},
    cut() {},
  }
  const { textBytes = 40, op = 'chat', purpose = 'infer', ...rest } = more
  const exchange = new Exchange(
    {
      id: `x${++asked}`,
      method: 'POST',
      path: '/api/chat',
      rawHeaders: [],
      body: noBody,
      tenant: 't',
      priority: 'normal',
      labels: [],
      work: '',
      pinned: undefined,
      deadlineMs: undefined,
      arrivedMs: 0,
      ask: {
        family: 'ollama',
        op,
        modelText: model,
        name: readModelName(model)!,
        purpose,
        framing: 'ndjson',
        needs: ['completion'],
        runner: {},
        keepAlive: undefined,
        textBytes,
        repeatable: true,
      },
      ...rest,
    },
    client,
  )
  return {
    exchange,
    leave: () => {
      for (const act of listeners) act()
    },
  }
}

/** Lets everything happen that needs no time. */
export async function settled(): Promise<void> {
  for (let each = 0; each < 8; each++) await Promise.resolve()
}
