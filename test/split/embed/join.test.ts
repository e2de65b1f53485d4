import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Simulator, startSimulator } from '../../../backends/simulator/server.ts'
import {
  type EmbedPath,
  joinParts,
  type PartAnswer,
  readPart,
} from '../../../src/split/embed/join.ts'
import { partBody, readInput } from '../../../src/split/embed/read.ts'
import { answerBody } from './help.ts'

const read = (path: EmbedPath, body: string | Buffer, items: number) =>
  readPart(path, Buffer.from(body), items)
const parts = (path: EmbedPath, bodies: readonly [string | Buffer, number][]) =>
  bodies.map(([body, items]) => {
    const part = read(path, body, items)
    if (typeof part === 'string') throw new Error(part)
    return part
  })
const joined = (path: EmbedPath, all: readonly PartAnswer[], wallNs = 1_000) =>
  Buffer.concat(joinParts(path, all, wallNs).body).toString('utf8')

describe('answers of /api/embed', () => {
  it('are put end to end with the texts of their numbers as they came', () => {
    const all = parts('/api/embed', [
      [
        '{"model":"m","embeddings":[[1.0,-0.50e-3],[1E2,0]],"total_duration":9,"load_duration":5,"prompt_eval_count":3}',
        2,
      ],
      [
        '{"model":"m","embeddings":[ [0.10,2] ],"total_duration":8,"load_duration":7,"prompt_eval_count":4}',
        1,
      ],
    ])
    expect(joined('/api/embed', all, 1_234.4)).toBe(
      '{"model":"m","embeddings":[[1.0,-0.50e-3],[1E2,0],[0.10,2]],"total_duration":1234,"load_duration":7,"prompt_eval_count":7}',
    )
  })

  it('leave out what none of them says, and say what only a later one says', () => {
    const bare = '{"model":"m","embeddings":[[1]]}'
    const full = '{"model":"m","embeddings":[[2]],"total_duration":4,"prompt_eval_count":4}\n'
    expect(
      joined(
        '/api/embed',
        parts('/api/embed', [
          [bare, 1],
          [bare, 1],
        ]),
      ),
    ).toBe('{"model":"m","embeddings":[[1],[1]]}')
    expect(
      joined(
        '/api/embed',
        parts('/api/embed', [
          [bare, 1],
          [full, 1],
        ]),
      ),
    ).toBe('{"model":"m","embeddings":[[1],[2]],"total_duration":1000,"prompt_eval_count":4}')
  })
})

describe('answers of /v1/embeddings', () => {
  it('are numbered anew, whether vectors are numbers or base64', () => {
    const part = (vector: string, tokens: number) =>
      `{"object":"list","data":[{"object":"embedding","embedding":${vector},"index":0}],"model":"m","usage":{"prompt_tokens":${tokens},"total_tokens":${tokens}}}\n`
    const all = parts('/v1/embeddings', [
      [part('[0.10]', 2), 1],
      [part('"AACAP+w="', 3), 1],
    ])
    expect(joined('/v1/embeddings', all)).toBe(
      '{"object":"list","data":[{"object":"embedding","embedding":[0.10],"index":0},{"object":"embedding","embedding":"AACAP+w=","index":1}],"model":"m","usage":{"prompt_tokens":5,"total_tokens":5}}\n',
    )
  })

  it('are taken by their numbers, not by their places', () => {
    const swapped =
      '{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":1}}'
    const [part] = parts('/v1/embeddings', [[swapped, 2]])
    expect(JSON.parse(joined('/v1/embeddings', [part!, part!])).data).toEqual([
      { index: 0, embedding: [1] },
      { index: 1, embedding: [2] },
      { index: 2, embedding: [1] },
      { index: 3, embedding: [2] },
    ])
  })
})

describe('an answer that is none', () => {
  it.each<[string, EmbedPath, string, number]>([
    ['too few vectors', '/api/embed', '{"embeddings":[[1]]}', 2],
    ['too many vectors', '/api/embed', '{"embeddings":[[1],[2],[3]]}', 2],
    ['no list', '/api/embed', '{"model":"m"}', 1],
    ['a null for a list', '/api/embed', '{"embeddings":null}', 1],
    ['a null for a vector', '/api/embed', '{"embeddings":[[1],null]}', 2],
    ['two lists', '/api/embed', '{"embeddings":[[1]],"embeddings":[[1]]}', 1],
    ['an end in the middle', '/api/embed', '{"embeddings":[[1],[2', 2],
    ['more behind it', '/api/embed', '{"embeddings":[[1]]}{"error":"x"}', 1],
    ['an error', '/api/embed', '{"error":"x"}', 1],
    [
      'a number twice',
      '/v1/embeddings',
      '{"data":[{"embedding":[1],"index":0},{"embedding":[1],"index":0}]}',
      2,
    ],
    ['a number too high', '/v1/embeddings', '{"data":[{"embedding":[1],"index":1}]}', 1],
    ['no number', '/v1/embeddings', '{"data":[{"embedding":[1]}]}', 1],
    ['no vector', '/v1/embeddings', '{"data":[{"index":0}]}', 1],
  ])('has %s', (_, path, body, items) => {
    expect(typeof read(path, body, items)).toBe('string')
  })
})

describe('parts of a batch, asked of a server', () => {
  let simulator: Simulator
  beforeAll(async () => {
    simulator = await startSimulator({ models: ['all-minilm'], prefillTokensPerSecond: 1e7 })
  })
  afterAll(() => simulator.close())

  async function asked(path: EmbedPath, body: Buffer): Promise<Buffer> {
    const answer = await fetch(simulator.url + path, { method: 'POST', body: new Uint8Array(body) })
    expect(answer.status).toBe(200)
    return Buffer.from(await answer.arrayBuffer())
  }
  /** Durations differ from one request to the next, and nothing else may. */
  const timeless = (body: Buffer) =>
    body.toString('utf8').replace(/"(total|load)_duration":\d+/g, '"$1_duration":0')

  it.each<[EmbedPath, object]>([
    ['/api/embed', {}],
    ['/api/embed', { dimensions: 7, options: { num_ctx: 256 } }],
    ['/v1/embeddings', {}],
    ['/v1/embeddings', { encoding_format: 'base64' }],
  ])('join to what it says to the whole: %s %j', async (path, more) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), {
          minLength: 2,
          maxLength: 20,
        }),
        fc.array(fc.nat(), { maxLength: 5 }),
        async (input, cuts) => {
          const body = Buffer.from(JSON.stringify({ model: 'all-minilm', input, ...more }))
          const items = readInput(body)!
          const edges = [...new Set([0, ...cuts.map((cut) => cut % input.length), input.length])]
          edges.sort((one, other) => one - other)
          const all: PartAnswer[] = []
          for (const [index, to] of edges.slice(1).entries()) {
            const from = edges[index]!
            const part = readPart(path, await asked(path, partBody(items, from, to)), to - from)
            if (typeof part === 'string') throw new Error(part)
            all.push(part)
          }
          const whole = await asked(path, body)
          const { body: pieces, sums } = joinParts(path, all, 5)
          expect(timeless(Buffer.concat(pieces))).toBe(timeless(whole))
          const said = JSON.parse(whole.toString('utf8'))
          expect(sums.promptTokens).toBe(said.prompt_eval_count ?? said.usage.prompt_tokens)
        },
      ),
      { numRuns: 25 },
    )
  })
})

describe('any cut of any batch', () => {
  it('joins to the same bytes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 12 }), { minLength: 1, maxLength: 40 }),
        fc.array(fc.nat(), { maxLength: 8 }),
        fc.constantFrom<EmbedPath>('/api/embed', '/v1/embeddings'),
        (input, cuts, path) => {
          const edges = [...new Set([0, ...cuts.map((cut) => cut % input.length), input.length])]
          edges.sort((one, other) => one - other)
          const all = edges.slice(1).map((to, index) => {
            const some = input.slice(edges[index]!, to)
            return read(path, answerBody(path, some, 'a'), some.length) as PartAnswer
          })
          expect(joined(path, all, 1e6 + 7)).toBe(answerBody(path, input, 'a').toString('utf8'))
        },
      ),
    )
  })
})
