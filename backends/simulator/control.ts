import { canonicalName } from '../../src/core/model-name.ts'
import type { Fault } from './faults.ts'
import { Fields, isObject, parseFirst, toGoJson } from './go-json.ts'
import type { Simulator } from './server.ts'
import type { ModelSpec } from './settings.ts'

export interface ControlAnswer {
  readonly status: number
  readonly body: unknown
}

/** The path for tests, outside of everything that Ollama has: what really happened, and what shall go wrong. */
export async function control(
  simulator: Simulator,
  method: string,
  path: string,
  body: Buffer,
): Promise<ControlAnswer> {
  const ok = (value: unknown): ControlAnswer => ({ status: 200, body: value })
  const read = () => {
    const value = body.length === 0 ? {} : parseFirst(body.toString())
    return new Fields(isObject(value) ? value : {}, 'control')
  }
  switch (`${method} ${path}`) {
    case 'GET /sim/trace':
      return ok({ entries: simulator.trace() })
    case 'DELETE /sim/trace':
      simulator.clearTrace()
      return ok({})
    case 'GET /sim/faults':
      return ok({ faults: simulator.faults.list() })
    case 'PUT /sim/faults': {
      const value = JSON.parse(body.toString()) as Fault[] | { faults: Fault[] }
      simulator.faults.replace(Array.isArray(value) ? value : value.faults)
      return ok({ faults: simulator.faults.list() })
    }
    case 'POST /sim/faults':
      simulator.faults.add(JSON.parse(body.toString()) as Fault)
      return ok({ faults: simulator.faults.list() })
    case 'GET /sim/state':
      return ok(simulator.stats())
    case 'GET /sim/settings':
      return ok(simulator.settings)
    case 'POST /sim/crash-runner':
      return ok({ crashed: simulator.crashRunner(read().string('model')) })
    case 'PUT /sim/pace': {
      const slowness = read().number('slowness') ?? Number.NaN
      if (!(slowness > 0)) return { status: 400, body: { error: 'slowness is a number above 0' } }
      if (!simulator.slowDown(slowness))
        return { status: 400, body: { error: 'needs the setting engine=shared' } }
      return ok({ slowness })
    }
    case 'PUT /sim/load': {
      const fields = read()
      const name = fields.string('name') ?? fields.string('model') ?? ''
      if (canonicalName(name) === '') return { status: 400, body: { error: 'name is required' } }
      if (fields.boolean('remove')) return ok({ removed: simulator.removeModel(name) })
      const spec = JSON.parse(toGoJson(fields.raw)) as Partial<ModelSpec>
      return ok({ model: simulator.addModel({ ...spec, name }) })
    }
    case 'POST /sim/restart':
      // Answered first: the connection that asks goes down with the others.
      setImmediate(() => void simulator.restart(read().number('ms') ?? 0))
      return ok({})
    default:
      return { status: 404, body: { error: `no control path ${method} ${path}` } }
  }
}
