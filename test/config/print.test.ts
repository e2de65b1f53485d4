import { expect, it } from 'vitest'
import { printSettings } from '../../src/config/print.ts'
import { settingsFrom } from './help.ts'

it('prints a file that means the same settings', () => {
  const text = [
    'listen: "[::1]:80"',
    'backends:',
    '  - {url: "https://a/b", name: a, slots: {m: 2}, slots_total: 3, weight: 2, labels: [x], memory: 24GB, context: 9}',
    '  - {url: "http://b:1"}',
    'data: /data',
    'timeouts: {connect: 1500ms, idle: 2m}',
    'limits: {body_max: 1000B}',
    'manage: {pull: best:2}',
    'routing: {picker: capability, preferences: {code: [a, b-1]}}',
  ].join('\n')
  const settings = settingsFrom(text)
  expect(settingsFrom(printSettings(settings))).toEqual(settings)
})
