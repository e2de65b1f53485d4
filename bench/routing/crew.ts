import { Worker } from 'node:worker_threads'
import type { Cell, Played } from './cell.ts'

/** Plays all cells, on so many threads; the order of the results is that of the cells. */
export async function playAll(
  cells: readonly Cell[],
  threads: number,
  onPlayed: (done: number, played: Played) => void,
): Promise<Played[]> {
  const played: Played[] = []
  let next = 0
  let done = 0
  const work = async () => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url))
    try {
      while (next < cells.length) {
        const index = next++
        played[index] = await asked(worker, cells[index]!)
        onPlayed(++done, played[index])
      }
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: Math.min(threads, cells.length) }, work))
  return played
}

function asked(worker: Worker, cell: Cell): Promise<Played> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      worker.off('message', onMessage)
      worker.off('error', onError)
    }
    const onMessage = (played: Played) => {
      settle()
      resolve(played)
    }
    const onError = (error: unknown) => {
      settle()
      const { scenario, variant, policy, seed } = cell
      reject(new Error(`${scenario} ${variant.word} ${policy} seed ${seed}`, { cause: error }))
    }
    worker.on('message', onMessage)
    worker.on('error', onError)
    worker.postMessage(cell)
  })
}
