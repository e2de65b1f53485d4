import { describe, expect, it } from 'vitest'
import { printable } from '../../src/config/printable.ts'
import { readConfig } from '../../src/config/read.ts'

const backends = 'backends:\n  - {url: "http://10.0.0.1:1", name: den, labels: gpu}\n'

function read(text: string) {
  return readConfig(backends + text, { fileName: 'f.yaml', env: {} })
}

function settingsOf(text: string) {
  const result = read(text)
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.settings
}

function problemsOf(text: string): string[] {
  const result = read(text)
  return result.ok
    ? []
    : result.problems.map(({ path, message, hint = '' }) => `${path} ${message}; ${hint}`)
}

describe('rules in the configuration', () => {
  it('are read with their units, a list of one without brackets', () => {
    const { placement } = settingsOf(`
rules:
  - when: {tenant: "user:*", model: ["*:70b"], prompt_tokens_max: 200, tools: false}
    only: den
    prefer: {label:night: 2s, gpu: 500ms}
    priority: batch
    use_model: qwen3:4b
`)
    expect(placement.rules).toEqual([
      {
        when: {
          tenant: ['user:*'],
          user: undefined,
          model: ['*:70b'],
          work: undefined,
          labels: [],
          promptTokensMax: 200,
          tools: false,
          images: undefined,
        },
        only: ['den'],
        never: undefined,
        preferMs: { 'label:night': 2_000, gpu: 500 },
        priority: 'batch',
        useModel: 'qwen3:4b',
      },
    ])
  })

  it('are none unless set, and then affinity is on', () => {
    expect(settingsOf('').placement).toEqual({
      affinity: true,
      rules: [],
      aliases: {},
      fallbacks: {},
    })
    expect(settingsOf('routing: {affinity: off}').placement.affinity).toBe(false)
  })

  it('that name no backend and no label are refused, with what may have been meant', () => {
    expect(problemsOf('rules: [{only: dem}]')).toEqual([
      'rules[0].only[0] names "dem", which is no backend and no label of one; did you mean "den"?',
    ])
    expect(problemsOf('rules: [{never: [den, gqu]}, {prefer: {attic: 1s}}]')).toEqual([
      'rules[0].never[1] names "gqu", which is no backend and no label of one; did you mean "gpu"?',
      expect.stringContaining('rules[1].prefer.attic names "attic"'),
    ])
  })

  it('may name a label that nobody has yet, and anybody where others join later', () => {
    expect(problemsOf('rules: [{only: "label:night"}]')).toEqual([])
    expect(problemsOf('join: {token: 0123456789abcdef0}\nrules: [{only: later}]')).toEqual([])
  })

  it('that do nothing, or say what there is not, are refused', () => {
    expect(problemsOf('rules: [{when: {model: m}}]')[0]).toContain('must do something')
    expect(problemsOf('rules: [{when: {modle: m}, only: den}]')[0]).toContain(
      'did you mean "model"',
    )
    expect(problemsOf('rules: [{priority: urgent}]')[0]).toContain('interactive')
    expect(problemsOf('rules: [{prefer: {den: 2}}]')[0]).toContain('duration')
    expect(problemsOf('rules: [{use_model: "a b"}]')[0]).toContain('model name')
  })
})

describe('names of models in the configuration', () => {
  it('are read, and printed as they were written', () => {
    const text = `
models:
  aliases: {gpt-4o-mini: "qwen3:14b"}
  fallbacks: {"llama3.3:70b": "qwen3:32b"}
rules: [{when: {work: chat}, never: gpu, prefer: {den: 1500ms}}]
`
    const settings = settingsOf(text)
    expect(settings.placement).toMatchObject({
      aliases: { 'gpt-4o-mini': 'qwen3:14b' },
      fallbacks: { 'llama3.3:70b': ['qwen3:32b'] },
    })
    const printed = printable(settings, () => '')
    const again = readConfig(JSON.stringify({ ...printed, data: '/tmp', admin_token: undefined }), {
      fileName: 'f.yaml',
      env: {},
    })
    expect(again.ok && again.settings.placement).toEqual(settings.placement)
  })

  it('that lead nowhere are refused', () => {
    expect(problemsOf('models: {aliases: {a: b, b: c}}')).toEqual([
      'models.aliases.a is the alias of an alias; name the model itself',
    ])
    expect(problemsOf('models: {fallbacks: {a: ["a:latest"]}}')).toEqual([
      'models.fallbacks.a[0] is the same model; ',
    ])
    expect(problemsOf('models: {aliases: {a: x, "a:latest": y}}')[0]).toContain('there twice')
    expect(problemsOf('models: {aliases: {"no name": x}}')[0]).toContain('model name')
  })
})

describe('what a backend may serve', () => {
  it('is everything unless patterns say otherwise', () => {
    expect(settingsOf('').backends[0]?.models).toBeUndefined()
    const only = 'backends: [{url: "http://10.0.0.1:1", models: {deny: "*:70b"}}]'
    const result = readConfig(only, { fileName: 'f.yaml', env: {} })
    expect(result.ok && result.settings.backends[0]?.models).toEqual({ allow: [], deny: ['*:70b'] })
  })
})
