import { connect } from 'node:net'
import type { Clock } from '../../../src/core/clock.ts'
import { startChild } from './child.ts'
import { Supervisor } from './supervisor.ts'

export interface ManageOptions {
  /** Where it is to listen. */
  readonly url: URL
  readonly isHere: boolean
  readonly program: string
  /** OLLAMA_NUM_PARALLEL; undefined: what the environment says, or Ollama's own choice. */
  readonly slots: number | undefined
  readonly env: NodeJS.ProcessEnv
  readonly clock: Clock
  readonly say: (sentence: string) => void
}

/** There is nothing here for the agent to manage; the sentence says what to do. */
export class CannotManage extends Error {}

const connectMsMax = 1_000

/** An `ollama serve` of our own. OLLAMA_HOST is set for it only: ours and everybody else's stays as it is. */
export async function managedOllama(options: ManageOptions): Promise<Supervisor> {
  const { url, isHere, program, slots, env, clock, say } = options
  if (!isHere || url.protocol !== 'http:')
    throw new CannotManage(
      `${url.origin} is not on this machine, and an agent manages only the Ollama beside it; leave --manage out, or run the agent there`,
    )
  const port = Number(url.port) || 80
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (await isServed(host, port))
    throw new CannotManage(
      `something serves ${url.host} already, so the agent can not manage an Ollama there; stop it (systemctl stop ollama, or what an agent left behind that was killed), or leave --manage out`,
    )
  const childEnv: NodeJS.ProcessEnv = { ...env, OLLAMA_HOST: `${url.hostname}:${port}` }
  if (slots !== undefined) childEnv['OLLAMA_NUM_PARALLEL'] = String(slots)
  // Signs for this process, and no business of another one.
  for (const name of Object.keys(childEnv)) if (name.startsWith('CHASQUI_')) delete childEnv[name]
  return new Supervisor({
    clock,
    say,
    start: () => startChild({ program, args: ['serve'], env: childEnv }),
    answers: () => answersAt(url),
  })
}

async function answersAt(url: URL): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(connectMsMax)
    const answer = await fetch(new URL('/api/version', url), { signal, redirect: 'manual' })
    await answer.arrayBuffer()
    return answer.ok
  } catch {
    return false
  }
}

function isServed(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: connectMsMax })
    const done = (served: boolean) => {
      socket.destroy()
      resolve(served)
    }
    socket.once('connect', () => done(true))
    socket.once('error', () => done(false))
    socket.once('timeout', () => done(false))
  })
}
