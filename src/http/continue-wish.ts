import { Failure } from '../core/failure.ts'
import type { Settings } from '../core/settings.ts'
import type { Visit } from './front.ts'

/** Whether another backend may go on with an answer, as an `AnswerStyle` says it. */
export interface ContinueWish {
  readonly continues: boolean
  readonly continuationWish: 'on' | 'off' | undefined
  /** `X-Chasqui-Explain: 1`: the last object of an answer that went on elsewhere says where. */
  readonly explains: boolean
}

/** As the operator says, unless the request's `X-Chasqui-Continue: on | off` says otherwise. Throws a Failure. */
export function continueWishOf(visit: Visit, { continuation }: Settings): ContinueWish {
  const { headers } = visit.request
  const said = headers['x-chasqui-continue']
  const explains = headers['x-chasqui-explain'] === '1'
  if (said === undefined) return { continues: continuation, continuationWish: undefined, explains }
  if (said !== 'on' && said !== 'off')
    throw new Failure('request_invalid', 'X-Chasqui-Continue is on or off')
  return { continues: said === 'on', continuationWish: said, explains }
}
