import { type FailureCode, failures } from '../core/failure.ts'
import { exit } from './exit-codes.ts'

/** A run, or the command, can not go on: a sentence, what to do, and what the exit says. */
export class SplitFailure extends Error {
  readonly fix: string | undefined
  readonly exitCode: number
  /** The proxy's stable word for it, where it was the proxy that refused. */
  readonly code: string | undefined

  constructor(
    sentence: string,
    {
      exitCode,
      fix,
      code,
    }: { exitCode: number; fix?: string | undefined; code?: string | undefined },
  ) {
    super(sentence)
    this.exitCode = exitCode
    this.fix = fix
    this.code = code
  }
}

export function wrongUsage(sentence: string, fix?: string): SplitFailure {
  return new SplitFailure(sentence, { exitCode: exit.wrongUsage, fix })
}

const exitByCode: Readonly<Record<string, number>> = {
  model_unknown: exit.noBackend,
  model_away: exit.noBackend,
  no_backend: exit.noBackend,
  all_away: exit.noBackend,
  all_busy: exit.noBackend,
  queue_full: exit.noBackend,
  unsupported: exit.noBackend,
  queue_timeout: exit.timedOut,
  upstream_timeout: exit.timedOut,
  total_timeout: exit.timedOut,
  origin_refused: exit.notAllowed,
  host_refused: exit.notAllowed,
  admin_only: exit.notAllowed,
}

/** What the proxy refused before it sent anything: then a fault in the request is a fault of the command line. */
export function refusedBefore(
  status: number,
  said: { readonly detail: string; readonly fix?: string; readonly code?: string },
): SplitFailure {
  const ofStatus =
    status === 400 || status === 413
      ? exit.wrongUsage
      : status === 401 || status === 403
        ? exit.notAllowed
        : exit.failed
  const { detail, fix, code } = said
  return new SplitFailure(detail, { exitCode: exitByCode[code ?? ''] ?? ofStatus, fix, code })
}

/** What the proxy said after it had begun; what to do it leaves to the table that both know. */
export function failedWithin(sentence: string, code: string | undefined): SplitFailure {
  return new SplitFailure(sentence, {
    exitCode: exitByCode[code ?? ''] ?? exit.failed,
    fix: code !== undefined && code in failures ? failures[code as FailureCode].fix : undefined,
    code,
  })
}
