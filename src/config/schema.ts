import { z } from 'zod'
import { backendSchema, namePattern } from './backend-schema.ts'
import {
  addressRange,
  choice,
  duration,
  durationOrOff,
  list,
  listenAddress,
  share,
  size,
  text,
  wholeNumber,
  yesNo,
} from './kinds.ts'
import { discoverShape, joinShape } from './member-schema.ts'
import { modelsShape, rulesSchema } from './placement-schema.ts'
import { pullTargets } from './pull-targets.ts'
import { residencyShape } from './residency-schema.ts'

/** Every key once: its kind, its bounds, its default and its one sentence. */
export const configSchema = z.strictObject({
  version: z.literal(1, { error: 'must be 1' }).prefault(1).describe('The version of this format.'),
  listen: listenAddress()
    .prefault('127.0.0.1:11435')
    .describe('Where the proxy listens; ":11435" means every interface of this machine.'),
  backends: z
    .array(backendSchema, {
      error: 'must be a list of backends, such as "- url: http://192.168.1.20:11434"',
    })
    .prefault([])
    .describe('The Ollama servers behind the proxy.'),
  data: text('a directory', /^[^\0]+$/)
    .optional()
    .describe(
      "Directory for spooled bodies and lasting state; the platform's state directory unless set.",
    ),
  admin_token: text('text without spaces; a number needs quotes', /^[\x21-\x7e]{1,1024}$/)
    .optional()
    .describe('Whoever sends it may change the fleet from another machine; nobody unless set.'),
  log: section('What the proxy writes about itself.', {
    level: choice('debug', 'info', 'warn', 'error', 'silent')
      .prefault('info')
      .describe('The least important line that is still written.'),
    format: choice('auto', 'json', 'pretty')
      .prefault('auto')
      .describe('Lines for people or for programs; auto: for people on a terminal.'),
  }),
  probes: section('How the proxy asks each backend how it is.', {
    interval: duration().prefault('2s').describe('Time between two probes of one backend.'),
    timeout: duration().prefault('1s').describe('How long an answer may take; below the interval.'),
    models_every: duration()
      .prefault('60s')
      .describe('How often the models on disk are asked for; in between only what is loaded.'),
    fall: wholeNumber(1, 100)
      .prefault(3)
      .describe('Failed probes in a row until a backend counts as away.'),
    rise: wholeNumber(1, 100)
      .prefault(2)
      .describe('Good probes in a row until it counts as ready again.'),
    jitter: share({ zero: true })
      .prefault(0.1)
      .describe('Share of the interval by which each probe is moved at random.'),
  }),
  breaker: section('When a backend that fails requests gets a rest.', {
    failures: wholeNumber(1, 1_000).prefault(5).describe('Failures in a row that make it rest.'),
    share: share({ zero: false })
      .prefault(0.5)
      .describe('Share of failures among the last outcomes that makes it rest.'),
    window: wholeNumber(1, 10_000).prefault(20).describe('How many last outcomes are looked at.'),
    rest: duration()
      .prefault('1s')
      .describe('How long the first rest lasts; each next one is double.'),
    rest_max: duration().prefault('60s').describe('The longest rest.'),
    slow_start: durationOrOff()
      .prefault('10s')
      .describe(
        'Over this a backend that comes back gets its share bit by bit, while others have free slots; off: at once.',
      ),
  }),
  routing: section('Which backend gets a request.', {
    picker: choice('expected-completion', 'least-busy', 'round-robin', 'weighted', 'capability')
      .prefault('expected-completion')
      .describe('How one is picked: where an answer is expected soonest, or by a simpler rule.'),
    preferences: z
      .record(
        text('a kind of work of letters, digits, _ and -', /^[A-Za-z0-9_-]{1,64}$/),
        list(text('the name of a backend', namePattern), 'the name of a backend'),
        { error: 'must be a map from kind of work to names of backends' },
      )
      .prefault({})
      .describe('For the capability picker: kind of work, and the backends for it, best first.'),
    load_rescue: yesNo()
      .prefault(true)
      .describe('A model load goes on when the client that asked for it leaves.'),
    affinity: choice('on', 'off')
      .prefault('on')
      .describe('A conversation goes where it is in memory, while that saves more than it costs.'),
    hedge: choice('off', 'on')
      .prefault('off')
      .describe(
        'An answer that is late to begin is asked for a second time elsewhere, at most for two requests of a hundred.',
      ),
    decision_log: text('off, or a file', /^[^\0]{1,4096}$/)
      .prefault('off')
      .describe(
        'A file in which decisions are noted, about newcomers and those who wait, for chasqui route replay; no prompts are in it.',
      ),
  }),
  rules: rulesSchema
    .prefault([])
    .describe('Which requests may go where; of each kind of word the first rule that fits counts.'),
  models: section('Under which names models are asked for.', modelsShape),
  residency: section('Which models stay in memory where.', residencyShape),
  queue: section('Where requests wait for a free slot.', {
    max: wholeNumber(0, 100_000)
      .prefault(1_000)
      .describe('Requests that may wait; 0: a request without a free slot is turned away at once.'),
    max_per_tenant: wholeNumber(0, 100_000)
      .prefault(0)
      .describe('Of one tenant; 0: four fifths of max, so that nobody fills the queue alone.'),
    timeout: duration().prefault('600s').describe('How long one may wait.'),
    priority_across_tenants: yesNo()
      .prefault(false)
      .describe(
        "A priority header counts against everybody, not only among a tenant's own requests.",
      ),
    give_way: yesNo()
      .prefault(true)
      .describe(
        'A batch answer under way gives its slot to an interactive request that would wait long, once, and goes on later.',
      ),
  }),
  limits: section('What the proxy takes from clients.', {
    body_max: size().prefault('256MiB').describe('The largest body of a request.'),
    body_in_memory_max: size()
      .prefault('1MiB')
      .describe('A body up to this stays in memory; a larger one goes to a file.'),
    bodies_memory_max: size().prefault('256MiB').describe('All bodies in memory together.'),
    bodies_disk_max: size().prefault('4GiB').describe('All bodies in files together.'),
    head_timeout: duration()
      .prefault('30s')
      .describe('Within this the head of a request must be complete.'),
  }),
  timeouts: section('How long the proxy waits for a backend.', {
    connect: duration().prefault('5s').describe('Until the connection stands.'),
    first_byte: durationOrOff()
      .prefault('off')
      .describe(
        'From the last byte sent to the first byte back; off: a model may load for minutes.',
      ),
    idle: durationOrOff().prefault('off').describe('Between two bytes of an answer.'),
    notice: durationOrOff()
      .prefault('off')
      .describe(
        'Told to stop, the proxy fails /readyz so long before it takes no more connections; for load balancers.',
      ),
    drain: duration()
      .prefault('30s')
      .describe(
        'How long answers may still run when the proxy is told to stop, and on a drained backend.',
      ),
  }),
  retries: section('What happens when a backend fails before its first byte.', {
    further_attempts: wholeNumber(0, 10)
      .prefault(2)
      .describe('Further attempts of one request after the first.'),
    budget_share: share({ zero: true })
      .prefault(0.2)
      .describe('Retries may be this share of all requests.'),
    budget_floor: wholeNumber(0, 10_000)
      .prefault(3)
      .describe('So many retries in ten seconds are always allowed.'),
  }),
  generate: section('The simple address, POST /generate.', {
    timeout: duration().prefault('600s').describe('How long one may take, waiting included.'),
    commands_instruction: text('text', /^[\s\S]{0,10000}$/)
      .prefault(
        'Turn these shell commands into Ansible tasks. Answer with YAML only: a list of tasks, each with a name.',
      )
      .describe('Set before "commands" that come without an instruction; "" sets nothing.'),
  }),
  continuation: yesNo()
    .prefault(true)
    .describe('When a backend breaks off in the middle of an answer, another one goes on with it.'),
  embed: section('Batches of embeddings.', {
    split: choice('off', 'same-class', 'all')
      .prefault('same-class')
      .describe(
        'Whether a batch is spread: over backends that give identical numbers, or also nearly equal ones.',
      ),
  }),
  manage: section('What commands for the whole fleet do.', {
    pull: pullTargets()
      .prefault('all')
      .describe('Who pulls a model: all, fit (those with memory for it), or best:N (the N best).'),
  }),
  forward_unknown: yesNo()
    .prefault(false)
    .describe("Unknown paths under /api and /v1 go to a backend instead of getting Ollama's 404."),
  pass_authorization: yesNo()
    .prefault(false)
    .describe("The client's Authorization header is passed on to the backend."),
  allowed_origins: list(text('an origin such as https://app.example', /^\S{1,255}$/), 'an origin')
    .prefault([])
    .describe('Web pages that may call, beside those that Ollama allows; * stands for any text.'),
  allowed_hosts: list(text('a host name', /^\S{1,255}$/), 'a host name')
    .prefault([])
    .describe(
      'Names to be called by on a loopback listener, beside those that Ollama allows; * stands for any text.',
    ),
  tenants: section('Who a request is counted for.', {
    trusted_from: list(addressRange(), 'an address or a CIDR range')
      .prefault([])
      .describe('Addresses and CIDR ranges that may say who the user is.'),
    user_headers: list(
      text('a header name', /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/),
      'a header name',
    )
      .prefault(['X-OpenWebUI-User-Id', 'X-Forwarded-User'])
      .describe('Headers that name the user; the first one found wins.'),
  }),
  join: section('Agents that join the fleet by themselves.', joinShape),
  discover: section('Servers that are found, beside those in the list of backends.', discoverShape),
})

export type CheckedConfig = z.output<typeof configSchema>

function section<Shape extends z.core.$ZodLooseShape>(sentence: string, shape: Shape) {
  const error = 'must be a map of settings'
  return z
    .strictObject(shape, { error: (issue) => (issue.code === 'invalid_type' ? error : undefined) })
    .prefault({} as never)
    .describe(sentence)
}
