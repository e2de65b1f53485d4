import { describe, expect, it } from 'vitest'
import type { Child } from '../../backends/agent/manage/child.ts'
import { Supervisor } from '../../backends/agent/manage/supervisor.ts'
import { handClock } from '../help/clock.ts'
import { settled } from '../routing/waiting.ts'

function supervised(answers: () => boolean = () => true) {
  const clock = handClock()
  const said: string[] = []
  const children: { die: (how: string) => void; ended: boolean }[] = []
  const start = (): Child => {
    let die: (how: string) => void = () => {}
    const ended = new Promise<string>((resolve) => {
      die = resolve
    })
    const child = { die, ended: false }
    children.push(child)
    return {
      ended,
      async end() {
        child.ended = true
        die('SIGTERM')
      },
    }
  }
  const supervisor = new Supervisor({
    clock,
    start,
    answers: async () => answers(),
    say: (sentence) => said.push(sentence),
  })
  return { supervisor, clock, said, children }
}

describe('a supervisor', () => {
  it('starts a server again that has ended, after its pause', async () => {
    const { supervisor, clock, children, said } = supervised()
    await supervisor.start()
    clock.pass(60_000)
    children[0]!.die('SIGKILL')
    await settled()
    clock.pass(499)
    await settled()
    expect(children).toHaveLength(1)
    clock.pass(1)
    await settled()
    expect(children).toHaveLength(2)
    expect(said).toEqual(['ollama serve has ended (SIGKILL); it is started again in 0.5 s'])
    await supervisor.stop()
    expect(children[1]!.ended).toBe(true)
  })

  it('gives up one that ends at once five times, says why, and tries again on an order', async () => {
    const { supervisor, clock, children, said } = supervised(() => children.length > 5)
    const first = supervisor.start()
    for (let each = 0; each < 5; each++) {
      await settled()
      children.at(-1)!.die('exit code 1')
      await settled()
      clock.pass(30_000)
    }
    await settled()
    expect(await first).toBe(false)
    expect(children).toHaveLength(5)
    expect(supervisor.givenUp).toBe('ollama serve ended at once 5 times in a row (exit code 1)')
    expect(said.at(-1)).toContain('not started again before a restart is ordered')
    expect(await supervisor.restart()).toBe(true)
    expect(supervisor.givenUp).toBeUndefined()
    expect(children).toHaveLength(6)
    await supervisor.stop()
  })

  it('starts nothing any more once it is stopped, also in the middle of a pause', async () => {
    const { supervisor, clock, children } = supervised()
    await supervisor.start()
    children[0]!.die('exit code 1')
    await settled()
    await supervisor.stop()
    clock.pass(60_000)
    await settled()
    expect(children).toHaveLength(1)
  })
})
