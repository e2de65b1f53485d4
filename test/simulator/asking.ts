import { setTimeout as pause } from 'node:timers/promises'
import type { Simulator } from '../../backends/simulator/server.ts'

export type Line = Record<string, unknown> & {
  message?: { content: string; thinking?: string; tool_calls?: unknown[] }
  response?: string
  done?: boolean
  error?: string
}

export function post(
  simulator: { url: string },
  path: string,
  body: unknown,
  init: RequestInit = {},
): Promise<Response> {
  return fetch(simulator.url + path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  })
}

/** The lines of an NDJSON answer; every one must end in a newline. */
export async function lines(response: Response): Promise<Line[]> {
  const text = await response.text()
  if (!text.endsWith('\n')) throw new Error(`no newline at the end of ${text}`)
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
}

/** The events of an SSE answer. */
export async function events(
  response: Response,
): Promise<{ event: string | undefined; data: string }[]> {
  const text = await response.text()
  return text
    .split('\n\n')
    .filter((part) => part !== '')
    .map((part) => ({
      event: /^event: (.*)$/m.exec(part)?.[1],
      data: /^data: (.*)$/m.exec(part)?.[1] ?? '',
    }))
}

export const sky = [{ role: 'user', content: 'why is the sky blue?' }]

/** The text of a chat, by a stream. */
export async function chatText(
  simulator: { url: string },
  model: string,
  messages: unknown[] = sky,
  more: Record<string, unknown> = {},
): Promise<string> {
  const said = await lines(await post(simulator, '/api/chat', { model, messages, ...more }))
  return said.map((line) => line.message?.content ?? '').join('')
}

export async function until(condition: () => boolean | Promise<boolean>, ms = 3000): Promise<void> {
  const end = Date.now() + ms
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('it did not come to pass')
    await pause(2)
  }
}

export function loadedModels(simulator: Simulator): string[] {
  return simulator.stats().runners.map(({ model }) => model)
}
