import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RunningProcess, startProcess } from './processes.ts'
import { scratchFolder } from './scratch.ts'

/** A proxy as a process that reads its configuration from a file, which the test changes. */
export interface Configured extends AsyncDisposable {
  readonly proxy: RunningProcess
  readonly url: string
  readonly file: string
  /** In place, as a copy does it. */
  write(text: string): void
}

/** Says everything, on a port of its own, and looks at its backends often. */
const always = {
  CHASQUI_LISTEN: '127.0.0.1:0',
  CHASQUI_PROBES_INTERVAL: '500ms',
  CHASQUI_PROBES_TIMEOUT: '490ms',
  CHASQUI_LOG_FORMAT: 'json',
}

export async function startConfigured(
  text: string,
  {
    args = [],
    env = {},
  }: { args?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): Promise<Configured> {
  const folder = scratchFolder()
  const file = join(folder.path, 'fleet.yaml')
  const write = (words: string) => writeFileSync(file, words)
  write(text)
  const proxy = await startProcess(['up', '--config', file, ...args], { ...always, ...env })
  return {
    proxy,
    url: proxy.url,
    file,
    write,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}

/** The list of backends as the file has it. */
export function backendsYaml(
  backends: readonly { readonly name: string; readonly url: string; readonly more?: string }[],
): string {
  if (backends.length === 0) return 'backends: []\n'
  const rows = backends.map(
    ({ name, url, more = '' }) =>
      `  - {name: ${name}, url: "${url}"${more === '' ? '' : `, ${more}`}}\n`,
  )
  return `backends:\n${rows.join('')}`
}

/** Lines of the log with this word for a message. */
export function logged(process: RunningProcess, msg: string): Record<string, unknown>[] {
  return process
    .stderr()
    .split('\n')
    .flatMap((line) => {
      if (!line.startsWith('{')) return []
      const fields = JSON.parse(line) as Record<string, unknown>
      return fields['msg'] === msg ? [fields] : []
    })
}
