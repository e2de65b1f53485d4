import {
  type Fault,
  type SimulatorSettings,
  startSimulator,
} from '../../backends/simulator/server.ts'
import { Gate } from './gate.ts'
import type { Lie } from './lies.ts'

/** A simulated server as a process, so that it can be killed and frozen; told by messages what to do otherwise. */
export interface BackendStart {
  readonly settings: Partial<SimulatorSettings>
  /** The port that clients know; 0: any. */
  readonly port: number
  readonly behindGate: boolean
}

export type BackendOrder =
  | { readonly kind: 'start'; readonly start: BackendStart }
  | { readonly kind: 'faults'; readonly faults: readonly Fault[] }
  | { readonly kind: 'lie'; readonly lie: Lie; readonly count: number }
  | { readonly kind: 'crash'; readonly model: string }
  | { readonly kind: 'restart'; readonly downMs: number }
  | { readonly kind: 'behave' }
  | { readonly kind: 'state' }

/** One for each order, in their order. */
export type BackendReply =
  | { readonly port: number }
  | { readonly openRequests: number }
  | { readonly done: true }

let running: Promise<(order: BackendOrder) => Promise<BackendReply>> | undefined

async function begin({ settings, port, behindGate }: BackendStart) {
  const simulator = await startSimulator({ ...settings, port: behindGate ? 0 : port })
  const gate = behindGate ? new Gate(simulator.port) : undefined
  const known = (await gate?.listen(port)) ?? simulator.port
  const done = { done: true } as const
  return async (order: BackendOrder): Promise<BackendReply> => {
    switch (order.kind) {
      case 'start':
        return { port: known }
      case 'faults':
        simulator.faults.replace(order.faults)
        return done
      case 'lie':
        gate?.tell(order.lie, order.count)
        return done
      case 'crash':
        simulator.crashRunner(order.model)
        return done
      case 'restart':
        await simulator.restart(order.downMs)
        return done
      case 'behave':
        simulator.faults.clear()
        gate?.beHonest()
        return done
      case 'state':
        return { openRequests: simulator.stats().openRequests }
    }
  }
}

process.on('message', (order: BackendOrder) => {
  if (order.kind === 'start') running = begin(order.start)
  void running!.then((act) => act(order)).then((reply) => process.send!(reply))
})
process.on('disconnect', () => process.exit(0))
