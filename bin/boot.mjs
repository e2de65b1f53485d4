// The first thing that every npm script runs. Plain JavaScript for Node 20 or newer: it installs what is
// missing, finds a Node that can run the TypeScript sources as they are, and hands over to it.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const home = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(home, 'node_modules')
const stampFile = join(modules, '.chasqui-installed')

/** Node runs `.ts` files without a flag or a warning from here on. */
const nodeWanted = [24, 12]

const tools = (name) => join(modules, ...name.split('/'))
const vitest = tools('vitest/vitest.mjs')
const biome = tools('@biomejs/biome/bin/biome')

/** verb → what runs after the set-up; every step is [program, ...arguments] under our Node. */
const verbs = {
  start: { dev: false, steps: [[join(home, 'src/main.mjs'), 'start']] },
  chasqui: { dev: false, steps: [[join(home, 'src/main.mjs')]] },
  test: { dev: true, steps: [[vitest, 'run']] },
  check: {
    dev: true,
    steps: [
      [biome, 'check', '--error-on-warnings'],
      [tools('typescript/bin/tsc'), '--noEmit'],
      [tools('knip/bin/knip.js')],
      [vitest, 'run'],
    ],
  },
  lint: {
    dev: true,
    steps: [
      [biome, 'check', '--error-on-warnings'],
      [tools('typescript/bin/tsc'), '--noEmit'],
      [tools('knip/bin/knip.js')],
    ],
  },
  fix: { dev: true, steps: [[biome, 'check', '--write']] },
  bench: { dev: true, steps: [['bench/run.ts']] },
  calibrate: { dev: true, steps: [['test/calibration/run.ts']] },
  storm: { dev: true, steps: [['test/storms/run.ts']] },
  differential: { dev: true, steps: [['test/differential/run.ts']] },
}

const [verb = '', ...rest] = process.argv.slice(2)
const plan = verbs[verb]
if (!plan) stop(2, `boot: no such script "${verb}"; there are: ${Object.keys(verbs).join(', ')}`)

install(plan.dev)
const node = findNode()
for (const [index, step] of plan.steps.entries()) {
  const last = index === plan.steps.length - 1
  const code = await run(node, [...step, ...(last ? rest : [])])
  if (code !== 0) process.exit(code)
}

/** Installs exactly what the lockfile says, once per lockfile; a developer's install serves both kinds. */
function install(dev) {
  const lock = createHash('sha256')
    .update(readFileSync(join(home, 'package-lock.json')))
    .digest('hex')
  const had = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : ''
  if (had === `${lock} dev` || (had === `${lock} run` && !dev)) return
  process.stderr.write('chasqui: installing what the lockfile names …\n')
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const done = spawnSync(
    npm,
    ['ci', '--no-audit', '--no-fund', '--loglevel=error', ...(dev ? [] : ['--omit=dev'])],
    {
      cwd: home,
      stdio: ['ignore', 2, 2],
      shell: process.platform === 'win32',
      // Without our own bin folder in front: npm must not run on the Node that it is about to replace. And without
      // what an outer npm hands down, or a caller's setting such as "production" would change what gets installed.
      env: {
        ...Object.fromEntries(
          Object.entries(process.env).filter(
            ([key]) => !/^npm_config_(omit|include|production)$/i.test(key),
          ),
        ),
        NODE_ENV: '',
        PATH: (process.env.PATH ?? '')
          .split(delimiter)
          .filter((part) => part !== join(modules, '.bin'))
          .join(delimiter),
      },
    },
  )
  if (done.status !== 0)
    stop(
      1,
      'chasqui: npm ci did not succeed; what it said stands above. Is the npm registry reachable?',
    )
  writeFileSync(stampFile, `${lock} ${dev ? 'dev' : 'run'}`)
}

/** The Node that came with the packages, else this one when it is new enough, else a sentence. */
function findNode() {
  const brought = join(modules, '.bin', 'node')
  if (
    existsSync(brought) &&
    newEnough(spawnSync(brought, ['--version'], { encoding: 'utf8' }).stdout ?? '')
  )
    return brought
  if (newEnough(process.version)) return process.execPath
  stop(
    1,
    `chasqui: this needs Node ${nodeWanted.join('.')} or newer and found ${process.version}.\n` +
      `No Node package exists here for ${process.platform}-${process.arch}; install Node 24 from https://nodejs.org ` +
      'or with your package manager, then run the same command again.',
  )
}

function newEnough(version) {
  const [major = 0, minor = 0] = version.replace('v', '').split('.').map(Number)
  return major > nodeWanted[0] || (major === nodeWanted[0] && minor >= nodeWanted[1])
}

function run(program, args) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: verb === 'chasqui' || verb === 'start' ? process.cwd() : home,
      stdio: 'inherit',
      env: {
        ...process.env,
        PATH: `${join(modules, '.bin')}${delimiter}${process.env.PATH ?? ''}`,
      },
    })
    // A terminal sends Ctrl-C to the whole group; the child decides when it has stopped.
    const unix = process.platform === 'win32' ? [] : ['SIGUSR2']
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', ...unix])
      process.on(signal, () => child.kill(signal))
    // npm ends at SIGTERM together with its shell and tells nobody below: an orphan stops by itself.
    const parent = process.ppid
    const watch = setInterval(() => {
      if (process.ppid !== parent) child.kill('SIGTERM')
    }, 250)
    watch.unref()
    child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1)))
  })
}

function stop(code, sentence) {
  process.stderr.write(`${sentence}\n`)
  process.exit(code)
}
