import { describe, expect, it } from 'vitest'
import { type Guest, type Machine, Scene } from './scene.ts'

/** A hundred tokens in and a hundred out: five seconds and a hundred on the slow one, half of one and ten on the fast one. */
const slow: Machine = { name: 'slow', tokenS: 1 }
const fast: Machine = { name: 'fast', tokenS: 0.1 }

/** Batch work on each seat of these, each in the middle of its answer. */
function busy(machines: readonly Machine[], pieces = 20, priority: Guest['priority'] = 'batch') {
  const scene = new Scene(machines)
  const seats = machines.reduce((sum, each) => sum + (each.seats ?? 1), 0)
  for (let each = 0; each < seats; each++) scene.come({ name: `job${each}`, priority })
  scene.walk()
  for (const { name } of machines) scene.says(name, pieces)
  return scene
}

/** Who would give which machine's seat: `person<fast`. */
function given(scene: Scene, more: { owed?: string[]; never?: string[] } = {}): string {
  const story: string[] = []
  scene.dispatcher.giveWay(scene.line, scene.nowMs, {
    isOwed: ({ name }) => more.owed?.includes(name) ?? false,
    mayGive: ({ run: { served } }, { name }) => {
      if (more.never?.includes(served.endpoint)) return false
      story.push(`${name}<${served.endpoint}`)
      return true
    },
  })
  return story.join(' ')
}

const person = (scene: Scene, name = 'person') => scene.come({ name, priority: 'interactive' })

describe('batch work on every seat', () => {
  it('gives the seat to a person where the first word comes soonest', () => {
    const scene = busy([slow, fast])
    person(scene)
    expect(given(scene)).toBe('person<fast')
  })

  it('gives each person another one', () => {
    const scene = busy([{ ...fast, seats: 3 }])
    for (const name of ['x', 'y', 'z', 'who finds none']) person(scene, name)
    expect(given(scene)).toBe('x<fast y<fast z<fast')
  })

  it('gives one to a person also when overdue batch work is looked at first', () => {
    const scene = busy([fast])
    scene.come({ name: 'overdue', priority: 'batch' })
    // Every tenth start the overdue come first.
    for (let each = 0; each < 8; each++) scene.line.served(scene.come())
    scene.nowMs += 301_000
    scene.says('fast', 21)
    person(scene)
    expect([...scene.line.inOrder(scene.nowMs)].map(({ name }) => name)[0]).toBe('overdue')
    expect(given(scene)).toBe('person<fast')
  })

  it('gives nothing to who is no person, nor to who has a seat on its way', () => {
    const scene = busy([fast])
    scene.come({ name: 'normal', priority: 'normal' })
    scene.come({ name: 'batch', priority: 'batch' })
    expect(given(scene)).toBe('')
    person(scene)
    expect(given(scene, { owed: ['person'] })).toBe('')
    expect(given(scene)).toBe('person<fast')
  })

  it('is asked elsewhere when the best one can not go on later', () => {
    const scene = busy([fast, { name: 'other', tokenS: 0.15 }])
    person(scene)
    expect(given(scene, { never: ['fast'] })).toBe('person<other')
    expect(given(scene, { never: ['fast', 'other'] })).toBe('')
  })

  it('keeps a seat that comes free about as soon by itself', () => {
    const scene = busy([fast, { name: 'other', tokenS: 0.1 }])
    const [run] = scene.dispatcher.running.of('other')
    // One token is missing.
    Object.assign(run!, { work: { ...run!.work, outTokensMax: 21 } })
    person(scene)
    expect(given(scene)).toBe('')
  })

  it('keeps it while nothing of its answer has come: its prompt would be read for nothing', () => {
    const scene = busy([fast], 0)
    person(scene)
    expect(given(scene)).toBe('')
  })

  it('keeps it where reading it again takes longer than the person would wait', () => {
    const scene = busy([fast])
    const [run] = scene.dispatcher.running.of('fast')
    Object.assign(run!, { work: { ...run!.work, promptTokens: 100_000 } })
    person(scene)
    expect(given(scene)).toBe('')
  })
})

it('a person on a seat gives it to nobody', () => {
  for (const priority of ['interactive', 'normal'] as const) {
    const scene = busy([fast], 20, priority)
    person(scene)
    expect(given(scene)).toBe('')
  }
})

describe('a seat that may not exist', () => {
  const tryable: Machine = { ...fast, seatToTry: true }

  it('is left to batch work by a person before it', () => {
    const scene = busy([tryable])
    person(scene)
    scene.come({ name: 'job', priority: 'batch' })
    expect(scene.walk()).toBe('job?fast')
  })

  it('is tried by a person where no batch work waits for that model', () => {
    const scene = busy([tryable])
    person(scene)
    expect(scene.walk()).toBe('person?fast')
  })
})
