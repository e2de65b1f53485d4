import { expect, it } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { takesConnections } from '../help/ports.ts'
import { until } from '../help/until.ts'

// A refusal that ended while the server was down opened the port by itself, and the server that came up found it taken:
// its process died of that, which a storm took for a fault of the proxy's backends.
it('comes up once, also where a refusal ends while it is down', async () => {
  await using simulator = await startSimulator()
  simulator.faults.add({ kind: 'refuse', ms: 40 })
  const up = simulator.restart(120)
  await until(() => simulator.faults.list().length === 0)
  expect(await takesConnections(simulator.port)).toBe(false)
  await up
  expect((await fetch(`${simulator.url}/api/version`)).status).toBe(200)
})

it('stays shut where a refusal outlasts its coming up', async () => {
  await using simulator = await startSimulator()
  simulator.faults.add({ kind: 'refuse' })
  await simulator.restart()
  expect(await takesConnections(simulator.port)).toBe(false)
  simulator.faults.clear()
  await until(() => takesConnections(simulator.port))
})
