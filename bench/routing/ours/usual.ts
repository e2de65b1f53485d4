import { readConfig } from '../../../src/config/read.ts'
import type { Settings } from '../../../src/core/settings.ts'

/** As the product is without a configuration: the study has no figures of its own for what an operator may set. */
export const usual: Settings = settingsOfNothing()

function settingsOfNothing(): Settings {
  const read = readConfig('', { fileName: 'nothing', env: {} })
  if (!read.ok) throw new Error('the product does not start without a configuration')
  return read.settings
}
