import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { engineOptions } from '../../src/cli/tune-engine.ts'

const at = new URL('../../src/cli/tune-engine.ts', import.meta.url).href
const tuned = `if (process.argv[1] === 'tuned') (await import(${JSON.stringify(at)})).tuneEngine()`

type How = 'usual' | 'tuned'

/** How often a function must be called until it is compiled, at most some thousands. */
const calling = `
const isCompiled = new Function('f', 'return (%GetOptimizationStatus(f) & 16) !== 0')
${tuned}
function ask(a, b) { let sum = 0; if (a > b) sum = a - b; else sum = b - a; return sum * 2 + a * b }
let calls = 0
for (; calls < 5_000 && !isCompiled(ask); calls++) {
  ask(calls, 7)
  // Compiled beside us: given some time, and taken over at a next call.
  if (calls % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
}
console.log(calls)
`

/** Things that live through collections, all made in one place. */
const keeping = `
${tuned}
function begin(n) { return { n, gaps: [n, n + 1, n + 2] } }
const kept = new Array(500_000)
for (let n = 0; n < 1_000_000; n++) kept[n % kept.length] = begin(n)
`

// What is measured is this V8's; another one may have other steps, and its numbers must be looked at anew.
const measured = process.versions.v8.startsWith('13.6.') ? it : it.skip

describe('tuneEngine', () => {
  measured('has functions compiled after fewer calls than V8 13.6 would by itself', () => {
    const callsUntilCompiled = (how: How) => Number(run(['--allow-natives-syntax'], calling, how))
    expect(callsUntilCompiled('tuned')).toBeLessThan(callsUntilCompiled('usual') / 2)
  })

  // Behind long answers V8 took what short ones are made of for long-lived too, and put it among the old objects. All
  // of a request stayed in memory until the next full collection, and scavenges took ten times as long.
  measured('has V8 learn nothing from how long things live that are made in one place', () => {
    const learned = (how: How) =>
      run(['--trace-pretenuring-statistics'], keeping, how).match(/=> (maybe )?tenure/g) ?? []
    expect(learned('usual')).not.toEqual([])
    expect(learned('tuned')).toEqual([])
  })

  it('uses options that this V8 knows', () => {
    const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' })
    for (const option of engineOptions)
      expect(known).toContain(`--${option.replace(/^--(no-)?|=.*$/g, '')} `)
  })
})

function run(options: readonly string[], script: string, how: How): string {
  const args = [...options, '--input-type=module', '--eval', script, how]
  return execFileSync(process.execPath, args, { encoding: 'utf8' })
}
