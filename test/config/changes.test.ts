import { describe, expect, it } from 'vitest'
import { asFarAsPossible, changesBetween } from '../../src/config/changes.ts'
import { settingsFrom } from './help.ts'

const sentences = (before: string, after: string) =>
  changesBetween(settingsFrom(before), settingsFrom(after)).map(({ sentence }) => sentence)

describe('what a reload changes', () => {
  it.each([
    [
      'nothing, when comments and order are all',
      'queue: {max: 5, timeout: 1m}',
      '# x\nqueue: {timeout: 60s, max: 5}',
      [],
    ],
    [
      'a number, in the words of the file',
      'queue: {max: 5}',
      'queue: {max: 7}',
      ['queue.max 5 → 7'],
    ],
    ['a duration', '', 'timeouts: {idle: 2m}', ['timeouts.idle off → 120s']],
    ['a list, as a whole', '', 'allowed_hosts: [a, b]', ['allowed_hosts [] → ["a","b"]']],
    [
      'backends, by name',
      'backends: [{url: "http://a:1", name: a, slots: 2}, {url: "http://b:1", name: b}]',
      'backends: [{url: "http://c:1", name: c}, {url: "http://a:1", name: a, slots: 4, labels: [gpu]}]',
      [
        'backend a slots 2 → 4',
        'backend a labels [] → ["gpu"]',
        'backend b removed',
        'backend c added',
      ],
    ],
    [
      'nothing, when backends only change places',
      'backends: [{url: "http://a:1"}, {url: "http://b:1"}]',
      'backends: [{url: "http://b:1"}, {url: "http://a:1"}]',
      [],
    ],
    [
      'slots of one model',
      'backends: [{url: "http://a:1", name: a, slots: {m: 1}}]',
      'backends: [{url: "http://a:1", name: a, slots: {m: 3}}]',
      ['backend a slots.m:latest 1 → 3'],
    ],
    [
      'a text, cut short',
      '',
      `generate: {commands_instruction: "${'x'.repeat(300)}"}`,
      [expect.stringMatching(/ → x{100}…$/)],
    ],
  ])('is %s', (_, before, after, expected) => {
    expect(sentences(before, after)).toEqual(expected)
  })

  it('is a secret, without what it was or is', () => {
    const told = sentences(
      'admin_token: old-secret\nbackends: [{url: "http://u:pass-one@a:1", name: a, headers: {x-key: key-one}}]',
      'admin_token: new-secret\nbackends: [{url: "http://u:pass-two@a:1", name: a, headers: {x-key: key-two}}]',
    )
    expect(told).toEqual([
      'backend a headers.authorization changed',
      'backend a headers.x-key changed',
      'admin_token changed',
    ])
  })

  it('names what needs a restart, and leaves it as it was', () => {
    const before = settingsFrom('listen: "127.0.0.1:1"\ndata: /a\nlog: {format: json}')
    const after = settingsFrom(
      'listen: "127.0.0.1:2"\ndata: /b\nlog: {format: pretty, level: debug}\nqueue: {max: 3}',
    )
    const later = changesBetween(before, after).filter(({ needsRestart }) => needsRestart)
    expect(later.map(({ key }) => key)).toEqual(['listen', 'data', 'log.format'])
    const reached = asFarAsPossible(before, after)
    expect(reached).toMatchObject({
      listen: before.listen,
      dataDir: '/a',
      log: { format: 'json', level: 'debug' },
      queue: { waitingMax: 3 },
    })
    expect(changesBetween(reached, after).map(({ key }) => key)).toEqual(
      later.map(({ key }) => key),
    )
  })
})
