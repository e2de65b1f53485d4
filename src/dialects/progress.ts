/** A line of a pull, push or create stream. */
export type ProgressLine = Readonly<Record<string, unknown>>

export interface ProgressMerger {
  /** Takes one parsed line of a backend; gives the lines that the client gets for it. */
  feed(target: string, line: unknown): readonly ProgressLine[]
  /** A backend's stream ended without success, or could not be had. */
  fail(target: string, message: string): readonly ProgressLine[]
  /** True once the one last line is out. */
  readonly finished: boolean
  /** Every backend that failed, with what it said; also those that were not mandatory. */
  readonly failures: ReadonlyMap<string, string>
  /** The last line: the whole answer where the client asked for no stream. */
  last(): ProgressLine
}

/**
 * The steps at the end, which are only told when every backend has come that far; everything else is told when the
 * first one says it. Source: Ollama server/images.go (PullModel, PushModel) and server/create.go.
 */
const lateSteps: ReadonlyMap<string, number> = new Map([
  ['verifying sha256 digest', 1],
  ['pushing manifest', 2],
  ['writing manifest', 2],
  ['removing unused layers', 3],
  ['success', 4],
])
const successStep = 4

/** Bounds on what one stream can make us remember; a model has some ten layers. */
const layersMax = 4_096
const statusesMax = 4_096
const textMax = 4_096

interface Layer {
  readonly digest: string
  readonly status: string
  total: number | undefined
  /** What was last told; never goes back. */
  told: number
  readonly completedBy: Map<string, number>
}

/**
 * Makes one progress stream of several: the CLI draws a bar per digest from the first total it sees, and stops at the
 * first `success`. So totals stay, bars only grow (with the slowest backend), and success comes once and last.
 */
export function progressMerger(
  targets: readonly string[],
  { mandatory = targets }: { readonly mandatory?: Iterable<string> } = {},
): ProgressMerger {
  const needed = new Set(mandatory)
  const stepOf = new Map(targets.map((target) => [target, 0]))
  const failures = new Map<string, string>()
  const layers = new Map<string, Layer>()
  const told = new Set<string>()
  /** Late steps that some backend has reached, waiting for the others. */
  const pending = new Map<string, number>()
  let last: ProgressLine = { error: 'no backend took part' }
  let finished = false

  const live = () => targets.filter((target) => !failures.has(target))
  const isDone = (target: string) => stepOf.get(target) === successStep

  function finish(line: ProgressLine): readonly ProgressLine[] {
    finished = true
    return [line]
  }

  /** Tells the late steps that all live backends have reached, in order, and ends with success when all are done. */
  function advance(): readonly ProgressLine[] {
    const running = live()
    if (running.length === 0) {
      const [target, message] = [...failures].at(-1) ?? ['', 'no backend took part']
      return finish({ error: target === '' ? message : `${target}: ${message}` })
    }
    const reached = Math.min(...running.map((target) => stepOf.get(target)!))
    const lines: ProgressLine[] = []
    for (const [status, step] of [...pending].sort(([, a], [, b]) => a - b)) {
      if (step > reached) continue
      pending.delete(status)
      lines.push({ status })
    }
    return reached === successStep ? [...lines, ...finish({ status: 'success' })] : lines
  }

  function failed(target: string, message: string): readonly ProgressLine[] {
    failures.set(target, message)
    return needed.has(target) ? finish({ error: `${target}: ${message}` }) : advance()
  }

  function layerLine(target: string, line: ProgressLine, digest: string): readonly ProgressLine[] {
    let layer = layers.get(digest)
    const isNew = layer === undefined
    if (layer === undefined) {
      if (layers.size >= layersMax) return []
      layer = {
        digest,
        status: textAt(line, 'status') ?? '',
        total: undefined,
        told: 0,
        completedBy: new Map(),
      }
      layers.set(digest, layer)
    }
    const totalBefore = layer.total
    layer.total ??= countAt(line, 'total')
    const before = layer.completedBy.get(target) ?? 0
    layer.completedBy.set(target, Math.max(before, countAt(line, 'completed') ?? 0))
    const moved = grow(layer)
    return isNew || moved || layer.total !== totalBefore ? [lineOf(layer)] : []
  }

  /** Moves the bar as far as the slowest live backend that works on the layer; true when it moved. */
  function grow(layer: Layer): boolean {
    const shares = [...layer.completedBy]
      .filter(([target]) => !failures.has(target))
      .map(([target, completed]) => (isDone(target) ? (layer.total ?? completed) : completed))
    if (shares.length === 0) return false
    const completed = Math.min(layer.total ?? Number.MAX_SAFE_INTEGER, ...shares)
    if (completed <= layer.told) return false
    layer.told = completed
    return true
  }

  function take(target: string, line: ProgressLine): readonly ProgressLine[] {
    const error = textAt(line, 'error')
    if (error !== undefined) return failed(target, error)
    const status = textAt(line, 'status')
    if (status === undefined) return []
    const step = lateSteps.get(status)
    if (step !== undefined) {
      if (step > stepOf.get(target)!) stepOf.set(target, step)
      if (step < successStep && !told.has(status)) {
        told.add(status)
        pending.set(status, step)
      }
      const moved = step === successStep ? [...layers.values()].filter(grow).map(lineOf) : []
      return [...moved, ...advance()]
    }
    // Who is at the end cannot be at the beginning again.
    if (stepOf.get(target)! > 0) return []
    const digest = textAt(line, 'digest')
    if (digest !== undefined) return layerLine(target, line, digest)
    if (told.has(status) || told.size >= statusesMax) return []
    told.add(status)
    return [{ status }]
  }

  function remember(lines: readonly ProgressLine[]): readonly ProgressLine[] {
    last = lines.at(-1) ?? last
    return lines
  }

  const listens = (target: string) =>
    !finished && stepOf.has(target) && !failures.has(target) && !isDone(target)

  return {
    feed: (target, line) => (listens(target) && isLine(line) ? remember(take(target, line)) : []),
    fail: (target, message) => (listens(target) ? remember(failed(target, message)) : []),
    get finished() {
      return finished
    },
    failures,
    last: () => last,
  }
}

/** What a merged line speaks of: whoever has the latest with this subject has missed nothing by the earlier ones. */
export function subjectOf({ digest, status }: ProgressLine): string {
  return digest === undefined ? `status ${status}` : `layer ${digest}`
}

/** As Ollama writes it: zeros are left out. */
function lineOf(layer: Layer): ProgressLine {
  return {
    status: layer.status,
    digest: layer.digest,
    ...(layer.total === undefined ? {} : { total: layer.total }),
    ...(layer.told === 0 ? {} : { completed: layer.told }),
  }
}

function isLine(value: unknown): value is ProgressLine {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function textAt(line: ProgressLine, key: string): string | undefined {
  const value = line[key]
  return typeof value === 'string' && value !== '' ? value.slice(0, textMax) : undefined
}

function countAt(line: ProgressLine, key: string): number | undefined {
  const value = line[key]
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined
}
