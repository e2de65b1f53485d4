import type { Backend } from '../core/backend.ts'
import type { Rule, Settings } from '../core/settings.ts'
import { printResidency } from './residency-schema.ts'

/** The settings as plain data in the words of the file; `secret` says what stands where a secret was. */
export function printable(settings: Settings, secret: (words: string) => string) {
  const { listen, probes, breaker, routing, queue, limits, timeouts, retries, tenants } = settings
  const { join, discover, placement } = settings
  return {
    version: 1,
    listen: `${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`,
    backends: settings.backends.map((backend) => printableBackend(backend, secret)),
    data: settings.dataDir,
    admin_token: settings.adminToken === undefined ? null : secret(settings.adminToken),
    log: settings.log,
    probes: {
      interval: time(probes.intervalMs),
      timeout: time(probes.timeoutMs),
      models_every: time(probes.modelsEveryMs),
      fall: probes.fall,
      rise: probes.rise,
      jitter: probes.jitter,
    },
    breaker: {
      failures: breaker.failuresInRow,
      share: breaker.failureShare,
      window: breaker.windowSize,
      rest: time(breaker.restMs),
      rest_max: time(breaker.restMsMax),
      slow_start: time(breaker.slowStartMs),
    },
    routing: {
      picker: routing.picker,
      preferences: routing.preferences,
      load_rescue: routing.loadRescue,
      affinity: placement.affinity ? 'on' : 'off',
      hedge: settings.hedge ? 'on' : 'off',
      decision_log: settings.decisionLog ?? 'off',
    },
    rules: placement.rules.map(printableRule),
    models: { aliases: placement.aliases, fallbacks: placement.fallbacks },
    residency: printResidency(settings.residency),
    queue: {
      max: queue.waitingMax,
      max_per_tenant: queue.waitingPerTenantMax,
      timeout: time(queue.waitMsMax),
      priority_across_tenants: queue.priorityAcrossTenants,
      give_way: queue.givesWay,
    },
    limits: {
      body_max: bytes(limits.bodyBytesMax),
      body_in_memory_max: bytes(limits.bodyInMemoryBytesMax),
      bodies_memory_max: bytes(limits.bodiesMemoryBytesMax),
      bodies_disk_max: bytes(limits.bodiesDiskBytesMax),
      head_timeout: time(limits.headMsMax),
    },
    timeouts: {
      connect: time(timeouts.connectMs),
      first_byte: time(timeouts.firstByteMs),
      idle: time(timeouts.idleMs),
      notice: time(timeouts.noticeMs),
      drain: time(timeouts.drainMs),
    },
    retries: {
      further_attempts: retries.furtherAttemptsMax,
      budget_share: retries.budgetShare,
      budget_floor: retries.budgetFloor,
    },
    generate: {
      timeout: time(settings.generate.timeoutMs),
      commands_instruction: settings.generate.commandsInstruction,
    },
    continuation: settings.continuation,
    embed: { split: settings.embed.split },
    manage: { pull: printPull(settings.manage.pull) },
    forward_unknown: settings.forwardUnknown,
    pass_authorization: settings.passAuthorization,
    allowed_origins: settings.allowedOrigins,
    allowed_hosts: settings.allowedHosts,
    tenants: { trusted_from: tenants.trustedFrom, user_headers: tenants.userHeaders },
    join: {
      token: join.token === undefined ? null : secret(join.token),
      allow: join.allow.map(({ name, from, labels }) => ({
        ...(name === undefined ? {} : { name }),
        ...(from === undefined ? {} : { from }),
        ...(labels.length === 0 ? {} : { labels }),
      })),
      allow_addresses: join.allowAddresses,
      max: join.membersMax,
    },
    discover: {
      dns: discover.dns,
      dns_every: time(discover.dnsEveryMs),
      folder: discover.folder ?? 'off',
      mdns: discover.mdns,
      scan: discover.scan,
      scan_every: time(discover.scanEveryMs),
      port: discover.port,
      accept: discover.accept,
    },
  }
}

function printableBackend(backend: Backend, secret: (words: string) => string) {
  const { slots } = backend
  return {
    name: backend.name,
    url: `${backend.origin}${backend.pathPrefix}`,
    slots: typeof slots === 'object' ? Object.fromEntries(slots) : slots,
    slots_total: backend.slotsTotal,
    weight: backend.weight,
    labels: backend.labels,
    headers: Object.fromEntries(
      Object.entries(backend.headers).map(([name, value]) => [name, secret(value)]),
    ),
    memory: backend.memoryBytes === undefined ? undefined : bytes(backend.memoryBytes),
    context: backend.contextDefault,
    insecure: backend.insecure,
    models: backend.models,
  }
}

function printableRule({ when, only, never, preferMs, priority, useModel }: Rule) {
  const { labels, promptTokensMax, ...patterns } = when
  return {
    when: {
      ...patterns,
      labels: labels.length === 0 ? undefined : labels,
      prompt_tokens_max: promptTokensMax,
    },
    only,
    never,
    prefer:
      preferMs &&
      Object.fromEntries(Object.entries(preferMs).map(([place, ms]) => [place, time(ms)])),
    priority,
    use_model: useModel,
  }
}

const printPull = (pull: Settings['manage']['pull']) =>
  pull.to === 'best' ? `best:${pull.count}` : pull.to

const time = (ms: number | undefined) =>
  ms === undefined ? 'off' : ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`

function bytes(count: number): string {
  const unit = (['TiB', 'GiB', 'MiB', 'KiB'] as const).find(
    (_, index) => count % 2 ** (40 - 10 * index) === 0,
  )
  const power = { TiB: 40, GiB: 30, MiB: 20, KiB: 10 }
  return unit === undefined ? `${count}B` : `${count / 2 ** power[unit]}${unit}`
}
