import type { Backend } from '../core/backend.ts'
import { namesOf } from './backend-name.ts'
import { checkBackends } from './check.ts'
import { sameNames } from './cross-check.ts'
import { readBackendDocument } from './document.ts'
import { formatProblems, type Problem } from './problem.ts'
import type { Path } from './schema-tree.ts'
import { backendOf } from './settings-of.ts'
import type { Environment } from './substitute.ts'

export type BackendFile =
  | { readonly ok: true; readonly backends: readonly Backend[] }
  /** `report`: each problem with its file, line and column. */
  | { readonly ok: false; readonly report: string }

/** A file of a folder of backends: one of them or a list, as strictly checked as in the configuration. */
export function readBackendFile(text: string, fileName: string, env: Environment): BackendFile {
  const { list, places, problems } = readBackendDocument(text, fileName, env)
  const faults: { path: Path; problem: Problem }[] = []
  const backends = checkBackends(list, { backends: list }, places, faults)
  const found = [
    ...problems,
    ...(problems.length > 0 ? [] : faults.map(({ problem }) => problem)),
    ...sameNames(backends, places),
  ]
  // Without the lines themselves: which of them are secret, only the whole configuration tells.
  if (found.length > 0) return { ok: false, report: formatProblems(found) }
  const names = namesOf(backends)
  return {
    ok: true,
    backends: backends.map(({ index, backend }) => backendOf(backend, names.get(index) ?? '')),
  }
}
