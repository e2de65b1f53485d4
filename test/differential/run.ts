import { parseArgs } from 'node:util'
import { runDifferential } from './differential.ts'

/** `node test/differential/run.ts --runs 100000 --seed 1`: as many streams as asked for, in pieces of ten thousand. */
const { values } = parseArgs({
  options: { runs: { type: 'string', default: '100000' }, seed: { type: 'string' } },
})
const runs = Number(values.runs)
const first = values.seed === undefined ? Math.floor(Math.random() * 1e9) : Number(values.seed)
const pieceMax = 10_000
console.log(`${runs} streams, seed ${first}`)

const sums = { runs: 0, forwarded: 0, refused: 0, streamsRefused: 0, faults: 0 }
for (let done = 0, seed = first; done < runs; done += pieceMax, seed += pieceMax) {
  const report = await runDifferential({ runs: Math.min(pieceMax, runs - done), seed })
  sums.runs += report.runs
  sums.forwarded += report.forwarded
  sums.refused += report.refused
  sums.streamsRefused += report.streamsRefused
  sums.faults += report.faults.length
  for (const fault of report.faults) console.log(`\n${fault}`)
  console.log(JSON.stringify(sums))
}
process.exitCode = sums.faults === 0 ? 0 : 1
