import type { ResidencySettings } from '../../../src/core/settings.ts'
import type { Host, Resident, Times } from '../../../src/routing/residency/host.ts'

export const usual: ResidencySettings = {
  on: true,
  pins: {},
  only: {},
  replicas: {},
  swapShare: 0.05,
  swapsAdapt: true,
  evictionWeight: 1,
  minResidencyMs: 30_000,
  keepAlive: false,
}

/** Loads take 10 s and requests 2 s alone, on every host alike. */
export const tenSeconds: Times = {
  loadS: () => 10,
  serviceS: (_host, _model, n) => 2 * (1 + 0.25 * (n - 1)),
}

export function residentOf(model: string, more: Partial<Resident> = {}): Resident {
  return { names: [model], bytes: 4e9, inUse: 0, sinceMs: -1e9, keptMs: 300_000, ...more }
}

/** A host with room for so many models, all of the given ones on its disk. */
export function hostOf(
  name: string,
  {
    loaded = [],
    models = ['a', 'b', 'c'],
    fits = 2,
    ...more
  }: Partial<Omit<Host, 'models' | 'residents'>> & {
    loaded?: readonly (string | Resident)[]
    models?: readonly string[]
    fits?: number
  } = {},
): Host {
  return {
    name,
    serves: true,
    inFlight: 0,
    residents: loaded.map((each) => (typeof each === 'string' ? residentOf(each) : each)),
    models: new Map(models.map((model) => [model, { bytes: 4e9, seats: 1 }])),
    memory: { fits: (_bytes, count) => count <= fits },
    ...more,
  }
}
