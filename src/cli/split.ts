import { type Clock, realClock } from '../core/clock.ts'
import { exit } from './exit-codes.ts'
import { proxyUrl } from './remote.ts'
import { TextAnswer } from './split-answer.ts'
import { askSplit, type LastLine } from './split-call.ts'
import { SplitFailure, wrongUsage } from './split-failure.ts'
import type { SplitFlags } from './split-flags.ts'
import { backendsWith, modelsAt } from './split-fleet.ts'
import { readInputs } from './split-inputs.ts'
import { type Output, openOutput } from './split-output.ts'
import { linesOfPlan } from './split-plan.ts'
import { linesOfFailures, linesOfReport } from './split-report.ts'
import { bodyFor, commonFields } from './split-request.ts'
import { newRun, type RunState, runAfter } from './split-state.ts'
import { type TalkKind, talkKind, talkOf } from './split-talk.ts'
import { countOf, oneLine, sizeOf } from './split-words.ts'
import { say } from './talk.ts'

/** One file on its way, and where it stands among the others. */
interface Errand {
  readonly name: string
  readonly bytes: number
  readonly body: Buffer
  /** From 1. */
  readonly number: number
  readonly of: number
}

/** What all errands of one call share. */
interface Desk {
  readonly url: string
  readonly model: string
  readonly flags: SplitFlags
  readonly talk: TalkKind
  readonly output: Output
  readonly clock: Clock
  /** Fires with Ctrl-C. */
  readonly signal: AbortSignal
}

/** `chasqui split`: large texts, each asked in parts on all backends at once, one answer each. */
export async function split(
  names: readonly string[],
  flags: SplitFlags,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  try {
    const url = proxyUrl(flags.url, env)
    if (!URL.canParse(url))
      throw wrongUsage(`"${oneLine(url)}" is no URL; it looks like http://127.0.0.1:11435`)
    const model = flags.model ?? (await noModel(url))
    const { paths, errands } = await errandsOf(names, flags, model)
    using output = openOutput(flags.output, paths)
    const interrupt = new AbortController()
    const stop = () => interrupt.abort()
    // Only once: who presses it again wants to be gone, whatever is still to be said.
    process.once('SIGINT', stop)
    try {
      const code = await askAll(errands, {
        url,
        model,
        flags,
        talk: flags.dryRun ? 'none' : talkKind(process.stderr, flags, env),
        output,
        clock: realClock(),
        signal: interrupt.signal,
      })
      // Who is gone by Ctrl-C does not wait for a reader that may never read on.
      if (code !== exit.interrupted) await output.flushed()
      return code
    } finally {
      process.off('SIGINT', stop)
    }
  } catch (error) {
    if (!(error instanceof SplitFailure)) throw error
    return sayFailure(error)
  }
}

/** Everything is read and checked before anything is sent. */
async function errandsOf(names: readonly string[], flags: SplitFlags, model: string) {
  const common = await commonFields(flags, model)
  const inputs = await readInputs(names, process.stdin)
  return {
    paths: inputs.map(({ path }) => path),
    errands: inputs.map((input, at) => ({
      name: input.name,
      bytes: input.bytes,
      body: bodyFor(input, flags, common),
      number: at + 1,
      of: inputs.length,
    })),
  }
}

/** After these the next file would meet the same. */
const stopping: readonly number[] = [
  exit.notReachable,
  exit.noBackend,
  exit.notAllowed,
  exit.interrupted,
]

/** One after another; a file that fails for its own sake does not keep the others back. */
async function askAll(errands: readonly Errand[], desk: Desk): Promise<number> {
  const codes = new Set<number>()
  for (const errand of errands) {
    const code = await askOne(errand, desk)
    if (stopping.includes(code)) return code
    codes.add(code)
  }
  const [first = exit.done] = codes
  return codes.size > 1 ? exit.partlyDone : first
}

async function askOne(errand: Errand, desk: Desk): Promise<number> {
  const { clock, flags, output, signal, url } = desk
  const backends = desk.talk === 'lanes' ? await backendsWith(url, desk.model) : []
  let run = newRun(clock.now(), backends)
  const title = `${oneLine(errand.name)}, ${sizeOf(errand.bytes)}`
  if (errand.of > 1 && desk.talk === 'lines') say(`${title} (${errand.number} of ${errand.of})`)
  using talk = talkOf(desk.talk, { clock, title, run: () => run })
  const pieces: string[] = []
  const answer = new TextAnswer({
    write: (text) => output.write(text),
    heading: headingOf(errand),
    terminal: output.terminal,
    // Only a terminal shows both, and has to be kept from mixing them.
    aside: output.terminal ? talk.aside : (write) => write(),
    wholeLines: () => output.terminal && desk.talk !== 'none' && run.parts > 1,
  })
  const out = flags.json ? { piece: (text: string) => void pieces.push(text), end() {} } : answer
  let last: LastLine = {}
  try {
    for await (const heard of askSplit(url, errand.body, signal)) {
      if (heard.kind === 'text') {
        out.piece(heard.text)
        // A reader that is slow slows down the proxy, and not this process' memory.
        await output.roomFor(signal)
      } else if (heard.kind === 'last') last = heard.line
      else if (heard.kind === 'plan') {
        out.piece(`${linesOfPlan(heard.plan).join('\n')}\n`)
        last = heard.plan as unknown as LastLine
      } else {
        run = runAfter(run, heard, clock.now())
        talk.heard(heard)
      }
    }
    out.end()
  } catch (error) {
    out.end()
    talk[Symbol.dispose]()
    if (signal.aborted) return sayStopped(run)
    if (!(error instanceof SplitFailure)) throw error
    if (flags.json) output.write(`${JSON.stringify(asJson(errand, error))}\n`)
    return sayFailure(error, errand, run)
  }
  talk[Symbol.dispose]()
  if (flags.json) {
    const text = flags.dryRun ? {} : { response: pieces.join('') }
    output.write(`${JSON.stringify({ file: errand.name, ...last, ...text })}\n`)
  }
  return flags.dryRun ? exit.done : sayReport(last, desk)
}

function headingOf({ name, number, of }: Errand): string {
  if (of === 1) return ''
  return `${number > 1 ? '\n' : ''}=== ${oneLine(name)} ===\n`
}

function asJson({ name }: Errand, { message, code, fix }: SplitFailure) {
  return { file: name, error: message, code, fix }
}

function sayReport({ split: report }: LastLine, { talk }: Desk): number {
  if (!report) return exit.done
  const indent = talk === 'lanes' ? '  ' : ''
  if (talk !== 'none') for (const line of linesOfReport(report)) say(indent + line)
  // What is missing is said even to those who want to hear nothing.
  for (const line of linesOfFailures(report)) say(indent + line)
  return report.failed.length > 0 ? exit.partlyDone : exit.done
}

function sayFailure(failure: SplitFailure, errand?: Errand, run?: RunState): number {
  const about = errand && errand.of > 1 ? `${oneLine(errand.name)}: ` : ''
  say(`chasqui: ${about}${oneLine(failure.message)}`)
  if (run && run.parts > 1) say(`  ${doneOf(run)}`)
  if (failure.fix !== undefined) say(`  fix: ${failure.fix}`)
  return failure.exitCode
}

function sayStopped(run: RunState): number {
  say(
    run.parts > 1
      ? `chasqui: stopped; ${doneOf(run)}, the others are cancelled`
      : 'chasqui: stopped before the answer was complete',
  )
  return exit.interrupted
}

function doneOf({ done, failed, parts }: RunState): string {
  const answered = done - failed
  return `${answered} of ${countOf(parts, 'part')} ${answered === 1 ? 'was' : 'were'} answered`
}

async function noModel(url: string): Promise<never> {
  const models = await modelsAt(url)
  throw wrongUsage(
    'no model was named',
    models === undefined
      ? `--model NAME (the proxy at ${url} does not answer, so there is no list of them)`
      : models.length === 0
        ? 'Pull a model first: no backend has one that writes text.'
        : `--model NAME, one of: ${models.map(oneLine).join(', ')}`,
  )
}
