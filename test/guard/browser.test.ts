import { describe, expect, it } from 'vitest'
import { hostAllowed, originAllowed } from '../../src/guard/browser.ts'

const host = '192.168.1.5:11435'

describe('originAllowed', () => {
  it.each([
    'http://localhost',
    'https://localhost',
    'http://localhost:3000',
    'https://127.0.0.1:8443',
    'http://0.0.0.0:1',
    'app://obsidian.example',
    'file://',
    'file:///x',
    'tauri://localhost',
    'vscode-webview://abc',
    'vscode-file://vscode-app',
    'http://192.168.1.5:11435',
    'https://192.168.1.5:11435',
    'HTTP://LocalHost:3000',
  ])('lets %s call', (origin) => {
    expect(originAllowed(origin, host, [])).toBe(true)
  })

  it.each([
    'http://evil.example',
    'http://localhost.evil.example',
    'http://127.0.0.1.evil.example',
    'http://localhost:3000.evil.example',
    'http://localhost:3000@evil.example',
    'http://localhost:',
    'http://evil.example#http://localhost',
    'http://[::1]:3000',
    'http://192.168.1.5',
    'http://192.168.1.5:11436',
    'http://xlocalhost',
    'null',
    '',
    'chrome-extension://abc',
    'http://2130706433',
    'xapp://x',
    'http://evil.example\nhttp://localhost',
  ])('does not let %j call', (origin) => {
    expect(originAllowed(origin, host, [])).toBe(false)
    expect(originAllowed(origin, undefined, [])).toBe(false)
  })

  it('compares with the Host header as it came', () => {
    expect(originAllowed('http://chasqui.example', 'chasqui.example', [])).toBe(true)
    expect(originAllowed('http://', '', [])).toBe(false)
  })

  it('adds what the operator allows, with a star for any text', () => {
    const extra = ['https://app.example', 'https://*.team.example', 'chrome-extension://*']
    expect(originAllowed('https://app.example', host, extra)).toBe(true)
    expect(originAllowed('https://a.b.team.example', host, extra)).toBe(true)
    expect(originAllowed('chrome-extension://abc', host, extra)).toBe(true)
    expect(originAllowed('http://app.example', host, extra)).toBe(false)
    expect(originAllowed('https://team.example', host, extra)).toBe(false)
    expect(originAllowed('https://a.team.example.evil.example', host, extra)).toBe(false)
    expect(originAllowed('https://anything', host, ['*'])).toBe(true)
  })
})

describe('hostAllowed', () => {
  const machine = () => ({ hostname: 'Cedar', addresses: ['203.0.113.7', '2001:db8::7'] })
  const allowed = (header: string | undefined, extra: string[] = [], listen = '127.0.0.1') =>
    hostAllowed(header, listen, extra, machine)

  it.each([
    undefined,
    '',
    'localhost',
    'LOCALHOST:11435',
    'localhost.',
    'localhost.:11435',
    '127.0.0.1',
    '127.9.9.9:80',
    '[::1]',
    '[::1]:11435',
    '0.0.0.0:11435',
    '[::]:1',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255:1',
    '192.168.1.5:11435',
    '[fd12::1]:1',
    '[::ffff:127.0.0.1]:1',
    '[::FFFF:192.168.0.1]',
    '203.0.113.7:11435',
    '[2001:DB8::7]:11435',
    'cedar',
    'CEDAR:11435',
    'app.localhost',
    'nas.local:80',
    'host.docker.internal:11435',
  ])('lets %j in', (header) => {
    expect(allowed(header)).toBe(true)
  })

  it.each([
    'evil.example',
    'localhost.evil.example',
    'localhost.evil.example:11435',
    '127.0.0.1.evil.example',
    '127.0.0.1.evil.example:11435',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    '8.8.8.8',
    '172.32.0.1',
    '172.15.0.1',
    '169.254.1.1',
    '[2001:db8::8]',
    '[::ffff:8.8.8.8]:1',
    '::1',
    '[::1',
    '[::1]evil.example',
    'localhost:80:evil',
    'localhost:80@evil.example',
    'evil.example\\.local',
    'evil.example/.local',
    'localhost..',
    'xlocalhost',
    'evillocal',
    'evil.localx',
    '.local',
    'cedar.evil.example',
    'localhost evil.example',
    'localhost\u0000',
  ])('does not let %j in', (header) => {
    expect(allowed(header)).toBe(false)
  })

  it('only asks on a loopback listener', () => {
    for (const listen of ['127.0.0.1', '::1', 'localhost', '127.0.0.2'])
      expect(allowed('evil.example', [], listen)).toBe(false)
    for (const listen of ['0.0.0.0', '::', '192.168.1.5', 'cedar.internal'])
      expect(allowed('evil.example', [], listen)).toBe(true)
  })

  it('adds what the operator allows', () => {
    expect(allowed('chasqui.example:443', ['chasqui.example'])).toBe(true)
    expect(allowed('a.team.example', ['*.team.example'])).toBe(true)
    expect(allowed('8.8.8.8', ['8.8.8.8'])).toBe(true)
    expect(allowed('chasqui.example.evil.example', ['chasqui.example'])).toBe(false)
  })
})
