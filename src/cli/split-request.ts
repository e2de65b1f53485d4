import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { grammarNamed } from '../split/cut/languages.ts'
import { wrongUsage } from './split-failure.ts'
import type { SplitFlags } from './split-flags.ts'
import type { SplitInput } from './split-inputs.ts'
import { oneLine } from './split-words.ts'

/** What every input is asked with. */
export type CommonFields = Readonly<Record<string, unknown>>

/** The fields that do not depend on the input. Throws a SplitFailure. */
export async function commonFields(flags: SplitFlags, model: string): Promise<CommonFields> {
  return {
    model,
    instruction: flags.ask,
    system: flags.system,
    combine: combineOf(flags),
    on_error: flags.onError,
    priority: flags.priority,
    timeout: flags.timeout === undefined ? undefined : timeoutOf(flags.timeout),
    format: flags.format === undefined ? undefined : await formatOf(flags.format),
    stream: true,
    dry_run: flags.dryRun,
  }
}

/** The body of `POST /generate` for one input. Throws a SplitFailure. */
export function bodyFor(input: SplitInput, flags: SplitFlags, common: CommonFields): Buffer {
  const split = { ...cutOf(input.path, flags), size: flags.size, overlap: flags.overlap }
  return Buffer.from(
    JSON.stringify({
      ...common,
      input: split.by === 'items' ? itemsOf(input) : input.text,
      split: { ...split, max_parallel: flags.maxParallel },
    }),
  )
}

const byOfExtension: Readonly<Record<string, string>> = {
  '.md': 'markdown',
  '.markdown': 'markdown',
  '.csv': 'records',
  '.tsv': 'records',
  '.jsonl': 'records',
  '.ndjson': 'records',
  '.log': 'records',
  '.yaml': 'records',
  '.yml': 'records',
}

/** How a file is cut: as it was said, else as its name says, else as the proxy finds best when it sees the text. */
export function cutOf(
  path: string | undefined,
  { by, language }: Pick<SplitFlags, 'by' | 'language'>,
): { by: string; language: string | undefined } {
  const extension = extname(path ?? '').toLowerCase()
  const program = extension !== '' && grammarNamed(extension) !== undefined
  const spoken = language ?? (program ? extension.slice(1) : undefined)
  if (by !== undefined) return { by, language: by === 'code' ? spoken : language }
  if (language !== undefined || program) return { by: 'code', language: spoken }
  return { by: byOfExtension[extension] ?? 'auto', language: undefined }
}

/** An array of a JSON file is what `items` cuts. */
function itemsOf({ name, text }: SplitInput): readonly unknown[] {
  let items: unknown
  try {
    items = JSON.parse(text)
  } catch {
    items = undefined
  }
  if (Array.isArray(items)) return items
  throw wrongUsage(`${name} is no JSON array, which --by items needs`, 'Try --by records.')
}

/** A name, or a JSON object; `--instruction` alone means that a model combines. */
function combineOf({ combine, instruction }: SplitFlags): unknown {
  const given = combine?.trimStart().startsWith('{') ? parsed('--combine', combine) : combine
  if (instruction === undefined) return given
  const fields = typeof given === 'object' ? given : { by: given ?? 'reduce' }
  return { ...fields, instruction }
}

async function formatOf(format: string): Promise<unknown> {
  if (format === 'json') return format
  let text: string
  try {
    text = await readFile(format, 'utf8')
  } catch {
    throw wrongUsage(
      `--format is "json" or a file with a JSON schema, and ${oneLine(format)} can not be read`,
    )
  }
  return parsed(oneLine(format), text)
}

function parsed(name: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw wrongUsage(`${name} is no JSON: ${oneLine(String((error as Error).message))}`)
  }
}

/** The proxy takes a bare number as seconds. */
function timeoutOf(text: string): string | number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text
}
