import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const home = resolve(dirname(fileURLToPath(import.meta.url)), '..')

/** Higher may import lower; rooms on one floor are neighbours that do not know one another. */
const floors: Readonly<Record<string, number>> = {
  'src/core': 0,
  'src/pool': 1,
  'src/routing': 1,
  'src/config': 1,
  'src/store': 1,
  'src/guard': 1,
  'src/telemetry': 1,
  'src/dialects': 1,
  'src/proxy': 2,
  'src/members': 2,
  'src/split': 2,
  'src/tasks': 2,
  'src/http': 3,
  'src/mcp': 3,
  'src/app.ts': 4,
  'backends/agent': 5,
  'src/cli': 6,
  'src/main.mjs': 7,
}

interface Arrow {
  readonly from: string
  readonly to: string
}

function roomOf(file: string): string {
  return Object.keys(floors).find((room) => file === room || file.startsWith(`${room}/`)) ?? file
}

/** Why an arrow may not be; undefined when it may. */
function fault({ from, to }: Arrow): string | undefined {
  if (from.startsWith('test/') || from.startsWith('bench/')) return undefined
  if (to.startsWith('test/') || to.startsWith('bench/')) return 'nobody imports from the garden'
  const [source, target] = [roomOf(from), roomOf(to)]
  if (from.startsWith('backends/simulator/'))
    return to.startsWith('backends/simulator/') || target === 'src/core'
      ? undefined
      : 'the simulator knows core only'
  if (to.startsWith('backends/simulator/'))
    return source === 'src/cli' || source === 'src/app.ts'
      ? undefined
      : 'only cli and app start the simulator'
  if (source === target) return undefined
  const [high, low] = [floors[source], floors[target]]
  if (high === undefined || low === undefined) return 'no such room in the plan of the house'
  return high > low ? undefined : 'imports run down only, never sideways'
}

function sources(folder: string): string[] {
  return readdirSync(join(home, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs)$/.test(entry.name))
    .map((entry) => relative(home, join(entry.parentPath, entry.name)))
}

function importsOf(text: string): string[] {
  const found = text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)
  return [...found].map((match) => match[1]!)
}

function arrowsOf(file: string, text: string): Arrow[] {
  return importsOf(text)
    .filter((target) => target.startsWith('.'))
    .map((target) => ({ from: file, to: relative(home, resolve(home, dirname(file), target)) }))
}

function read(file: string): string {
  return readFileSync(join(home, file), 'utf8')
}

const files = [...sources('src'), ...sources('backends')]

describe('the house', () => {
  it('lets imports run down only', () => {
    const faults = files
      .flatMap((file) => arrowsOf(file, read(file)))
      .flatMap((arrow) => {
        const why = fault(arrow)
        return why === undefined ? [] : [`${arrow.from} → ${arrow.to}: ${why}`]
      })
    expect(faults).toEqual([])
  })

  it('notices a planted upward import, a sideways one, and one from the garden', () => {
    const planted = (file: string, target: string) =>
      arrowsOf(file, `import { x } from '${target}'\n`).map(fault)
    expect(planted('src/pool/pool.ts', '../proxy/serve.ts')).toEqual([
      'imports run down only, never sideways',
    ])
    expect(planted('src/pool/pool.ts', '../routing/decide.ts')).toEqual([
      'imports run down only, never sideways',
    ])
    expect(planted('src/core/ask.ts', '../../test/help/clock.ts')).toEqual([
      'nobody imports from the garden',
    ])
    expect(planted('backends/simulator/server.ts', '../../src/dialects/errors.ts')).toEqual([
      'the simulator knows core only',
    ])
    expect(planted('src/proxy/serve.ts', '../pool/pool.ts')).toEqual([undefined])
  })

  it('writes no function straight into a property of an object that is on its way', () => {
    // V8 puts such a function among the old objects at once, and with it stays all that it can see.
    const planted =
      /^\s*[\w.#!?]*\w\.#?\w+ (?:\?\?)?= (?:async )?(?:\([^()]*\)|\w+)(?:: [^=]+)? =>/m
    const ours = files.filter((file) => file.startsWith('src/'))
    const faults = ours.filter((file) => planted.test(read(file)))
    expect(faults).toEqual([])
    expect(planted.test('    this.#lease.onAway = () => {')).toBe(true)
    expect(planted.test('    lease.onAway = givenUp')).toBe(false)
  })

  it('keeps packages in their rooms', () => {
    const rooms: Readonly<Record<string, RegExp>> = {
      undici: /^src\/(proxy\/undici-wire|http\/pinned-surface)\.ts$/,
      fastify: /^src\/http\//,
      '@fastify/http-proxy': /^src\/http\/pinned-surface\.ts$/,
      'prom-client': /^src\/telemetry\/metrics\.ts$/,
      pino: /^src\/telemetry\/log\.ts$/,
      yaml: /^src\/(config|split)\//,
      commander: /^src\/cli\/program\.ts$/,
    }
    const faults = files.flatMap((file) =>
      importsOf(read(file)).flatMap((target) => {
        const room = rooms[target]
        return room && !room.test(file) ? [`${file} imports ${target}`] : []
      }),
    )
    expect(faults).toEqual([])
  })

  it('has a ground that imports nothing, not even npm', () => {
    const faults = files
      .filter((file) => file.startsWith('src/core/'))
      .flatMap((file) =>
        importsOf(read(file)).flatMap((target) =>
          target.startsWith('./') ? [] : [`${file} imports ${target}`],
        ),
      )
    expect(faults).toEqual([])
  })

  it('leaves nothing lying about', () => {
    const left = [/\bTODO\b/, /\bFIXME\b/, /\bXXX\b/, /\.only\(/, /@ts-ignore/, /\bas any\b/]
    const found = [...files, ...sources('test'), ...sources('bench')]
      .filter((file) => file !== 'test/house.test.ts')
      .flatMap((file) => {
        const text = read(file)
        return left.filter((mark) => mark.test(text)).map((mark) => `${file}: ${mark.source}`)
      })
    expect(found).toEqual([])
  })
})
