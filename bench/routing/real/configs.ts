import { leastConnBlocks } from '../../peers/nginx.ts'
import type { MachineSpec, ModelSpec } from '../engine/specs.ts'

/** A machine's place on the loopback. */
export interface Address {
  readonly name: string
  readonly port: number
  readonly slots: number
}

/** How fast time runs, and from when on: dates go as fast, in all processes alike. */
export interface Pace {
  readonly scale: number
  readonly datesFromMs: number
}

/** Like all times here one of the study: the simulator's clock is as many times faster. */
const keepAlive = '5m'
const unloadRecoveryMs = 1_000
const contextTokens = 131_072
/** As the peers check in the study, in milliseconds of the study. */
const checkMs = 2_000
const connectMs = 5_000
const priorityHeader = 'X-Chasqui-Priority'

/** The arguments of a simulator that is what the study's machine is. */
export function simulatorArguments(
  spec: MachineSpec,
  models: readonly ModelSpec[],
  { port, pace, preloaded }: { port: number; pace: Pace; preloaded: readonly number[] },
): string[] {
  // The study pushes out by name where keep-alives are equal, the simulator by digest.
  const inOrder = models.map(({ name }) => name).sort()
  const onDisk = models.map(({ name, speed, loadSeconds }) => ({
    ...{ name, speed, loadMs: 1_000 * loadSeconds * spec.loadFactor },
    ...{ sizeBytes: 1e9 * loadSeconds, contextTrain: contextTokens },
    digest: inOrder.indexOf(name).toString(16).padStart(64, '0'),
  }))
  const settings = {
    ...{ port, name: spec.name, slots: spec.slots, 'max-loaded': spec.modelsMax },
    ...{ 'max-queue': 1_000_000, 'keep-alive': keepAlive, context: contextTokens },
    ...{ speed: spec.decodePerSecond, prefill: spec.prefillPerSecond, slowdown: spec.kappa },
    'clock-speed': pace.scale,
  }
  const others = {
    datesFromMs: pace.datesFromMs,
    ...{ preloaded: preloaded.map((index) => models[index]!.name) },
    ...{ models: onDisk, engine: 'shared', scripts: true, unloadRecoveryMs },
    // Of what went by no more is written down than whose it was, and moving a prompt in memory takes no time in the study.
    ...{ traceMax: 1_000_000, traceBodyBytes: 64, promptCacheBytesPerSecond: 1e18 },
  }
  return [
    ...Object.entries(settings).map(([option, value]) => `--${option}=${value}`),
    ...Object.entries(others).map(([name, value]) => `--set=${name}=${JSON.stringify(value)}`),
  ]
}

/** HAProxy as `policies/central.ts` has it; with classes, people before batch work. */
export function haproxyConfig(
  { port, scale, byClass }: { port: number; scale: number; byClass: boolean },
  machines: readonly Address[],
): string {
  const classes = [
    `http-request set-priority-class int(1)`,
    `http-request set-priority-class int(0) if { req.hdr(${priorityHeader}) interactive }`,
  ]
  return `
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  option http-no-delay
  http-reuse safe
  retries 3
  option redispatch 1
  retry-on conn-failure
  timeout connect ${Math.round(connectMs / scale)}ms
  timeout check ${Math.round(checkMs / scale)}ms
  timeout client 1h
  timeout server 1h
  timeout queue 1h
listen ollama
  bind 127.0.0.1:${port}
  balance leastconn
  option httpchk GET /
  ${(byClass ? classes : []).join('\n  ')}
  default-server check inter ${Math.round(checkMs / scale)}ms fall 3 rise 1
  ${machines.map(({ name, port: at, slots }) => `server ${name} 127.0.0.1:${at} maxconn ${slots}`).join('\n  ')}
`
}

/** The part of nginx's configuration that is as `least` in the study: max_fails and fail_timeout as they come. */
export function nginxBlocks(port: number, machines: readonly Address[]): string {
  return leastConnBlocks(
    port,
    machines.map(({ port: at }) => `127.0.0.1:${at}`),
  )
}

/** Ours as it comes: slots are found out. Where answers go on later the model is asked how it does so, beside the study. */
export function oursConfig(continues: boolean, machines: readonly Address[]): string {
  return `version: 1
listen: 127.0.0.1:0
log: { level: error, format: json }
continuation: ${continues}
probes: { timeout: 1900ms }
tenants: { trusted_from: 127.0.0.1, user_headers: X-Forwarded-User }
backends:
${machines.map(({ name, port }) => `  - { name: ${name}, url: "http://127.0.0.1:${port}", context: ${contextTokens} }`).join('\n')}
`
}

/** What says to a front whose request it is. */
export function headersOf(request: {
  readonly tenant: string
  readonly band: string
}): Record<string, string> {
  return { 'X-Forwarded-User': request.tenant, [priorityHeader]: request.band }
}
