import { exit } from './exit-codes.ts'
import { askProxy, sayRefusal } from './remote.ts'
import { data, say } from './talk.ts'

/** `chasqui config reload`: what changed, or everything that is wrong as `config validate` prints it. */
export async function reload(url: string, env: NodeJS.ProcessEnv): Promise<number> {
  // Its file may lie on a slow disk, and a reload may wait for another.
  const asked = await askProxy(url, '/chasqui/reload', env, 'POST')
  if (!asked.ok) return asked.code
  const { status, body } = asked
  if (status === 200) {
    data(JSON.stringify(body))
    return exit.done
  }
  const { code, report, detail } = (body ?? {}) as Readonly<Record<string, unknown>>
  if (code !== 'config_invalid') return sayRefusal(status, body)
  say(`${report}\n\nchasqui: ${detail}`)
  return exit.configInvalid
}
