import { homedir } from 'node:os'
import { join as joined, resolve } from 'node:path'
import type { Backend } from '../core/backend.ts'
import { canonicalName } from '../core/model-name.ts'
import type { PlacementSettings, Settings } from '../core/settings.ts'
import { namesOf } from './backend-name.ts'
import type { CheckedBackend } from './backend-schema.ts'
import type { NumberedBackend } from './check.ts'
import { defaultDataDir } from './data-dir.ts'
import { residencyOf } from './residency-schema.ts'
import type { CheckedConfig } from './schema.ts'
import type { Environment } from './substitute.ts'

/** The words of the file → the words of the program. Only renames; everything is checked already. */
export function settingsOf(
  config: CheckedConfig,
  backends: readonly NumberedBackend[],
  { env, cwd }: { readonly env: Environment; readonly cwd: string },
): Settings {
  const { probes, breaker, routing, queue, limits, timeouts, retries, tenants } = config
  const { join, discover } = config
  const names = namesOf(backends)
  return frozen({
    listen: config.listen,
    backends: backends.map(({ index, backend }) => backendOf(backend, names.get(index) ?? '')),
    dataDir: config.data === undefined ? defaultDataDir(env) : directory(config.data, env, cwd),
    adminToken: config.admin_token,
    log: config.log,
    probes: {
      intervalMs: probes.interval,
      timeoutMs: probes.timeout,
      modelsEveryMs: probes.models_every,
      fall: probes.fall,
      rise: probes.rise,
      jitter: probes.jitter,
    },
    breaker: {
      failuresInRow: breaker.failures,
      failureShare: breaker.share,
      windowSize: breaker.window,
      restMs: breaker.rest,
      restMsMax: breaker.rest_max,
      slowStartMs: breaker.slow_start,
    },
    routing: {
      picker: routing.picker,
      preferences: routing.preferences,
      loadRescue: routing.load_rescue,
    },
    placement: placementOf(config),
    residency: residencyOf(config.residency),
    queue: {
      waitingMax: queue.max,
      waitingPerTenantMax: queue.max_per_tenant,
      waitMsMax: queue.timeout,
      priorityAcrossTenants: queue.priority_across_tenants,
      givesWay: queue.give_way,
    },
    limits: {
      bodyBytesMax: limits.body_max,
      bodyInMemoryBytesMax: limits.body_in_memory_max,
      bodiesMemoryBytesMax: limits.bodies_memory_max,
      bodiesDiskBytesMax: limits.bodies_disk_max,
      headMsMax: limits.head_timeout,
    },
    timeouts: {
      connectMs: timeouts.connect,
      firstByteMs: timeouts.first_byte,
      idleMs: timeouts.idle,
      noticeMs: timeouts.notice,
      drainMs: timeouts.drain,
    },
    retries: {
      furtherAttemptsMax: retries.further_attempts,
      budgetShare: retries.budget_share,
      budgetFloor: retries.budget_floor,
    },
    generate: {
      timeoutMs: config.generate.timeout,
      commandsInstruction: config.generate.commands_instruction,
    },
    continuation: config.continuation,
    hedge: routing.hedge === 'on',
    decisionLog:
      routing.decision_log === 'off' ? undefined : directory(routing.decision_log, env, cwd),
    embed: { split: config.embed.split },
    manage: { pull: config.manage.pull },
    forwardUnknown: config.forward_unknown,
    passAuthorization: config.pass_authorization,
    allowedOrigins: config.allowed_origins,
    allowedHosts: config.allowed_hosts,
    tenants: { trustedFrom: tenants.trusted_from, userHeaders: tenants.user_headers },
    join: {
      token: join.token,
      allow: join.allow.map(({ name, from, labels }) => ({ name, from, labels: labels ?? [] })),
      allowAddresses: join.allow_addresses,
      membersMax: join.max,
    },
    discover: {
      dns: discover.dns,
      dnsEveryMs: discover.dns_every,
      folder: discover.folder === 'off' ? undefined : directory(discover.folder, env, cwd),
      mdns: discover.mdns,
      scan: discover.scan,
      scanEveryMs: discover.scan_every,
      port: discover.port,
      accept: discover.accept,
    },
  })
}

export function backendOf(backend: CheckedBackend, name: string): Backend {
  const { url, slots } = backend
  const headers = Object.entries(backend.headers).map(([key, value]) => [key.toLowerCase(), value])
  const login = url.authorization === undefined ? {} : { authorization: url.authorization }
  return {
    name,
    origin: url.origin,
    pathPrefix: url.pathPrefix,
    slots:
      typeof slots === 'object'
        ? new Map(Object.entries(slots).map(([model, count]) => [canonicalName(model), count]))
        : slots,
    slotsTotal: backend.slots_total,
    weight: backend.weight,
    labels: backend.labels,
    headers: { ...login, ...Object.fromEntries(headers) },
    memoryBytes: backend.memory,
    contextDefault: backend.context,
    insecure: backend.insecure,
    models:
      backend.models.allow.length + backend.models.deny.length === 0 ? undefined : backend.models,
    agent: undefined,
  }
}

function placementOf({ routing, rules, models }: CheckedConfig): PlacementSettings {
  return {
    affinity: routing.affinity === 'on',
    rules: rules.map(({ when, only, never, prefer, priority, use_model }) => ({
      when: {
        tenant: when.tenant,
        user: when.user,
        model: when.model,
        work: when.work,
        labels: when.labels ?? [],
        promptTokensMax: when.prompt_tokens_max,
        tools: when.tools,
        images: when.images,
      },
      only,
      never,
      preferMs: prefer,
      priority,
      useModel: use_model,
    })),
    aliases: models.aliases,
    fallbacks: models.fallbacks,
  }
}

function directory(words: string, env: Environment, cwd: string): string {
  const home = env['HOME'] ?? homedir()
  return words === '~' || words.startsWith('~/')
    ? joined(home, words.slice(1))
    : resolve(cwd, words)
}

function frozen<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || value instanceof Map) return value
  for (const inner of Object.values(value)) frozen(inner)
  return Object.freeze(value)
}
