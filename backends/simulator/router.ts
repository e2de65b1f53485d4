import type { Route } from './routes.ts'

export type Found =
  | { readonly kind: 'route'; readonly route: Route; readonly parameter: string }
  | { readonly kind: 'elsewhere'; readonly path: string; readonly permanent: boolean }
  | { readonly kind: 'wrong-method'; readonly allow: string }
  | { readonly kind: 'unknown' }

/** Finds a route as gin behind Go's mux does, with their redirects and their two ways of saying no. */
export function findRoute(routes: readonly Route[], method: string, path: string): Found {
  if (path.includes('//') || path.includes('/./') || path.includes('/../'))
    return { kind: 'elsewhere', path: cleaned(path), permanent: false }
  for (const route of routes) {
    const parameter = match(route, method, path)
    if (parameter !== undefined) return { kind: 'route', route, parameter }
  }
  if (path !== '/') {
    const other = path.endsWith('/') ? path.slice(0, -1) : `${path}/`
    if (routes.some((route) => match(route, method, other) !== undefined))
      return { kind: 'elsewhere', path: other, permanent: method === 'GET' }
  }
  const methods = new Set<string>()
  for (const route of routes) {
    if (parameterOf(route.path, path) === undefined) continue
    if (route.head) methods.add('HEAD')
    methods.add(route.method)
  }
  if (methods.size > 0) return { kind: 'wrong-method', allow: [...methods].join(', ') }
  return { kind: 'unknown' }
}

function match(route: Route, method: string, path: string): string | undefined {
  if (route.method !== method && !(route.head && method === 'HEAD')) return undefined
  return parameterOf(route.path, path)
}

function parameterOf(pattern: string, path: string): string | undefined {
  const at = pattern.indexOf(':')
  if (at < 0) return pattern === path ? '' : undefined
  const parameter = path.slice(at)
  if (!path.startsWith(pattern.slice(0, at)) || parameter === '' || parameter.includes('/'))
    return undefined
  try {
    return decodeURIComponent(parameter)
  } catch {
    return parameter
  }
}

function cleaned(path: string): string {
  const kept: string[] = []
  for (const step of path.split('/')) {
    if (step === '..') kept.pop()
    else if (step !== '' && step !== '.') kept.push(step)
  }
  return `/${kept.join('/')}${path.endsWith('/') && kept.length > 0 ? '/' : ''}`
}
