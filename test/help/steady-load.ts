import { Agent, request } from 'node:http'

export interface LoadResult {
  readonly sent: number
  readonly ok: number
  /** By status and what was said, or the error's code. */
  readonly failed: Readonly<Record<string, number>>
}

/**
 * So many requests a second until told to stop, half of them on kept connections, half on new ones; nothing is sent
 * again. Ends when the last answer has come.
 */
export function steadyLoad(
  url: string,
  { perSecond, body }: { perSecond: number; body: string },
): { readonly sent: () => number; stop(): Promise<LoadResult> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 20 })
  const failed: Record<string, number> = {}
  const running = new Set<Promise<void>>()
  let sent = 0
  let ok = 0
  const fail = (what: string) => {
    failed[what] = (failed[what] ?? 0) + 1
  }
  const one = () => {
    const kept = sent++ % 2 === 0
    const done = new Promise<void>((resolve) => {
      const calling = request(url, {
        method: 'POST',
        agent: kept ? agent : false,
        headers: { 'content-length': Buffer.byteLength(body) },
      })
      calling.on('error', (error: NodeJS.ErrnoException) => {
        fail(error.code ?? error.message)
        resolve()
      })
      calling.on('response', (response) => {
        let said = ''
        response.setEncoding('utf8').on('data', (text: string) => (said += text))
        response.on('error', () => {})
        response.on('close', () => {
          if (!response.complete) fail('cut')
          else if (response.statusCode === 200) ok++
          else fail(`${response.statusCode} ${said.slice(0, 200)}`)
          resolve()
        })
      })
      calling.end(body)
    })
    running.add(done)
    void done.then(() => running.delete(done))
  }
  const startedMs = performance.now()
  const timer = setInterval(() => {
    const due = ((performance.now() - startedMs) / 1_000) * perSecond
    while (sent < due) one()
  }, 5)
  return {
    sent: () => sent,
    async stop() {
      clearInterval(timer)
      await Promise.all(running)
      agent.destroy()
      return { sent, ok, failed }
    },
  }
}
