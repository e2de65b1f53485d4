import type { LookupFunction } from 'node:net'
import type { Reloaded } from '../config/in-force.ts'
import type { Clock } from '../core/clock.ts'
import type { Late } from '../core/late.ts'
import type { LoopTurn } from '../core/loop-turn.ts'
import type { Observer } from '../core/observer.ts'
import type { Settings } from '../core/settings.ts'
import type { Members } from '../members/members.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Pool } from '../pool/pool.ts'
import type { BodyBudget } from '../proxy/body.ts'
import type { Loads } from '../proxy/loads.ts'
import type { Manager } from '../proxy/manage/manager.ts'
import type { Optimizer } from '../proxy/residency/optimizer.ts'
import type { Server } from '../proxy/serve.ts'
import type { WaitingRoom } from '../proxy/waiting-room.ts'
import type { Why } from '../proxy/why.ts'
import type { EmbedSplitter } from '../split/embed/run.ts'
import type { SplitDoors } from '../split/order.ts'
import type { Beside } from './beside.ts'
import type { Commands } from './commands.ts'

/** What the surfaces are handed by the composition root. */
export interface HttpDoors {
  readonly settings: Settings
  readonly pool: Pool
  readonly queue: WaitingRoom
  /** Of a proxy; an agent has one backend and nothing to explain. */
  readonly why: Why | undefined
  readonly loads: Loads
  readonly server: Server
  /** What would help the fleet; of a proxy. */
  readonly optimizer: Optimizer
  readonly manager: Manager
  readonly members: Members
  readonly commands: Commands
  readonly bodies: BodyBudget
  readonly split: SplitDoors
  readonly embed: Late<EmbedSplitter>
  /** How the names of backends become addresses. */
  readonly lookup: LookupFunction
  readonly clock: Clock
  readonly loopTurn: LoopTurn
  readonly observer: Observer
  /** The name of this proxy in Via; a request that carries it has come round in a loop. */
  readonly hop: string
  readonly version: string
  readonly demo: boolean
  /** Prometheus text. */
  readonly metrics: () => Promise<{ contentType: string; text: string }>
  readonly refresh: (endpoint: Endpoint) => Promise<void>
  /** The settings are read again, and exchanged if they hold. */
  readonly reload: () => Promise<Reloaded>
  /** The newest configuration was refused, and the one before it is in force. */
  readonly refused: () => boolean
  /** Of an agent; undefined: this is a proxy. */
  readonly beside: Beside | undefined
  /** True from the first signal to stop on. */
  readonly stopping: () => boolean
}
