import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { start } from './child.ts'
import { findProgram, loadCpu } from './machine.ts'

interface SmallLoad {
  readonly port: number
  readonly seconds: number
  readonly connections: number
  /** For the script that wrk reads. */
  readonly dir: string
}

export interface SmallReport {
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers that were no 2xx, and connections that broke. */
  readonly faults: number
}

export type SmallTool = (load: SmallLoad) => Promise<SmallReport>

/** 500 bytes: a short question with the usual options. */
export const smallBody = sized(500)

const graceMs = 5_000
const wrkProgram = findProgram('wrk')

const wrk: SmallTool = async (load) => {
  const script = join(load.dir, 'small.lua')
  writeFileSync(script, lua)
  const args = ['-t1', `-c${load.connections}`, `-d${load.seconds}s`, '-s', script, url(load.port)]
  await using child = await start({ program: wrkProgram!, args }, loadCpu)
  const said = await child.finished(load.seconds * 1000 + graceMs)
  const line = said.split('\n').find((each) => each.startsWith('report '))
  // Seen now and then: wrk ends in peace and has nothing to tell.
  if (!line) throw new Error('wrk gave no result')
  return JSON.parse(line.slice('report '.length))
}

export const autocannon: SmallTool = async (load) => {
  const file = fileURLToPath(new URL('./autocannon-process.ts', import.meta.url))
  const command = { program: process.execPath, args: [file] }
  await using child = await start(command, loadCpu, true)
  const { connections, seconds } = load
  const wish = { url: url(load.port), connections, duration: seconds, body: smallBody }
  return await child.ask<SmallReport>(wish, seconds * 1000 + graceMs)
}

/** The better tool where it is there: autocannon itself needs more CPU per request than any proxy but the slowest. */
export const smallTool: { name: string; run: SmallTool } = wrkProgram
  ? { name: 'wrk', run: wrk }
  : { name: 'autocannon', run: autocannon }

const lua = `
wrk.method = "POST"
wrk.body = '${smallBody}'
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'report {"requests":%d,"seconds":%f,"p50Ms":%f,"p99Ms":%f,"faults":%d}\\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
`

function url(port: number): string {
  return `http://127.0.0.1:${port}/api/generate`
}

function sized(bytes: number): string {
  const body = { model: 'bench', prompt: '', stream: false, options: { temperature: 0, seed: 7 } }
  return JSON.stringify({ ...body, prompt: 'x'.repeat(bytes - JSON.stringify(body).length) })
}
