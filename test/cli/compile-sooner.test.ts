import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { tiers } from '../../src/cli/compile-sooner.ts'

const at = new URL('../../src/cli/compile-sooner.ts', import.meta.url).href

/** How often a function must be called until it is compiled, at most some thousands. */
const script = `
const isCompiled = new Function('f', 'return (%GetOptimizationStatus(f) & 16) !== 0')
if (process.argv[1] === 'sooner') (await import(${JSON.stringify(at)})).compileSooner()
function ask(a, b) { let sum = 0; if (a > b) sum = a - b; else sum = b - a; return sum * 2 + a * b }
let calls = 0
for (; calls < 5_000 && !isCompiled(ask); calls++) {
  ask(calls, 7)
  // Compiled beside us: given some time, and taken over at a next call.
  if (calls % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
}
console.log(calls)
`

describe('compileSooner', () => {
  // What is counted is when this V8 compiles; another one may have other steps, and its numbers must be looked at anew.
  const measured = process.versions.v8.startsWith('13.6.') ? it : it.skip
  measured(`has functions compiled after fewer calls than V8 13.6 would by itself`, () => {
    const usual = callsUntilCompiled('usual')
    const sooner = callsUntilCompiled('sooner')
    expect(sooner).toBeLessThan(usual / 2)
  })

  it('uses options that this V8 knows', () => {
    const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' })
    for (const flag of Object.keys(tiers)) expect(known).toContain(`--${flag} `)
  })
})

function callsUntilCompiled(how: 'usual' | 'sooner'): number {
  const args = ['--allow-natives-syntax', '--input-type=module', '--eval', script, how]
  return Number(execFileSync(process.execPath, args, { encoding: 'utf8' }))
}
