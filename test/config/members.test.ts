// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the configuration's own variables
import { describe, expect, it } from 'vitest'
import { readBackendFile } from '../../src/config/backend-file.ts'
import { changesBetween } from '../../src/config/changes.ts'
import { loadSettings } from '../../src/config/load.ts'
import { printSettings } from '../../src/config/print.ts'
import { sentences, settingsFrom } from './help.ts'

const token = 'a-token-of-enough-signs'

describe('join and discover', () => {
  it('are off unless set, and mean what they say', () => {
    expect(settingsFrom('').join).toMatchObject({ token: undefined, membersMax: 256 })
    expect(settingsFrom('').discover).toMatchObject({ folder: undefined, mdns: false, scan: [] })
    const { join, discover } = settingsFrom(
      `join: {token: ${token}, allow: [{name: "gpu-*", from: 10.0.0.0/8}, {labels: [a]}], max: 3}
discover: {dns: [a.example, _x._tcp.b], folder: /etc/x, scan: [192.168.1.0/24, fd00::1], accept: all}`,
    )
    expect(join).toMatchObject({
      token,
      allow: [
        { name: 'gpu-*', from: ['10.0.0.0/8'], labels: [] },
        { name: undefined, from: undefined, labels: ['a'] },
      ],
      membersMax: 3,
    })
    expect(discover).toMatchObject({
      dns: ['a.example', '_x._tcp.b'],
      folder: '/etc/x',
      scan: ['192.168.1.0/24', 'fd00::1'],
      dnsEveryMs: 30_000,
      accept: 'all',
    })
  })

  it.each([
    ['join: {token: short}', 'join.token must be text of 16 to 1024 signs'],
    ['join: {allow: [{}]}', 'join.allow[0] must say a name, from or labels'],
    ['join: {allow: [{nam: x}]}', 'join.allow[0].nam is no known key'],
    [
      'join: {allow: [{from: 10.0.0.0/99}]}',
      'join.allow[0].from must be an address or a CIDR range',
    ],
    ['join: {allow_addresses: [x]}', 'join.allow_addresses'],
    ['discover: {scan: [8.8.8.0/24]}', 'must be private ranges only'],
    ['discover: {scan: [10.0.0.0/7]}', 'must be private ranges only'],
    ['discover: {scan: [169.254.0.0/24]}', 'must be private ranges only'],
    ['discover: {scan: [10.0.0.0/23, 10.1.0.0/22]}', 'must be at most 1024 addresses together'],
    ['discover: {dns: ["a b"]}', 'discover.dns'],
    [`discover: {dns: [${Array(65).fill('a')}]}`, 'must be at most 64 names'],
    ['discover: {port: 0}', 'discover.port must be a whole number from 1 to 65535'],
  ])('refuse %s', (text, sentence) => {
    expect(sentences(text).join()).toContain(sentence)
  })

  it('keep the token secret: printed, in a change, in an error and in a line of the file', async () => {
    const before = settingsFrom(`join: {token: ${token}}`)
    expect(printSettings(before)).not.toContain(token)
    const told = changesBetween(before, settingsFrom(`join: {token: ${token}-2}`))
    expect(told.map(({ sentence }) => sentence)).toEqual(['join.token changed'])
    const { reportOf, problemsFrom } = await import('./help.ts')
    for (const text of [
      `join:\n  token: ${token} x`,
      `join: {token: "${token}`,
      `join:\n  tokn: ${token}`,
    ])
      expect(reportOf(problemsFrom(text), text)).not.toContain(token)
  })

  it('are variables as well', async () => {
    const { settings } = await loadSettings({
      env: {
        CHASQUI_JOIN_TOKEN: token,
        CHASQUI_JOIN_ALLOW_ADDRESSES: '127.0.0.0/8, ::1',
        CHASQUI_DISCOVER_SCAN: '10.0.0.1,10.0.0.2',
        CHASQUI_DISCOVER_DNS: 'a.example',
        CHASQUI_DISCOVER_MDNS: 'yes',
      },
      cwd: '/nowhere',
    })
    expect(settings.join).toMatchObject({ token, allowAddresses: ['127.0.0.0/8', '::1'] })
    expect(settings.discover).toMatchObject({
      scan: ['10.0.0.1', '10.0.0.2'],
      dns: ['a.example'],
      mdns: true,
    })
  })

  it('are printed as a file that means the same', () => {
    const settings = settingsFrom(
      'join: {allow: [{name: a}, {from: [10.0.0.0/8], labels: [x]}], allow_addresses: ["::1"]}\n' +
        'discover: {dns: [a], folder: /x, scan: [10.0.0.1], mdns: true, port: 1}\ncontinuation: false',
    )
    expect(settingsFrom(printSettings(settings))).toEqual(settings)
  })

  it('let preferences name backends that are not there yet', () => {
    const text =
      'backends: [{url: "http://a:1", name: a}]\nrouting: {preferences: {code: [later]}}\n'
    expect(sentences(text)).toHaveLength(1)
    expect(sentences(`${text}join: {token: ${token}}`)).toEqual([])
    expect(sentences(`${text}discover: {folder: /x}`)).toEqual([])
  })
})

describe('a file of backends', () => {
  const read = (text: string) => readBackendFile(text, 'x.yaml', { HOST: 'box' })

  it('has one, or a list, with all that the configuration has', () => {
    expect(read('url: http://a:1\nname: ash\nslots: {m: 2}')).toMatchObject({
      ok: true,
      backends: [{ name: 'ash', origin: 'http://a:1' }],
    })
    const two = '- {url: "http://${HOST}:1"}\n- {url: "http://b", headers: {A: b}}'
    expect(read(two)).toMatchObject({
      ok: true,
      backends: [{ name: 'box-1' }, { name: 'b-80', headers: { a: 'b' } }],
    })
    expect(read('')).toEqual({ ok: true, backends: [] })
  })

  it('is refused with every fault at its place, and without its secrets', () => {
    const text =
      '- url: http://a:1\n  slots: many\n  nme: x\n- {url: "http://b", headers: {A: [hunter2]}}\n'
    const refused = read(text)
    expect(refused.ok).toBe(false)
    const { report } = refused as { report: string }
    expect(report).toContain('x.yaml:2:10: backends[0].slots must be')
    expect(report).toContain('x.yaml:3:3: backends[0].nme is no known key')
    expect(report).toContain('x.yaml:4:')
    expect(report).not.toContain('hunter2')
    expect(read('- {url: "http://a", name: a}\n- {url: "http://b", name: a}')).toMatchObject({
      ok: false,
    })
    expect(read('just words')).toMatchObject({ ok: false })
    expect(read('url: "http://a')).toMatchObject({ ok: false })
  })
})
