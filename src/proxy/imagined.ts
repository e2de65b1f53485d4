import type { ModelName } from '../core/model-name.ts'
import { noBody } from './body.ts'
import type { ClientSide } from './client-side.ts'
import { Exchange } from './exchange.ts'

/** What is asked about a request that is only imagined. */
export interface Imagined {
  /** Its model, as it was written. */
  readonly text: string
  readonly name: ModelName
  readonly promptTokens: number
}

/** A request that nobody has sent, to be placed like every other: of a tenant nobody knows, who wishes for nothing. */
export function imaginedExchange(
  { text, name }: Imagined,
  op: 'chat' | 'embed',
  nowMs: number,
): Exchange {
  return new Exchange(
    {
      id: '',
      ask: {
        family: 'own',
        op,
        modelText: text,
        name,
        purpose: 'infer',
        framing: 'ndjson',
        needs: [],
        runner: {},
        keepAlive: undefined,
        textBytes: 0,
        repeatable: true,
      },
      method: 'POST',
      path: '',
      rawHeaders: [],
      body: noBody,
      tenant: '',
      priority: 'normal',
      labels: [],
      work: '',
      pinned: undefined,
      deadlineMs: undefined,
      arrivedMs: nowMs,
    },
    noClient,
  )
}

/** Tokens are told apart by model, and which one answers may have changed. */
export function writePrompt(exchange: Exchange, tokens: number, bytesPerToken: number): void {
  const { asked } = exchange
  const textBytes = Math.floor(tokens * bytesPerToken)
  exchange.asked = { ...asked, ask: { ...asked.ask, textBytes } }
}

/** Nothing is ever said to it. */
const noClient: ClientSide = {
  left: false,
  started: false,
  bytesOut: 0,
  onLeft() {},
  head() {},
  write: () => true,
  onDrain() {},
  end() {},
  answer() {},
  answerEarly() {},
  cut() {},
}
