import { Failure } from '../core/failure.ts'
import type { Settings } from '../core/settings.ts'
import type { Visit } from './front.ts'

/** Whether another backend may go on with an answer, as an `AnswerStyle` says it. */
export interface ContinueWish {
  readonly continues: boolean
  readonly continuationWish: 'on' | 'off' | undefined
}

/** As the operator says, unless the request's `X-Chasqui-Continue: on | off` says otherwise. Throws a Failure. */
export function continueWishOf(visit: Visit, { continuation }: Settings): ContinueWish {
  const said = visit.request.headers['x-chasqui-continue']
  if (said === undefined) return { continues: continuation, continuationWish: undefined }
  if (said !== 'on' && said !== 'off')
    throw new Failure('request_invalid', 'X-Chasqui-Continue is on or off')
  return { continues: said === 'on', continuationWish: said }
}
