import { Failure } from '../core/failure.ts'
import type { Route } from '../dialects/routes.ts'
import { takeBody } from '../proxy/body.ts'
import { BadSplit, readSplitHeader } from '../split/options.ts'
import type { HttpDoors } from './doors.ts'
import { fewValues } from './few-values.ts'
import type { Visit } from './front.ts'
import { jsonObject } from './json-object.ts'
import { withMeantModel } from './meant-model.ts'
import { wholeOf } from './reading.ts'
import { orderOfChat, orderOfGenerate } from './split-fields.ts'
import type { SplitSurface } from './split-surface.ts'
import { faultsOfSplit, mustBeText, type SplitWish } from './split-wish.ts'
import type { Wishes } from './wishes.ts'

type Fields = Readonly<Record<string, unknown>>

/** `X-Chasqui-Split` on `/api/generate` and `/api/chat`: the same request, its text cut, answered in Ollama's shape. */
export async function serveNativeSplit(
  visit: Visit,
  route: Route,
  wishes: Wishes,
  surface: SplitSurface,
  { bodies, settings }: Pick<HttpDoors, 'bodies' | 'settings'>,
): Promise<void> {
  const { op, family } = route
  if (family !== 'ollama' || (op !== 'generate' && op !== 'chat'))
    throw invalid('X-Chasqui-Split is for POST /api/generate and POST /api/chat')
  const header = orInvalid(() => readSplitHeader(String(visit.request.headers['x-chasqui-split'])))
  using body = await takeBody(visit.request.body, bodies, fewValues())
  using share = bodies.memory()
  if (!body.bytes) share.grow(body.size)
  const bytes = await wholeOf(body)
  const asked = fieldsIn(bytes)
  const fields = withMeantModel(asked, settings.placement)
  const order = op === 'chat' ? orderOfChat(fields) : orderOfGenerate(fields, promptIn(fields), '')
  const wish = wishOf(header, fields)
  mustBeText(bytes, order.input)
  await surface.handle(visit, {
    family,
    op,
    askedModel: String(asked['model']),
    order,
    wish,
    wishes,
    form: fields['stream'] === false ? 'whole' : 'lines',
    deadlineMs: wishes.deadlineMs,
    dryRun: false,
    body,
  })
}

function wishOf(header: ReturnType<typeof readSplitHeader>, fields: Fields): SplitWish {
  const { onError } = header
  if (onError !== undefined && onError !== 'retry' && onError !== 'partial')
    throw invalid('"on_error" in X-Chasqui-Split must be "retry" or "partial"')
  const { split, faults } = faultsOfSplit({
    split: header.given,
    combine: header.combine,
    images: fields['images'],
    partial: onError === 'partial',
  })
  if (!split) throw invalid(faults.join('; '))
  return split
}

function promptIn({ prompt }: Fields): string {
  if (typeof prompt === 'string' && prompt !== '') return prompt
  throw invalid('there is no "prompt" to split')
}

function fieldsIn(bytes: Buffer): Fields {
  const fields = jsonObject(bytes)
  if (typeof fields['model'] !== 'string' || fields['model'] === '')
    throw new Failure('model_missing', 'model is required')
  return fields
}

function orInvalid<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof BadSplit ? invalid(error.message) : error
  }
}

function invalid(sentence: string): Failure {
  return new Failure('request_invalid', sentence)
}
