import { LoopTurn } from '../../src/core/loop-turn.ts'

/** A turn of a loop that is over when it is told to. */
export function handTurn() {
  let end: (() => void) | undefined
  const turn = new LoopTurn((act) => {
    end = act
  })
  const over = () => {
    const act = end
    end = undefined
    act?.()
  }
  return { turn, over, isEndDue: () => end !== undefined }
}
