import type { Ask } from '../core/ask.ts'
import { Failure } from '../core/failure.ts'
import { tenantOf } from '../guard/tenant.ts'
import type { HeldBody } from '../proxy/body.ts'
import { Exchange } from '../proxy/exchange.ts'
import { NotWanted } from '../proxy/queue.ts'
import { whyHopeless, whyNotJoinable } from '../split/combine/hopeless.ts'
import { SplitRun } from '../split/run.ts'
import type { HttpDoors } from './doors.ts'
import type { Visit } from './front.ts'
import { recorded } from './recorded.ts'
import { refuse } from './refuse.ts'
import { type AnswerForm, SplitAnswer } from './split-answer.ts'
import { type FieldsOfOrder, namedModel } from './split-fields.ts'
import type { SplitWish } from './split-wish.ts'
import type { Wishes } from './wishes.ts'

/** A request that is to be split, read and checked. */
export interface SplitRequest {
  readonly family: 'own' | 'ollama'
  readonly op: 'generate' | 'chat'
  /** The model as the client calls it; of an alias `order` has the one that is meant. */
  readonly askedModel: string
  readonly order: FieldsOfOrder
  readonly wish: SplitWish
  readonly wishes: Wishes
  readonly form: AnswerForm
  readonly deadlineMs: number | undefined
  /** Only the plan is wanted. */
  readonly dryRun: boolean
  readonly body: HeldBody
}

/** A split run for a client: its answer, its one sentence, and its end when the client leaves. */
export class SplitSurface {
  readonly #doors: HttpDoors

  constructor(doors: HttpDoors) {
    this.#doors = doors
  }

  async handle(visit: Visit, request: SplitRequest): Promise<void> {
    await mustBeMeetable(request)
    const exchange = this.#exchange(visit, request)
    this.#doors.server.place(exchange)
    try {
      await recorded(exchange, this.#doors, () => this.#run(visit, request, exchange))
    } catch (error) {
      refuse(visit, this.#doors, request, error)
    }
  }

  async #run(visit: Visit, request: SplitRequest, exchange: Exchange): Promise<number | Failure> {
    const { split } = this.#doors
    const { asked, client } = exchange
    const { order, wish, form, op, family, deadlineMs } = request
    await using answer = new SplitAnswer(client, {
      form,
      shape: op,
      model: request.askedModel,
      family,
      headers: ['X-Request-Id', visit.id, 'X-Accel-Buffering', 'no', ...visit.headers],
      openSpool: split.openSpool,
    })
    using run = new SplitRun(split, {
      ...order,
      id: asked.id,
      split: wish.options,
      combine: wish.combine,
      combiningModel: wish.combine.model === undefined ? undefined : namedModel(wish.combine.model),
      holes: wish.holes,
      tenant: asked.tenant,
      priority: asked.priority,
      labels: asked.labels,
      work: asked.work,
      rules: exchange.rules,
      deadlineMs,
      stream: form !== 'whole',
    })
    exchange.onEnd(() => run[Symbol.dispose]())
    try {
      if (request.dryRun) answer.instead(await run.dryRun())
      else await answer.end(await this.#doors.commands.run(exchange, () => run.run(answer)))
      return 200
    } catch (error) {
      if (exchange.endedBy === 'client') throw new NotWanted()
      if (!answer.started) throw error
      const failure =
        error instanceof Failure
          ? error
          : new Failure('internal', 'something went wrong inside the proxy', { cause: error })
      answer.fail(failure)
      return failure
    }
  }

  #exchange(visit: Visit, { order, wishes, family, op, body, deadlineMs }: SplitRequest): Exchange {
    const { request } = visit
    const ask: Ask = {
      family,
      op,
      modelText: order.model.text,
      name: order.model,
      purpose: 'infer',
      framing: 'json',
      needs: [],
      runner: {},
      keepAlive: undefined,
      textBytes: 0,
      repeatable: true,
    }
    return new Exchange(
      {
        id: visit.id,
        ask,
        method: 'POST',
        path: order.path,
        rawHeaders: [],
        body,
        tenant: tenantOf(
          { peerAddress: request.peerAddress, headers: request.headers },
          this.#doors.settings.tenants,
        ),
        // A thousand parts of one request step behind everybody's single ones, unless it says otherwise.
        priority: wishes.priority ?? 'batch',
        labels: wishes.labels,
        isPart: true,
        work: wishes.work,
        pinned: undefined,
        deadlineMs,
        arrivedMs: visit.arrivedMs,
      },
      visit.client,
    )
  }
}

/** What no part can give is refused before anything is asked. */
async function mustBeMeetable({
  order: { schema },
  wish: { combine },
}: SplitRequest): Promise<void> {
  if (!schema) return
  const why =
    (await whyHopeless(schema)) ?? (combine.by === 'json' ? whyNotJoinable(schema) : undefined)
  if (why !== undefined) throw new Failure('request_invalid', `no part can meet "format": ${why}`)
}
