import { type FSWatcher, watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../core/clock.ts'

/** Editors and copies write in several steps; this long after the last of them the file is whole. */
const stillMs = 100
/** For file systems that tell nobody, and for links to files elsewhere. */
const pollEveryMs = 5_000

/**
 * Calls back when the file says something else than it did. Its folder is watched, not the file: an editor puts a new
 * file in its place, and Kubernetes exchanges a link beside it. A file that is gone or empty is about to be written.
 */
export function watchFile(
  file: { readonly path: string; readonly text: string },
  clock: Clock,
  changed: () => void,
): Disposable {
  let known = file.text
  let over = false
  let still: Disposable | undefined
  let poll: Disposable | undefined

  const look = async () => {
    const text = await textOf(file.path)
    if (over || text === undefined || text.trim() === '' || text === known) return
    known = text
    changed()
  }
  const soon = () => {
    still?.[Symbol.dispose]()
    still = clock.after(stillMs, () => void look())
  }
  const pollLater = () => {
    poll = clock.after(pollEveryMs, () => {
      void look()
      pollLater()
    })
  }
  const watcher = watched(dirname(file.path), soon)
  pollLater()
  return {
    [Symbol.dispose]() {
      over = true
      watcher?.close()
      still?.[Symbol.dispose]()
      poll?.[Symbol.dispose]()
    },
  }
}

/** Calls back when something in the folder may have changed, and now and then: what it was is for the caller to see. */
export function watchFolder(path: string, clock: Clock, changed: () => void): Disposable {
  let still: Disposable | undefined
  let poll: Disposable | undefined
  let watcher: FSWatcher | undefined
  const soon = () => {
    still?.[Symbol.dispose]()
    still = clock.after(stillMs, changed)
  }
  const pollLater = () => {
    poll = clock.after(pollEveryMs, () => {
      // A folder that is made late, or anew, is another one.
      watcher?.close()
      watcher = watched(path, soon)
      changed()
      pollLater()
    })
  }
  watcher = watched(path, soon)
  pollLater()
  return {
    [Symbol.dispose]() {
      watcher?.close()
      still?.[Symbol.dispose]()
      poll?.[Symbol.dispose]()
    },
  }
}

/** Undefined where a folder can not be watched, or no more of them: then there is the poll. */
function watched(folder: string, happened: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, happened)
    watcher.on('error', () => watcher.close())
    return watcher
  } catch {
    return undefined
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return new TextDecoder().decode(await readFile(path))
  } catch {
    return undefined
  }
}
