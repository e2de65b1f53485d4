import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  canonicalName,
  hasTwoSources,
  readModelName,
  shortName,
} from '../../src/core/model-name.ts'

const letters = 'abcXYZ019_'
const part = (rest: string) =>
  fc
    .tuple(
      fc.constantFrom(...letters),
      fc.string({ unit: fc.constantFrom(...letters, ...rest), maxLength: 12 }),
    )
    .map(([first, more]) => first + more)
const model = part('.-')
const namespace = part('-')
const tag = part('.-').filter((text) => !/^(cloud|local)$|-cloud$/i.test(text))
const host = part('.-').map((text) => `${text}:5000`)

const anyName = fc.oneof(
  model,
  fc.tuple(model, tag).map(([m, t]) => `${m}:${t}`),
  fc.tuple(namespace, model, tag).map(([n, m, t]) => `${n}/${m}:${t}`),
  fc.tuple(host, namespace, model, tag).map(([h, n, m, t]) => `${h}/${n}/${m}:${t}`),
  fc.tuple(model, tag).map(([m, t]) => `${m}:${t}-cloud`),
  fc.tuple(model, tag).map(([m, t]) => `${m}:${t}:cloud`),
  model.map((m) => `${m}:cloud`),
)

/** Letters, separators, and what case folding or trimming might mistake for them. */
const odd = [...'aZ0_.:/-@ ', 'é', '\u212a', 'ſ', '\0', '\ufeff', '😀', 'cloud', 'local', '://']

describe('model names', () => {
  it('have one canonical form, which is its own', () => {
    fc.assert(
      fc.property(anyName, (text) => {
        const name = readModelName(text)
        expect(name).toBeDefined()
        expect(readModelName(name!.canonical)).toEqual(name)
      }),
    )
  })

  it('are one model in all spellings', () => {
    fc.assert(
      fc.property(model, tag, (m, t) => {
        const spellings = [
          `${m}:${t}`,
          `${m}:${t}`.toUpperCase(),
          ` library/${m}:${t} `,
          `Registry.Ollama.AI/Library/${m}:${t}`,
          `https://registry.ollama.ai/library/${m}:${t}`,
          `${m}:${t}:local`,
        ]
        expect(new Set(spellings.map(canonicalName)).size).toBe(1)
        expect(
          new Set([m, `${m}:latest`, `${m}:local`, `library/${m}`].map(canonicalName)).size,
        ).toBe(1)
        expect(canonicalName(`${m}:${t}-cloud`)).toBe(canonicalName(`${m}:${t}:Cloud`))
      }),
    )
  })

  it('never throw and are never half read', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...odd) }), (text) => {
        const name = readModelName(text)
        if (name) expect(name.canonical).toMatch(/^[a-z0-9_.:/-]+$/)
      }),
    )
  })

  it.each([
    'a b',
    '',
    ':x',
    'x:',
    '/x',
    'a//b',
    'a/b/c/d',
    'x:a:b',
    '-x',
    'n.s/x',
    'http://x',
    'http://n/x',
    'é',
    '\u212aelvin',
    'x@sha256-1',
    'x:cloud:local',
    'x'.repeat(81),
  ])('refuse %j as Ollama does', (text) => {
    expect(readModelName(text)).toBeUndefined()
  })

  it('tell a port from a tag', () => {
    expect(canonicalName('host:5000/n/m')).toBe('host:5000/n/m:latest')
    expect(canonicalName('hf.co/User/Repo:Q4_K_M')).toBe('hf.co/user/repo:q4_k_m')
    expect(canonicalName('_h/n/m')).toBe('_h/n/m:latest')
  })

  it('know what is served elsewhere', () => {
    expect(readModelName('x:8b-cloud')?.cloud).toBe(true)
    expect(readModelName('x-cloud')?.cloud).toBe(false)
    expect(readModelName('x-cloud:local')?.canonical).toBe('x-cloud:latest')
    expect(hasTwoSources('x:local:cloud')).toBe(true)
  })

  it('are shown short, in the letters they were written in', () => {
    expect(shortName('registry.ollama.ai/library/LLama3')).toBe('LLama3:latest')
    expect(shortName('me/Mine:8B')).toBe('me/Mine:8B')
    expect(shortName('a b')).toBeUndefined()
  })
})
