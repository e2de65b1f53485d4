// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the configuration's own variables
import { describe, expect, it } from 'vitest'
import { problemsFrom, sentences, settingsFrom } from './help.ts'

const backends = (...lines: string[]) =>
  ['backends:', ...lines.map((line) => `  ${line}`)].join('\n')

describe('readConfig', () => {
  it('gives the defaults for an empty text, for a comment and for empty sections', () => {
    const settings = settingsFrom('')
    expect(settings.listen).toEqual({ host: '127.0.0.1', port: 11435 })
    expect(settings.queue).toEqual({
      waitingMax: 1000,
      waitingPerTenantMax: 0,
      waitMsMax: 600_000,
      priorityAcrossTenants: false,
      givesWay: true,
    })
    expect(settings.timeouts.firstByteMs).toBeUndefined()
    expect(settings.manage.pull).toEqual({ to: 'all' })
    expect(settingsFrom('# nothing yet\n')).toEqual(settings)
    expect(settingsFrom('probes:\n  # interval: 5s\nbackends:\nadmin_token:\n')).toEqual(settings)
  })

  it('reads a backend with everything', () => {
    const text = backends(
      '- url: https://example.test/gpu1/',
      '  name: den',
      '  slots: {"Llama3": 2, qwen3:8b: 1}',
      '  slots_total: 3',
      '  weight: 2.5',
      '  labels: fast',
      '  headers: {X-Key: abc}',
      '  memory: 24GiB',
      '  context: 8192',
    )
    expect(settingsFrom(text).backends).toEqual([
      {
        name: 'den',
        origin: 'https://example.test',
        pathPrefix: '/gpu1',
        slots: new Map([
          ['llama3:latest', 2],
          ['qwen3:8b', 1],
        ]),
        slotsTotal: 3,
        weight: 2.5,
        labels: ['fast'],
        headers: { 'x-key': 'abc' },
        memoryBytes: 24 * 2 ** 30,
        contextDefault: 8192,
        insecure: false,
      },
    ])
  })

  it('makes names of host and port, each once', () => {
    const text = backends(
      '- url: http://192.168.1.20:11434',
      '- url: http://[fd00::7]:80',
      '- url: https://Box.Example/a',
      '- {url: "https://box.example/b", name: box.example-443-b}',
      '- url: https://box.example/B',
    )
    expect(settingsFrom(text).backends.map(({ name }) => name)).toEqual([
      '192.168.1.20-11434',
      'fd00-7-80',
      'box.example-443-a',
      'box.example-443-b',
      'box.example-443-b-2',
    ])
  })

  it('makes a Basic login of the name and password in a URL', () => {
    const [backend] = settingsFrom(backends('- url: http://me:p%40ss@box:1234')).backends
    expect(backend?.origin).toBe('http://box:1234')
    expect(backend?.headers).toEqual({ authorization: `Basic ${btoa('me:p@ss')}` })
  })

  it('reads off, best:N, a share and a list of one', () => {
    const settings = settingsFrom(
      'timeouts: {idle: 1m30s, first_byte: off}\nmanage: {pull: best:3}\nretries: {budget_share: 0}\nallowed_origins: https://a.example\n',
    )
    expect(settings.timeouts).toMatchObject({ idleMs: 90_000, firstByteMs: undefined })
    expect(settings.manage.pull).toEqual({ to: 'best', count: 3 })
    expect(settings.retries.budgetShare).toBe(0)
    expect(settings.allowedOrigins).toEqual(['https://a.example'])
  })

  it('freezes what it gives', () => {
    const settings = settingsFrom(backends('- url: http://a:1'))
    expect(Object.isFrozen(settings)).toBe(true)
    expect(Object.isFrozen(settings.probes)).toBe(true)
    expect(Object.isFrozen(settings.backends[0])).toBe(true)
  })

  it('says everything that is wrong at once, in the order of the lines', () => {
    const text = [
      'listen: 127.0.0.1:99999',
      'probes: {intervall: 5s, timeout: 5}',
      'queue: {max: -1}',
      'backends:',
      '  - url: box:11434',
      '    slots: {m: 0, "a b": 1}',
      '  - name: Den',
      'routing: {picker: lest-busy}',
      'tenants: {trusted_from: [10.0.0.0/33, fd00::/8, 7]}',
    ].join('\n')
    expect(sentences(text)).toEqual([
      '1:9 listen has a port that is out of range: 0 to 65535',
      '2:10 probes.intervall is no known key',
      '2:34 probes.timeout must be a duration with a unit, such as 500ms, 2s or 1h30m, not 5',
      '3:14 queue.max must be a whole number from 0 to 100000, not -1',
      '5:10 backends[0].url must start with http:// or https://',
      '6:16 backends[0].slots.m must be a whole number from 1 to 10000, not 0',
      '6:19 backends[0].slots.a b is no model name',
      '7:5 backends[1].url is missing; it must be a URL such as http://192.168.1.20:11434',
      '7:11 backends[1].name must be a name of a-z, 0-9, - _ and . with up to 64 signs, not "Den"',
      '8:19 routing.picker must be one of expected-completion, least-busy, round-robin, weighted, capability, not "lest-busy"',
      '9:26 tenants.trusted_from[0] must be an address or a CIDR range, such as 10.0.0.0/8, not "10.0.0.0/33"',
      '9:49 tenants.trusted_from[1] must be an address or a CIDR range, such as 10.0.0.0/8, not 7'.replace(
        '[1]',
        '[2]',
      ),
    ])
  })

  it('says what may have been meant', () => {
    const text = 'queu: {}\nrouting: {picker: lest-busy}\nbackends: [{url: "box"}]\nlisten: 11435\n'
    expect(problemsFrom(text).map(({ hint }) => hint)).toEqual([
      'did you mean "queue"?',
      'did you mean "least-busy"?',
      'write "http://box:11434"',
      undefined,
    ])
    expect(problemsFrom('listen: "11435"')[0]?.hint).toContain('"127.0.0.1:11435"')
  })

  it.each([
    ['a bare number as a duration', 'probes: {interval: 5}'],
    ['a bare number as a size', 'limits: {body_max: 1024}'],
    ['a size without end', 'limits: {body_max: 1e9GiB}'],
    ['a duration of nothing', 'queue: {timeout: 0s}'],
    ['a duration that no timer holds', 'queue: {timeout: 25d}'],
    ['yes for true', 'forward_unknown: yes'],
    ['infinity', 'breaker: {share: .inf}'],
    ['no number', 'probes: {jitter: .nan}'],
    ['a fraction of requests', 'queue: {max: 1.5}'],
    ['another version', 'version: 2'],
    ['a list as the whole', '- listen'],
    ['a word as the whole', 'hello'],
    ['a section that is a word', 'queue: 5'],
    ['backends as a word', 'backends: http://box:11434'],
    ['a backend that is a word', 'backends: [http://box:11434]'],
    ['an empty backend', 'backends:\n  -\n'],
    ['a header of the connection', 'backends: [{url: "http://a:1", headers: {Host: x}}]'],
    ['one header in two spellings', 'backends: [{url: "http://a:1", headers: {a: x, A: y}}]'],
    ['a header of two lines', 'backends: [{url: "http://a:1", headers: {a: "x\\ny"}}]'],
    ['one model in two spellings', 'backends: [{url: "http://a:1", slots: {m: 1, "m:latest": 2}}]'],
    ['best of none', 'manage: {pull: best:0}'],
    ['the same key twice', 'queue: {max: 1}\nqueue: {max: 2}'],
    ['a merge key', 'probes: &p {fall: 2}\n<<: *p'],
    ['a tag', 'data: !!binary aGk='],
    ['two documents', 'listen: ":1"\n---\nlisten: ":2"'],
    ['half a file', 'backends:\n  - url: "http://box'],
    ['a tab', 'queue:\n\tmax: 5'],
    ['an alias of nothing', 'data: *x'],
  ])('refuses %s, once', (_, text) => {
    expect(problemsFrom(text)).toHaveLength(1)
  })

  it('points at the quote that is never closed, not at the end of the file', () => {
    expect(sentences('queue:\n  max: 5\nlisten: ":11435\nlog: {}\n')).toEqual([
      '3:9  the quote or bracket that opens here is not closed',
    ])
  })

  it('refuses a list in itself', () => {
    expect(sentences('allowed_hosts: &b [*b]')[0]).toContain('is too large or too deep')
  })

  it('bounds what aliases can blow a file up to', () => {
    const rows = Array.from({ length: 12 }, (_, row) => {
      const last = row === 0 ? '1' : `*a${row - 1}`
      return `a${row}: &a${row} [${Array.from({ length: 10 }, () => last).join(', ')}]`
    })
    expect(problemsFrom(rows.join('\n')).some(({ message }) => /too large/.test(message))).toBe(
      true,
    )
  })
})

describe('what one key says of another', () => {
  it('wants the probe timeout below the interval, and points at the one that was written', () => {
    expect(sentences('probes: {timeout: 2s}')).toEqual([
      '1:19 probes.timeout does not fit: probes.timeout must be below probes.interval',
    ])
    expect(sentences('probes:\n  interval: 1s')).toEqual([
      '2:13 probes.interval does not fit: probes.timeout must be below probes.interval',
    ])
  })

  it('wants names once and preferences that name a backend', () => {
    const text = [
      'backends:',
      '  - {url: "http://a:1", name: walnut}',
      '  - {url: "http://b:1", name: walnut}',
      'routing: {preferences: {code: [walnut, wallnut]}}',
    ].join('\n')
    expect(sentences(text)).toEqual([
      '3:31 backends[1].name is also the name of backends[0]',
      '4:40 routing.preferences.code[1] names "wallnut", which is no backend',
    ])
    expect(problemsFrom(text)[1]?.hint).toBe('did you mean "walnut"?')
  })

  it.each([
    ['http://localhost:80', 'http://127.0.0.1'],
    ['https://box:443/a/', 'https://BOX/a'],
    ['http://u:p@box:1', 'http://box.:1'],
  ])('knows %s and %s as one server', (one, two) => {
    const text = `backends:\n  - url: ${one}\n  - url: ${two}\n`
    expect(sentences(text)).toEqual(['3:10 backends[1].url is the same server as backends[0]'])
  })

  it('takes the same host with another port or path for another server', () => {
    const text = 'backends: [{url: "http://a:1"}, {url: "http://a:2"}, {url: "http://a:1/x"}]'
    expect(settingsFrom(text).backends).toHaveLength(3)
  })

  it('does not take itself for a backend', () => {
    expect(sentences('backends: [{url: "http://localhost:11435"}]')).toEqual([
      '1:18 backends[0].url is where this proxy itself listens',
    ])
    expect(sentences('listen: ":7"\nbackends: [{url: "http://127.0.0.9:7"}]')).toHaveLength(1)
    expect(sentences('listen: "127.0.0.1:0"\nbackends: [{url: "http://127.0.0.1:11435"}]')).toEqual(
      [],
    )
  })
})

describe('${NAME}', () => {
  it('fills texts, numbers and switches', () => {
    const text =
      'queue: {max: "${MAX}"}\nforward_unknown: ${ON}\ndata: /tmp/${WHO:-nobody}/$${x}\nbackends: [{url: "http://${H}:1", slots: "${S}"}]'
    const settings = settingsFrom(text, { MAX: '7', ON: 'true', H: 'box', S: '3' })
    expect(settings.queue.waitingMax).toBe(7)
    expect(settings.forwardUnknown).toBe(true)
    expect(settings.dataDir).toBe('/tmp/nobody/${x}')
    expect(settings.backends[0]).toMatchObject({ origin: 'http://box:1', slots: 3 })
  })

  it('takes the default for an empty variable, and nothing at all for left out', () => {
    expect(settingsFrom('data: /${A:-b}', { A: '' }).dataDir).toBe('/b')
    expect(settingsFrom('admin_token: ${A:-}').adminToken).toBeUndefined()
  })

  it('names a variable that is not set, and never says what one holds', () => {
    expect(sentences('queue: {timeout: "${T}", max: "${M}"}', { M: 'hush' })).toEqual([
      '1:18 queue.timeout needs the variable T, which is not set',
      '1:31 queue.max must be a whole number from 0 to 100000, not what M says',
    ])
  })

  it('complains of a ${ that is nothing', () => {
    expect(sentences('data: ${A')[0]).toContain('starts no ${NAME}')
    expect(sentences('data: "${1A}"')[0]).toContain('starts no ${NAME}')
  })
})
