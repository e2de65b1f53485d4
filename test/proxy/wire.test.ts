import { realClock } from '../../src/core/clock.ts'
import { realLoopTurn } from '../../src/core/loop-turn.ts'
import { Addresses } from '../../src/proxy/addresses.ts'
import { lateWire } from '../../src/proxy/late-wire.ts'
import { netWire } from '../../src/proxy/net-wire/net-wire.ts'
import { undiciWire } from '../../src/proxy/undici-wire.ts'
import { wireSuite } from '../suites/wire.suite.ts'

const addresses = new Addresses({ clock: realClock() })

wireSuite('undiciWire', (settings, clock) => undiciWire(settings, clock, addresses))
wireSuite('netWire', (settings, clock) =>
  netWire(settings, clock, undiciWire(settings, clock, addresses), addresses, realLoopTurn()),
)
wireSuite('lateWire', (settings, clock) =>
  lateWire(async () => undiciWire(settings, clock, addresses)),
)
