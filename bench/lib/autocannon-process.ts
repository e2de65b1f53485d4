/** autocannon in a process of its own, so that it can be pinned and does not share a heap with the bench. */
import autocannon from 'autocannon'
import type { SmallReport } from './small-load.ts'

interface Wish {
  readonly url: string
  readonly connections: number
  readonly duration: number
  readonly body: string
}

process.on('message', (wish: Wish) => {
  const headers = { 'content-type': 'application/json' }
  autocannon({ ...wish, method: 'POST', headers }).then(
    (result) => {
      const report: SmallReport = {
        requests: result.requests.total,
        seconds: result.duration,
        p50Ms: result.latency.p50,
        p99Ms: result.latency.p99,
        faults: result.non2xx + result.errors,
      }
      process.send?.(report)
    },
    (error: unknown) => {
      process.stderr.write(`${error}\n`)
      process.exit(1)
    },
  )
})
process.on('disconnect', () => process.exit(0))
