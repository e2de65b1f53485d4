import { stringify } from 'yaml'
import type { Settings } from '../core/settings.ts'
import { masked } from './mask.ts'
import { printable } from './printable.ts'

/** The settings as a configuration file, secrets masked. */
export function printSettings(settings: Settings): string {
  return stringify(
    printable(settings, () => masked),
    { lineWidth: 0 },
  )
}
