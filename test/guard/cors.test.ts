import { describe, expect, it } from 'vitest'
import { corsHeaders, preflightAnswer } from '../../src/guard/cors.ts'

describe('corsHeaders', () => {
  it('sends the origin back, and says that the answer depends on it', () => {
    expect(corsHeaders('http://localhost:3000', 'box:1', [])).toEqual({
      'access-control-allow-origin': 'http://localhost:3000',
      vary: 'Origin',
    })
  })

  it('says * only where the operator opened the address to everybody', () => {
    expect(corsHeaders('https://a.example', 'box:1', ['*'])).toEqual({
      'access-control-allow-origin': '*',
    })
  })

  it('says nothing to a page of its own and to one that may not call', () => {
    expect(corsHeaders('http://box:1', 'box:1', [])).toEqual({})
    expect(corsHeaders('https://evil.example', 'box:1', [])).toEqual({})
  })
})

describe('preflightAnswer', () => {
  it('allows what Ollama allows, for twelve hours', () => {
    const answer = preflightAnswer('tauri://localhost', 'box:1', [])
    expect(answer?.status).toBe(204)
    expect(answer?.headers).toMatchObject({
      'access-control-allow-origin': 'tauri://localhost',
      'access-control-allow-methods': 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS',
      'access-control-max-age': '43200',
      vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    })
    const headers = answer?.headers['access-control-allow-headers']?.toLowerCase().split(',')
    expect(headers).toContain('authorization')
    expect(headers).toContain('x-stainless-timeout')
    expect(headers).not.toContain('x-api-key')
  })

  it('leaves an OPTIONS request that is no preflight to the route', () => {
    expect(preflightAnswer('http://box:1', 'box:1', [])).toBeUndefined()
    expect(preflightAnswer('https://evil.example', 'box:1', [])).toBeUndefined()
  })
})
