import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { backendSchema } from '../../src/config/backend-schema.ts'
import { configJsonSchema } from '../../src/config/json-schema.ts'
import { configSchema } from '../../src/config/schema.ts'
import { problemsFrom, settingsFrom } from './help.ts'

const folder = new URL('../../config/', import.meta.url)
const read = (name: string) => readFileSync(new URL(name, folder), 'utf8')
const modeline = '# yaml-language-server: $schema=/schema/config.json'
const fleet = read('fleet.yaml')

describe('config/fleet.yaml', () => {
  it('has every key of the schema with its default, and no other', () => {
    const defaults = (schema: z.ZodObject): Record<string, unknown> =>
      Object.fromEntries(
        Object.entries(schema.shape).map(([key, inner]) => {
          if (!(inner instanceof z.ZodPrefault)) return [key, null]
          const below = inner.unwrap()
          return [key, below instanceof z.ZodObject ? defaults(below) : inner.def.defaultValue]
        }),
      )
    expect(parse(fleet)).toEqual(defaults(configSchema))
    expect(settingsFrom(fleet)).toEqual(settingsFrom(''))
  })

  it('shows every key of a backend', () => {
    const [, example = ''] = /^# Such as:\n((?:#.*\n)+)/m.exec(fleet) ?? []
    const text = example.replaceAll(/^# /gm, '')
    const [backend] = (parse(text) as { backends: object[] }).backends
    expect(Object.keys(backend ?? {})).toEqual(Object.keys(backendSchema.shape))
    expect(problemsFrom(text)).toEqual([])
  })

  it('says the sentence of every key above it', () => {
    const check = (schema: z.ZodObject) => {
      for (const [key, inner] of Object.entries(schema.shape)) {
        const sentence = (inner as z.ZodType).description ?? ''
        expect(sentence, key).toMatch(/\.$/)
        const at = fleet.indexOf(sentence)
        expect(at, key).toBeGreaterThan(0)
        expect(fleet.slice(at + sentence.length)).toMatch(new RegExp(`^\\n[# ]*${key}:`))
        const below = inner instanceof z.ZodPrefault ? inner.unwrap() : inner
        if (below instanceof z.ZodObject) check(below)
      }
    }
    check(configSchema)
    check(backendSchema)
  })
})

describe('config/examples', () => {
  const env = {
    FOREST_USER: 'me',
    FOREST_PASSWORD: 'p%40ss',
    GROVE_TOKEN: 'secret',
    ADMIN_TOKEN: 'word',
  }
  const examples = readdirSync(new URL('examples/', folder)).map((name) => `examples/${name}`)

  it.each(['fleet.yaml', ...examples])('%s starts with the line that editors read', (name) => {
    expect(read(name).split('\n')[0]).toBe(modeline)
  })

  it.each(examples)('%s can be used as it stands', (name) => {
    expect(settingsFrom(read(name), env).backends.length).toBeGreaterThan(0)
  })

  it('prefers by kind of work, sends logins, and turns away what finds no slot', () => {
    const { routing } = settingsFrom(read('examples/hive-capabilities.yaml'))
    expect(routing.picker).toBe('capability')
    expect(routing.preferences['code_generation']).toEqual(['ironwood', 'walnut', 'rosewood'])
    const [forest, grove] = settingsFrom(read('examples/behind-a-login.yaml'), env).backends
    expect(forest?.headers).toEqual({ authorization: `Basic ${btoa('me:p@ss')}` })
    expect(grove?.headers).toEqual({ authorization: 'Bearer secret', 'x-team': 'research' })
    const seed = settingsFrom(read('examples/ansible-seed.yaml'))
    expect(seed.queue).toMatchObject({ waitingMax: 0, waitMsMax: 600_000 })
  })
})

describe('configJsonSchema', () => {
  it('describes every key, gives its default and allows no other', () => {
    const check = (schema: Record<string, unknown>) => {
      expect(schema['additionalProperties']).toBe(false)
      for (const [key, inner] of Object.entries(
        schema['properties'] as Record<string, Record<string, unknown>>,
      )) {
        expect(inner['description'], key).toBeTypeOf('string')
        if (inner['properties']) check(inner)
        const items = inner['items'] as Record<string, unknown> | undefined
        if (items?.['properties']) check(items)
      }
    }
    check(configJsonSchema())
    expect(JSON.stringify(configJsonSchema())).toContain('"default":"2s"')
  })
})
