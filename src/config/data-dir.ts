import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import type { Environment } from './substitute.ts'

/** Where this platform keeps the lasting state of a program. */
export function defaultDataDir(
  env: Environment,
  platform: NodeJS.Platform = process.platform,
): string {
  const home = env['HOME'] || homedir()
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'chasqui')
  const windows = env['LOCALAPPDATA']
  if (platform === 'win32' && windows) return join(windows, 'chasqui')
  // The specification says to ignore a relative path.
  const state = env['XDG_STATE_HOME']
  return join(state && isAbsolute(state) ? state : join(home, '.local', 'state'), 'chasqui')
}
