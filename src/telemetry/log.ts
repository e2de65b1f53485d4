import { createRequire } from 'node:module'
import type { Logger } from 'pino'
import type { Clock } from '../core/clock.ts'
import type { Continued, ExchangeEnded, Observer } from '../core/observer.ts'
import type { Settings } from '../core/settings.ts'

/** A line is on its way to the file after this at the latest. */
const flushEveryMs = 250

type Level = Settings['log']['level']

const levels: readonly Level[] = ['debug', 'info', 'warn', 'error', 'silent']

export interface Log {
  /** A reload may change it. */
  level: Level
  /** Nothing where the level is below the log's; `fields` is not even asked for then. */
  write(level: Exclude<Level, 'silent'>, title: string, fields: () => object): void
  /** Writes what is still collected; a line after this may be lost. */
  close(): void
}

/**
 * One structured line for each exchange and for each turn of a backend, on stderr: stdout is for data. Prompts and
 * answers never come near it; it is told facts only. Its library is loaded for the first line: a start has better
 * things to do.
 */
export function createLog(settings: Settings['log'], isTerminal: boolean, clock: Clock): Log {
  const pretty = settings.format === 'pretty' || (settings.format === 'auto' && isTerminal)
  let made: Made | undefined
  return {
    level: settings.level,
    write(level, title, fields) {
      if (levels.indexOf(level) < levels.indexOf(this.level)) return
      made ??= pretty ? prettyLogger() : lineLogger(clock)
      made.logger[level](fields(), title)
    },
    close: () => made?.close(),
  }
}

interface Made {
  readonly logger: Logger
  close(): void
}

function prettyLogger(): Made {
  const { pino, options } = library()
  const logger = pino(options, {
    write: (line: string) => void process.stderr.write(readable(line)),
  })
  return { logger, close() {} }
}

/** Lines are collected and written together: a write for each exchange would be a good part of its whole cost. */
function lineLogger(clock: Clock): Made {
  const { pino, options } = library()
  const out = pino.destination({ fd: 2, sync: false, minLength: 4_096 })
  let timer: Disposable | undefined
  const flush = () => {
    out.flush()
    timer = clock.after(flushEveryMs, flush)
  }
  timer = clock.after(flushEveryMs, flush)
  return {
    logger: pino(options, out),
    close() {
      timer?.[Symbol.dispose]()
      out.flushSync()
    },
  }
}

function library() {
  const pino: typeof import('pino') = createRequire(import.meta.url)('pino')
  return {
    pino: pino.pino,
    // What is written at all has been decided before.
    options: { level: 'debug', base: null, timestamp: pino.stdTimeFunctions.isoTime },
  }
}

export function logObserver(log: Pick<Log, 'write'>): Partial<Observer> {
  return {
    exchangeEnded(fact) {
      const failed = fact.ending !== 'ok' && fact.ending !== 'client_closed'
      log.write(failed ? 'warn' : 'info', 'exchange', () => lineOf(fact))
    },
    backendTurned: (backend, state, reason) =>
      log.write(state === 'away' ? 'warn' : 'info', 'backend', () => ({ backend, state, reason })),
    breakerTurned: (backend, model, state) =>
      log.write(state === 'resting' ? 'warn' : 'info', 'breaker', () => ({
        backend,
        model,
        state,
      })),
    loaded: (backend, model, result, tookMs) =>
      log.write('info', 'load', () => ({ backend, model, result, took_ms: Math.round(tookMs) })),
    loadsHung: (backend, model, hang) =>
      log.write('warn', hang ? 'loads hang' : 'loads work again', () => ({
        backend,
        model,
        fix: hang ? 'restart Ollama there; until then it serves what it has in memory' : undefined,
      })),
    residencyMoved: (backend, model, what, why) =>
      log.write('info', 'residency', () => ({ backend, model, what, why })),
    reloaded: ({ result, changes, needsRestart = [], ...fact }) =>
      log.write(
        result === 'refused' || needsRestart.length > 0 ? 'warn' : 'info',
        'reload',
        () => ({
          ...fact,
          result,
          changes: changes.length === 0 ? undefined : changes,
          needs_restart: needsRestart.length === 0 ? undefined : needsRestart,
        }),
      ),
    noticed: (sentence, detail) => log.write('warn', sentence, () => ({ ...detail })),
  }
}

function lineOf(fact: ExchangeEnded): object {
  const { figures } = fact
  return {
    id: fact.id,
    api: fact.family,
    op: fact.op,
    model: fact.model,
    model_asked: fact.substitute?.asked,
    model_why: fact.substitute?.why,
    tenant: fact.tenant,
    priority: fact.priority,
    backend: fact.backend,
    outcome: fact.ending,
    status: fact.status,
    code: fact.code,
    attempts: fact.attempts,
    trail: fact.trail.length === 0 ? undefined : fact.trail,
    continued: fact.continued.length === 0 ? undefined : fact.continued.map(sayLeg),
    wait_ms: Math.round(fact.waitMs),
    first_byte_ms: fact.firstByteMs === undefined ? undefined : Math.round(fact.firstByteMs),
    total_ms: Math.round(fact.totalMs),
    bytes_in: fact.bytesIn,
    bytes_out: fact.bytesOut,
    prompt_tokens: figures?.promptTokens,
    output_tokens: figures?.outputTokens,
  }
}

function sayLeg({ from, to, method, result, afterMs, askedWallMs }: Continued): string {
  const at = askedWallMs === undefined ? '' : ` at ${new Date(askedWallMs).toISOString()}`
  return `${from} → ${to} by ${method} after ${Math.round(afterMs)} ms${at}: ${result}`
}

/** The same line for eyes: time, what, and the fields that say something. */
function readable(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  const mark = Number(level) >= 40 ? '!' : ' '
  const words = Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([key, value]) => `${key}=${typeof value === 'string' ? plain(value) : quoted(value)}`)
  return `${String(time).slice(11, 19)} ${mark} ${String(msg)} ${words.join(' ')}\n`
}

/** Names come from clients and backends: a line break or an escape sequence in one must not reach a terminal. */
function plain(text: string): string {
  return /[\p{Cc}\p{Cf}]/u.test(text) ? quoted(text) : text
}

function quoted(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\p{Cc}\p{Cf}]/gu,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
