/**
 * Runs the scenarios against a real Ollama and against the simulator, and shows where they disagree.
 *
 *   OLLAMA_BIN               a real `ollama`, of either generation; without it nothing is done
 *   OLLAMA_LLAMA_SERVER_DIR  folder with a real `llama-server` and `llama-quantize`; by default ours are used
 *   CALIBRATE_GENERATION     `old` (up to 0.24) or `new`; by default told from the version, else `new`
 *   CALIBRATE_RECORD         a file to keep the real server's recording in
 *   CALIBRATE_ONLY           a regular expression of step ids
 */
import { writeFileSync } from 'node:fs'
import { differences, judge, table } from './compare.ts'
import { type Generation, knownDifferences } from './known-differences.ts'
import { startReal } from './real.ts'
import { PHASES, type Recording, runPhase, type Step } from './scenarios.ts'
import { startSimulated } from './simulated.ts'

const env = process.env

function generationOf(version: string): Generation {
  const asked = env['CALIBRATE_GENERATION']
  if (asked === 'old' || asked === 'new') return asked
  const [major = 0, minor = 0] = version.split('.').map(Number)
  // A build without a version says 0.0.0; it may be either, and most are new.
  return major === 0 && minor > 0 && minor < 30 ? 'old' : 'new'
}

async function main(): Promise<number> {
  const bin = env['OLLAMA_BIN']
  if (bin === undefined || bin === '') {
    console.log('calibration skipped: OLLAMA_BIN does not name a real ollama')
    return 0
  }
  const engineDir = env['OLLAMA_LLAMA_SERVER_DIR']
  const only = env['CALIBRATE_ONLY'] === undefined ? undefined : new RegExp(env['CALIBRATE_ONLY'])
  const real: Recording = {}
  const simulated: Recording = {}
  let generation: Generation = 'new'
  for (const phase of PHASES) {
    const server = await startReal(bin, phase.settings, engineDir)
    try {
      generation = generationOf(server.version)
      // The scripted engine belongs to the new generation; the old one has its own, which says what it likes.
      const obeys = generation === 'new' && engineDir === undefined
      const wanted = (step: Step): boolean =>
        (!step.scripted || obeys) && (only === undefined || only.test(step.id))
      console.log(`real ${server.version} (${generation}), phase ${phase.name} ...`)
      Object.assign(real, await runPhase(phase, server, wanted))
      const simulator = await startSimulated(generation, phase.settings)
      try {
        console.log(`simulator (${generation}), phase ${phase.name} ...`)
        Object.assign(simulated, await runPhase(phase, simulator, wanted))
      } finally {
        await simulator.stop()
      }
    } finally {
      await server.stop()
    }
  }
  const record = env['CALIBRATE_RECORD']
  if (record !== undefined) writeFileSync(record, `${JSON.stringify(real, null, 1)}\n`)

  const judged = judge(differences(real, simulated), knownDifferences, generation)
  const reasons = new Set(judged.explained.map((one) => `${one.step}: ${one.reason}`))
  if (reasons.size > 0) console.log(`\nknown differences:\n${[...reasons].join('\n')}`)
  if (judged.unexplained.length === 0) {
    console.log(`\n${Object.keys(real).length} steps, no unexplained differences`)
    return 0
  }
  const steps = new Set(judged.unexplained.map((one) => one.step)).size
  console.log(`\n${judged.unexplained.length} unexplained differences in ${steps} steps:\n`)
  console.log(table(judged.unexplained))
  return 1
}

process.exitCode = await main()
