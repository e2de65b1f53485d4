import { Failure } from '../core/failure.ts'
import { ownAsk } from '../dialects/own-ask.ts'
import { tenantOf } from '../guard/tenant.ts'
import { type HeldBody, takeBody } from '../proxy/body.ts'
import { Exchange } from '../proxy/exchange.ts'
import { continueWishOf } from './continue-wish.ts'
import type { HttpDoors } from './doors.ts'
import { fewValues } from './few-values.ts'
import type { Visit } from './front.ts'
import { type GenerateRequest, nativeBody, readGenerate } from './generate-request.ts'
import { withMeantModel } from './meant-model.ts'
import { wholeOf } from './reading.ts'
import { refuseUnread } from './refuse.ts'
import { orderOfGenerate } from './split-fields.ts'
import { SplitSurface } from './split-surface.ts'
import { mustBeText } from './split-wish.ts'
import { type Wishes, wishesOf } from './wishes.ts'

/** `POST /generate`: the entry of the seed. A prompt, commands or a large input, one answer, errors as problem JSON. */
export class GenerateSurface {
  readonly #doors: HttpDoors
  readonly #split: SplitSurface

  constructor(doors: HttpDoors) {
    this.#doors = doors
    this.#split = new SplitSurface(doors)
  }

  async handle(visit: Visit): Promise<void> {
    try {
      if (visit.request.method !== 'POST')
        throw new Failure('method_not_allowed', `${visit.request.method} /generate is not there`)
      await this.#generate(visit)
    } catch (error) {
      const allow = visit.request.method === 'POST' ? [] : ['Allow', 'POST']
      refuseUnread(visit, this.#doors, { family: 'own', op: 'generate' }, error, allow)
    }
  }

  async #generate(visit: Visit): Promise<void> {
    const { bodies, server, clock, settings } = this.#doors
    const wishes = wishesOf(visit.request.headers, visit.arrivedMs)
    using body = await takeBody(visit.request.body, bodies, fewValues())
    // This one is read whole, so a spooled body counts against memory as well.
    using share = bodies.memory()
    if (!body.bytes) share.grow(body.size)
    const bytes = await wholeOf(body)
    const request = readGenerate(bytes, settings.generate)
    if (request.split) {
      mustBeText(bytes, request.input)
      return await this.#split.handle(visit, this.#splitRequest(visit, wishes, request, body))
    }
    const exchange = this.#exchange(visit, wishes, request, body)
    await server.serve(exchange, {
      family: 'own',
      op: 'generate',
      modelUnknownText: () => `model '${request.model}' is on none of the backends`,
      headers: visit.headers,
      ...continueWishOf(visit, settings),
      now: () => clock.now(),
    })
  }

  #splitRequest(visit: Visit, wishes: Wishes, request: GenerateRequest, body: HeldBody) {
    const events = visit.request.headers.accept?.includes('text/event-stream') ?? false
    return {
      family: 'own' as const,
      op: 'generate' as const,
      askedModel: request.model,
      order: orderOfGenerate(
        withMeantModel(request.native, this.#doors.settings.placement),
        request.input,
        request.instruction,
      ),
      wish: request.split!,
      wishes: { ...wishes, priority: request.priority ?? wishes.priority },
      form: !request.stream
        ? ('whole' as const)
        : events
          ? ('events' as const)
          : ('lines' as const),
      deadlineMs: this.#deadlineMs(visit, wishes, request),
      dryRun: request.dryRun,
      body,
    }
  }

  #deadlineMs(visit: Visit, wishes: Wishes, request: GenerateRequest): number {
    const timeoutMs = request.timeoutMs ?? this.#doors.settings.generate.timeoutMs
    return Math.min(visit.arrivedMs + timeoutMs, wishes.deadlineMs ?? Number.POSITIVE_INFINITY)
  }

  #exchange(visit: Visit, wishes: Wishes, request: GenerateRequest, held: HeldBody): Exchange {
    const path = '/api/generate'
    const body = nativeBody(request)
    const { ask } = ownAsk(path, body)
    return new Exchange(
      {
        id: visit.id,
        ask: { ...ask, family: 'own' },
        method: 'POST',
        path,
        rawHeaders: ['Content-Type', 'application/json', 'Accept', '*/*'],
        body: {
          size: body.length,
          bytes: body,
          open: () => body,
          // The budget was charged for what the client sent, and this is about as long.
          [Symbol.dispose]: () => held[Symbol.dispose](),
        },
        tenant: tenantOf(
          {
            peerAddress: visit.request.peerAddress,
            headers: visit.request.headers,
          },
          this.#doors.settings.tenants,
        ),
        // Who says it in the body says it for this request; a header may be set once for a whole client.
        priority: request.priority ?? wishes.priority ?? 'normal',
        isPriorityChosen: (request.priority ?? wishes.priority) !== undefined,
        labels: wishes.labels,
        work: wishes.work,
        deadlineMs: this.#deadlineMs(visit, wishes, request),
        arrivedMs: visit.arrivedMs,
        pinned: undefined,
      },
      visit.client,
    )
  }
}
