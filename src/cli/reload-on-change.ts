import type { App } from '../app.ts'
import { watchFile } from '../config/watch.ts'
import { realClock } from '../core/clock.ts'
import { say } from './talk.ts'

/** The file as it was read at the start. */
interface WatchedFile {
  readonly path: string
  readonly text: string
}

/** Reloads when the file says something else, and at SIGHUP; says in full what is wrong, since nobody else would hear. */
export function reloadOnChange(app: App, file: WatchedFile): Disposable {
  const reload = async (cause: string) => {
    try {
      const reloaded = await app.reload(cause)
      if (reloaded.result === 'refused')
        say(`${reloaded.report}\n\nchasqui: ${cause}: not reloaded; what was before is in force`)
    } catch (error) {
      // A fault of ours is no reason to end the process, and every stream with it.
      say(`chasqui: ${cause}: ${error instanceof Error ? error.stack : String(error)}`)
    }
  }
  const hangup = () => void reload('SIGHUP')
  process.on('SIGHUP', hangup)
  const watching = watchFile(file, realClock(), () => void reload('file'))
  return {
    [Symbol.dispose]() {
      process.off('SIGHUP', hangup)
      watching[Symbol.dispose]()
    },
  }
}
