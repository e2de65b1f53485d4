import { expect, it } from 'vitest'
import { isUsual } from '../../../src/http/net-door/usual.ts'

const bodyBytesMax = 1_000
const usual = (method: string, target: string, bodyBytes: number) =>
  isUsual({ method, target, bodyBytes }, bodyBytesMax)

it.each([
  ['POST', '/api/chat', 10, true],
  ['POST', '/v1/messages?beta=true', 1_000, true],
  ['POST', '/api/chat', 1_001, false],
  ['POST', '/api/chat', 0, false],
  ['POST', '/api/pull', 10, false],
  ['POST', '/v1/audio/transcriptions', 10, false],
  ['POST', '/generate', 10, false],
  // A client that lists the models first asked for everything behind that by another way, on the same connection.
  ['GET', '/api/tags', 0, true],
  ['GET', '/v1/models?limit=5', 0, true],
  ['GET', '/api/ps', 0, true],
  ['GET', '/api/version', 0, true],
  ['GET', '/api/tags', 2, false],
  ['GET', '/v1/models/m', 0, false],
  ['GET', '/queue-status', 0, false],
  ['GET', '/api/chat', 0, false],
  ['HEAD', '/api/tags', 0, false],
  ['DELETE', '/api/delete', 10, false],
])('%s %s with %d bytes is usual: %s', (method, target, bodyBytes, is) => {
  expect(usual(method, target, bodyBytes)).toBe(is)
})
