/**
 * Every failure of ours that a client or an operator can meet: one table of code, status, and what to do.
 * The sentence for the moment ("which backend, which limit") is added where it happens.
 */
export const failures = {
  body_not_json: { status: 400, fix: 'Send one JSON object.' },
  body_empty: { status: 400, fix: 'Send a JSON object that names a model.' },
  body_too_large: { status: 413, fix: 'Send less, or raise limits.body_max.' },
  too_many_values: {
    status: 413,
    fix: 'Send less at once; a text of any length may be one string.',
  },
  body_unreadable: {
    status: 400,
    fix: 'Send the body as its Content-Length and Content-Encoding say.',
  },
  body_budget_full: {
    status: 503,
    fix: 'Try again in a moment, or raise limits.bodies_memory_max and limits.bodies_disk_max.',
  },
  request_invalid: { status: 400, fix: 'Mend what the message names.' },
  model_missing: { status: 400, fix: 'Name a model.' },
  model_unknown: { status: 404, fix: 'Pull the model, or see GET /api/tags for what there is.' },
  model_away: {
    status: 503,
    fix: 'Start the backend that has the model, or pull the model on another.',
  },
  no_backend: { status: 503, fix: 'Add a backend: chasqui up --backend http://HOST:11434' },
  all_away: { status: 503, fix: 'See GET /queue-status for what each backend last said.' },
  ruled_out: {
    status: 403,
    fix: 'Use another model, or ask the operator: the rules of the proxy leave no backend for this request.',
  },
  unsupported: { status: 400, fix: 'Use a model with that capability.' },
  queue_full: { status: 503, fix: 'Try again after Retry-After, or raise queue.max.' },
  queue_timeout: { status: 503, fix: 'Try again after Retry-After, or raise queue.timeout.' },
  queue_share_full: {
    status: 503,
    fix: 'Try again after Retry-After, send fewer at once, or raise queue.max_per_tenant.',
  },
  deadline_hopeless: {
    status: 503,
    fix: 'Try again after Retry-After, or allow more time (X-Chasqui-Deadline).',
  },
  all_busy: { status: 503, fix: 'Try again after Retry-After, or set queue.max above 0.' },
  upstream_failed: {
    status: 502,
    fix: 'See the log line of this request id for what the backends did.',
  },
  upstream_timeout: { status: 504, fix: 'Raise the limit that the message names.' },
  total_timeout: { status: 504, fix: 'Ask for less at once, or raise the timeout.' },
  poison: {
    status: 500,
    fix: 'This request ended two model runners; change it before sending it again.',
  },
  answer_cut: { status: 502, fix: 'Send the request again.' },
  repeat_guard: { status: 502, fix: 'Raise the temperature or the repeat penalty.' },
  origin_refused: { status: 403, fix: 'Allow the page with allowed_origins.' },
  host_refused: { status: 403, fix: 'Call by IP address, localhost, or a name in allowed_hosts.' },
  admin_only: {
    status: 403,
    fix: 'Call from this machine without forwarding headers, or send Authorization: Bearer CHASQUI_ADMIN_TOKEN.',
  },
  not_found: { status: 404, fix: 'See the README for the routes that there are.' },
  method_not_allowed: { status: 405, fix: 'Use the method that the Allow header names.' },
  backend_unknown: { status: 404, fix: 'See GET /queue-status for the names.' },
  decision_unknown: {
    status: 404,
    fix: 'The last 1000 decisions and the last 1000 refusals are kept; answers name their request in X-Request-Id.',
  },
  join_closed: {
    status: 403,
    fix: 'Set join.token at the proxy (CHASQUI_JOIN_TOKEN), and give the agent the same.',
  },
  join_forged: {
    status: 401,
    fix: 'Give the agent the token of the proxy (--token, CHASQUI_JOIN_TOKEN), and let both clocks be right.',
  },
  address_refused: {
    status: 403,
    fix: 'Let the agent give an address that the proxy may call (--advertise), or allow this one with join.allow_addresses.',
  },
  name_taken: { status: 409, fix: 'Give the agent another name with --name.' },
  member_rejected: { status: 403, fix: 'Accept it at the proxy: chasqui backend accept NAME' },
  agent_unreachable: {
    status: 502,
    fix: 'Let the proxy reach the agent: its --listen address, its --advertise URL, the firewall between them.',
  },
  members_full: { status: 429, fix: 'Reject some (chasqui backend list), or raise join.max.' },
  worker_unknown: { status: 404, fix: 'See GET /api/workers for the names; an agent joins anew.' },
  not_managed: {
    status: 409,
    fix: 'Start the agent there with --manage, or restart Ollama on its machine: systemctl restart ollama',
  },
  part_too_large: {
    status: 400,
    fix: 'Cut finer with a smaller "split.size", or use a model with a larger context.',
  },
  input_not_text: { status: 400, fix: 'Send text in UTF-8.' },
  part_failed: {
    status: 502,
    fix: 'Send the request again, or set "on_error" to "partial" for what there is.',
  },
  cannot_combine: {
    status: 502,
    fix: 'Ask for the form in the instruction, or combine with "concat".',
  },
  config_invalid: {
    status: 422,
    fix: 'Mend what the problems name; until then the configuration before it is in force.',
  },
  optimizing: { status: 409, fix: 'Try again when it is done.' },
  loop: { status: 508, fix: 'Take this proxy out of its own list of backends.' },
  drained: {
    status: 503,
    fix: 'Ask elsewhere: the operator lets this server take no new requests for now.',
  },
  stopping: { status: 503, fix: 'Try again in a moment: the proxy is being restarted.' },
  internal: { status: 500, fix: 'Report the request id.' },
} as const satisfies Record<string, { status: number; fix: string }>

export type FailureCode = keyof typeof failures

export class Failure extends Error {
  readonly code: FailureCode
  readonly status: number
  readonly fix: string
  /** Seconds after which another try makes sense. */
  readonly retryAfterS: number | undefined

  constructor(
    code: FailureCode,
    sentence: string,
    more: { retryAfterS?: number; cause?: unknown } = {},
  ) {
    super(sentence, more.cause === undefined ? undefined : { cause: more.cause })
    this.name = 'Failure'
    this.code = code
    this.status = failures[code].status
    this.fix = failures[code].fix
    this.retryAfterS = more.retryAfterS
  }
}
