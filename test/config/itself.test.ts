import { describe, expect, it } from 'vitest'
import { isItself } from '../../src/config/itself.ts'

const own = ['cedar', '192.168.1.5', 'fd00::5']

describe('isItself', () => {
  it.each([
    ['127.0.0.1', '127.0.0.1', true],
    ['localhost', '127.0.0.1', true],
    ['localhost', '::1', true],
    ['127.0.0.1', 'localhost', true],
    ['0.0.0.0', '127.0.0.1', true],
    ['127.0.0.2', '127.0.0.1', false],
    ['192.168.1.5', '127.0.0.1', false],
    ['192.168.1.5', '192.168.1.5', true],
    ['127.0.0.1', '192.168.1.5', false],
    ['192.168.1.5', '0.0.0.0', true],
    ['[fd00::5]', '::', true],
    ['127.0.0.2', '::', true],
    ['Cedar.', '0.0.0.0', true],
    ['192.168.1.6', '0.0.0.0', false],
  ])('a backend at %s, the proxy at %s: %s', (host, listen, itself) => {
    expect(isItself({ host, port: 11435 }, { host: listen, port: 11435 }, own)).toBe(itself)
    expect(isItself({ host, port: 11434 }, { host: listen, port: 11435 }, own)).toBe(false)
  })
})
