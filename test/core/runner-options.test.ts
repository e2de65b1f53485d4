import { describe, expect, it } from 'vitest'
import { compareRunner, type RunnerKnown } from '../../src/core/runner-options.ts'

const known = (more: Partial<RunnerKnown> = {}): RunnerKnown => ({
  loadedWith: undefined,
  contextLoaded: undefined,
  contextTrained: undefined,
  contextDefault: undefined,
  ...more,
})

describe('the options that make a runner', () => {
  it('are the same when they are those of our own load', () => {
    expect(compareRunner('num_ctx=9000', known({ loadedWith: 'num_ctx=9000' }))).toBe('same')
    expect(compareRunner('', known({ loadedWith: '' }))).toBe('same')
    expect(compareRunner('', known({ loadedWith: 'num_ctx=9000' }))).toBe('other')
    expect(compareRunner('num_gpu=0', known({ loadedWith: '' }))).toBe('other')
  })

  it('are the same when only the context is named and it is the loaded one, whoever loaded it', () => {
    const loaded = known({ contextLoaded: 4_096 })
    expect(compareRunner('num_ctx=4096', loaded)).toBe('same')
    expect(compareRunner('num_ctx=8192', loaded)).toBe('other')
    expect(compareRunner('num_ctx=4096', known({ loadedWith: '', contextLoaded: 4_096 }))).toBe(
      'same',
    )
  })

  it('are the same when both are cut to what the model was trained with', () => {
    const loaded = known({ contextLoaded: 2_048, contextTrained: 2_048 })
    expect(compareRunner('num_ctx=8192', loaded)).toBe('same')
  })

  it('are not assumed to differ where nobody told', () => {
    expect(compareRunner('', known())).toBe('unknown')
    expect(compareRunner('', known({ contextLoaded: 4_096 }))).toBe('unknown')
    expect(compareRunner('num_gpu=0', known({ contextLoaded: 4_096 }))).toBe('unknown')
    expect(compareRunner('num_ctx=8192', known())).toBe('unknown')
  })
})
