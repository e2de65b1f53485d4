import { describe, expect, it } from 'vitest'
import { readBackendUrl } from '../../src/config/backend-url.ts'

describe('readBackendUrl', () => {
  it.each([
    ['http://box:11434', 'http://box:11434', '', 11434],
    ['HTTP://Box:80/', 'http://box', '', 80],
    ['https://box/gpu1//', 'https://box', '/gpu1', 443],
    ['http://[::1]:11434', 'http://[::1]:11434', '', 11434],
  ])('reads %s', (words, origin, pathPrefix, port) => {
    expect(readBackendUrl(words)).toMatchObject({ origin, pathPrefix, port })
  })

  it.each([
    ['box', 'write "http://box:11434"'],
    ['192.168.1.20:11434', 'write "http://192.168.1.20:11434"'],
    ['//box:1/a', 'write "http://box:1/a"'],
    ['[::1]:11434', 'write "http://[::1]:11434"'],
    ['me:word@box', 'write "http://***@box:11434"'],
    ['htp://box:1', 'did you mean "http://box:1"?'],
  ])('mends %s', (words, hint) => {
    expect(readBackendUrl(words)).toMatchObject({ hint })
  })

  it.each([
    '',
    'http://',
    'http://box:0',
    'http://box:65536',
    'http://bo x',
    'http://box?a=b',
    'http://box#a',
    'ftp://box',
    'unix:///run/x',
  ])('refuses %j', (words) => {
    expect(readBackendUrl(words)).toHaveProperty('message')
  })
})
