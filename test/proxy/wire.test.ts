import { lateWire } from '../../src/proxy/late-wire.ts'
import { netWire } from '../../src/proxy/net-wire/net-wire.ts'
import { undiciWire } from '../../src/proxy/undici-wire.ts'
import { wireSuite } from '../suites/wire.suite.ts'

wireSuite('undiciWire', undiciWire)
wireSuite('netWire', (settings, clock) => netWire(settings, clock, undiciWire(settings, clock)))
wireSuite('lateWire', (settings, clock) => lateWire(async () => undiciWire(settings, clock)))
