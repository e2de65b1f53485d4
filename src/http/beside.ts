import type { ClientSide } from '../proxy/client-side.ts'
import type { Arrived } from './arrived.ts'

/** What a house with one backend does besides: an agent's own paths, and its words to the proxy that it has joined. */
export interface Beside {
  /** True: it was a path of the agent's, and is taken care of. */
  handle(request: Arrived, client: ClientSide, path: string): boolean
  /** The client's end as the answer is to go there, which may say more in its head. */
  clientOf(request: Arrived, client: ClientSide): ClientSide
  /** It comes from the proxy that was joined: what changes the fleet was judged there. */
  isFromProxy(request: Arrived): boolean
  /** Added to the answer of `GET /queue-status`. */
  status(): object
}
