import type { IncomingHttpHeaders } from 'node:http'
import type { ArrivingBody } from '../proxy/body.ts'

/** A request whose head has come. Which door read it makes no difference to anybody behind. */
export interface Arrived {
  readonly method: string
  /** In origin-form (RFC 9112 section 3.2.1), or `*`. */
  readonly target: string
  /** Lower-case names; the values as Node joins them where a name came twice. */
  readonly headers: IncomingHttpHeaders
  /** Name, value …, as they came; at most one of them is Host. */
  readonly rawHeaders: readonly string[]
  readonly peerAddress: string | undefined
  readonly body: ArrivingBody
}
