import { describe, expect, it } from 'vitest'
import { findRoute, routes } from '../../src/dialects/routes.ts'

const pathOf = (method: string, path: string) => {
  const found = findRoute(method, path)
  return found.kind === 'route' ? found.route.path : found.kind
}

describe('findRoute', () => {
  it('finds every route by its own path', () => {
    for (const route of routes)
      for (const method of route.methods) {
        const found = findRoute(method, route.path.replace(/:\w+/, 'x'))
        expect(found).toMatchObject({ kind: 'route', route })
      }
  })

  it('reads spare slashes as the redirects of Ollama would mend them', () => {
    expect(pathOf('GET', '/api/tags/')).toBe('/api/tags')
    expect(pathOf('GET', '//api///tags')).toBe('/api/tags')
    expect(pathOf('POST', '/v1//chat/completions/')).toBe('/v1/chat/completions')
    expect(pathOf('GET', '//')).toBe('/')
  })

  it('names the methods that there are, in the order of the router', () => {
    expect(findRoute('POST', '/api/tags')).toEqual({ kind: 'notAllowed', allow: 'HEAD, GET' })
    expect(findRoute('HEAD', '/api/ps')).toEqual({ kind: 'notAllowed', allow: 'GET' })
    expect(findRoute('GET', '/api/blobs/sha256:a')).toEqual({
      kind: 'notAllowed',
      allow: 'HEAD, POST',
    })
  })

  it.each([
    '/api/../api/tags',
    '/api/%74ags',
    '/api/tags;x',
    '/api/tags\0',
    '/api/tags%00',
    '/API/tags',
    '/api',
    '/api/unknown',
    '/v1/models/a/b',
    '/v1/models/a%2Fb',
    '/v1/models/..',
    '/v1/models/%2e%2e',
    '/v1/models/%ff',
    '/v1/models/a%00',
    '/api/blobs/',
    '',
  ])('knows no %j', (path) => {
    expect(pathOf('GET', path)).toBe('notFound')
  })

  it('decodes parameters', () => {
    expect(findRoute('GET', '/v1/models/llama3%3Alatest')).toMatchObject({
      params: { model: 'llama3:latest' },
    })
    expect(findRoute('HEAD', '/api/blobs/sha256:abc')).toMatchObject({
      params: { digest: 'sha256:abc' },
    })
  })

  it('tells what changes the fleet', () => {
    const changing = routes.filter((route) => route.changesFleet)
    expect(changing.map((route) => `${route.methods} ${route.path}`)).toEqual([
      'POST /api/pull',
      'POST /api/push',
      'POST /api/create',
      'POST /api/copy',
      'DELETE /api/delete',
      'POST /api/blobs/:digest',
      'POST /api/signout',
      'DELETE /api/user/keys/:encodedKey',
    ])
  })
})
