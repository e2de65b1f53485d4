import { configJsonSchema } from '../config/json-schema.ts'
import { loadSettings } from '../config/load.ts'
import { printSettings } from '../config/print.ts'
import { ConfigError } from '../config/problem.ts'
import { exit } from './exit-codes.ts'
import { data, say } from './talk.ts'

type Options = { readonly config?: string }

/** `chasqui config validate`: every problem at once, and no port opened. */
export async function validate(options: Options, env: NodeJS.ProcessEnv): Promise<number> {
  return await withSettings(options, env, ({ origin }) => data(`ok: ${origin}`))
}

export async function print(options: Options, env: NodeJS.ProcessEnv): Promise<number> {
  return await withSettings(options, env, ({ settings }) => data(printSettings(settings)))
}

export function schema(): number {
  data(JSON.stringify(configJsonSchema(), null, 2))
  return exit.done
}

async function withSettings(
  options: Options,
  env: NodeJS.ProcessEnv,
  act: (loaded: Awaited<ReturnType<typeof loadSettings>>) => void,
): Promise<number> {
  try {
    const loaded = await loadSettings({ options, env, cwd: process.cwd() })
    for (const warning of loaded.warnings) say(`chasqui: ${warning}`)
    act(loaded)
    return exit.done
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    say(error.report)
    return exit.configInvalid
  }
}
