import type { IncomingHttpHeaders } from 'node:http'
import type { ArrivingBody } from '../proxy/body.ts'

/** A request whose head has come. Which door read it makes no difference to anybody behind. */
export interface Arrived {
  readonly method: string
  /** As it stood in the request line. */
  readonly target: string
  /** Lower-case names; the values as Node joins them where a name came twice. */
  readonly headers: IncomingHttpHeaders
  /** Name, value …, as they came. */
  readonly rawHeaders: readonly string[]
  readonly peerAddress: string | undefined
  readonly body: ArrivingBody
}
