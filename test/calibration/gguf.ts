/**
 * Writes a tiny hand-made GGUF: a two-layer llama with random weights and a SentencePiece vocabulary of
 * 512 entries with all 256 byte tokens. It says nothing sensible, but a real Ollama accepts, stores, loads and
 * runs it, which is all that a calibration of protocol behaviour needs. About 0.6 MB.
 */

export interface TinyModel {
  /** Different seeds give different weights, hence different digests. */
  seed: number
  /** Sets `llama.pooling_type`, which makes Ollama treat the file as an embedding model. */
  embedding?: boolean
  /** A Jinja template inside the file. */
  chatTemplate?: string
  contextLength?: number
}

const EMBEDDING = 64
const LAYERS = 2
const HEADS = 4
const FEED_FORWARD = 192
const VOCABULARY = 512
const ALIGNMENT = 32

type Value =
  | { type: 'u32'; value: number }
  | { type: 'f32'; value: number }
  | { type: 'bool'; value: boolean }
  | { type: 'string'; value: string }
  | { type: 'strings'; value: readonly string[] }
  | { type: 'f32s'; value: readonly number[] }
  | { type: 'i32s'; value: readonly number[] }

type Entry = [key: string, value: Value]

/** GGUF's own numbers for value types. */
const TYPE = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const

class Writer {
  private readonly parts: Buffer[] = []
  length = 0

  bytes(part: Buffer): void {
    this.parts.push(part)
    this.length += part.length
  }

  u32(value: number): void {
    const part = Buffer.alloc(4)
    part.writeUInt32LE(value)
    this.bytes(part)
  }

  u64(value: number): void {
    const part = Buffer.alloc(8)
    part.writeBigUInt64LE(BigInt(value))
    this.bytes(part)
  }

  string(value: string): void {
    const text = Buffer.from(value, 'utf8')
    this.u64(text.length)
    this.bytes(text)
  }

  pad(): void {
    const rest = this.length % ALIGNMENT
    if (rest > 0) this.bytes(Buffer.alloc(ALIGNMENT - rest))
  }

  value(value: Value): void {
    switch (value.type) {
      case 'u32':
        this.u32(TYPE.u32)
        this.u32(value.value)
        return
      case 'f32': {
        this.u32(TYPE.f32)
        this.bytes(Buffer.from(new Float32Array([value.value]).buffer))
        return
      }
      case 'bool':
        this.u32(TYPE.bool)
        this.bytes(Buffer.from([value.value ? 1 : 0]))
        return
      case 'string':
        this.u32(TYPE.string)
        this.string(value.value)
        return
      case 'strings':
        this.array(TYPE.string, value.value.length)
        for (const text of value.value) this.string(text)
        return
      case 'f32s':
        this.array(TYPE.f32, value.value.length)
        this.bytes(Buffer.from(new Float32Array(value.value).buffer))
        return
      case 'i32s':
        this.array(TYPE.i32, value.value.length)
        this.bytes(Buffer.from(new Int32Array(value.value).buffer))
        return
    }
  }

  private array(type: number, length: number): void {
    this.u32(TYPE.array)
    this.u32(type)
    this.u64(length)
  }

  done(): Buffer {
    return Buffer.concat(this.parts)
  }
}

/** A small deterministic generator (mulberry32) turned into roughly normal numbers. */
function noise(seed: number): () => number {
  let state = (seed * 0x9e3779b9) >>> 0
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  return () => (uniform() + uniform() + uniform() + uniform() - 2) * 1.73
}

interface Vocabulary {
  tokens: string[]
  scores: number[]
  types: number[]
}

/** Index of the first token that is a word; everything before is special or a byte. */
const FIRST_WORD = 3 + 256

function vocabulary(): Vocabulary {
  const tokens = ['<unk>', '<s>', '</s>']
  const types = [2, 3, 3]
  for (let byte = 0; byte < 256; byte++) {
    tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
    types.push(6)
  }
  tokens.push('▁')
  types.push(1)
  for (let code = 32 + 1; code < 127; code++) {
    tokens.push(String.fromCharCode(code))
    types.push(1)
  }
  for (const start of 'bdklmnprst') {
    for (const vowel of 'aeiou') {
      for (const end of ['', 'n', 'r', 's']) {
        if (tokens.length === VOCABULARY) break
        tokens.push(`▁${start}${vowel}${end}`)
        types.push(1)
      }
    }
  }
  if (tokens.length !== VOCABULARY) throw new Error(`vocabulary has ${tokens.length} entries`)
  const scores = tokens.map((_, index) => (index < FIRST_WORD ? 0 : FIRST_WORD - index))
  return { tokens, scores, types }
}

interface Tensor {
  name: string
  shape: number[]
  data: Float32Array
}

function tensors(seed: number): Tensor[] {
  const next = noise(seed)
  const random = (name: string, shape: number[], scale: number): Tensor => ({
    name,
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => next() * scale),
  })
  const ones = (name: string): Tensor => ({
    name,
    shape: [EMBEDDING],
    data: new Float32Array(EMBEDDING).fill(1),
  })
  const output = random('output.weight', [EMBEDDING, VOCABULARY], 1 / 8)
  // Rows of zeros for special and byte tokens: with top_k 40 of some 250 words they are never sampled, so the noise
  // is printable and no end-of-text comes before the limit.
  output.data.fill(0, 0, FIRST_WORD * EMBEDDING)
  const list = [
    random('token_embd.weight', [EMBEDDING, VOCABULARY], 1),
    ones('output_norm.weight'),
    output,
  ]
  for (let layer = 0; layer < LAYERS; layer++) {
    const block = `blk.${layer}`
    list.push(
      ones(`${block}.attn_norm.weight`),
      random(`${block}.attn_q.weight`, [EMBEDDING, EMBEDDING], 1 / 8),
      random(`${block}.attn_k.weight`, [EMBEDDING, EMBEDDING], 1 / 8),
      random(`${block}.attn_v.weight`, [EMBEDDING, EMBEDDING], 1 / 8),
      random(`${block}.attn_output.weight`, [EMBEDDING, EMBEDDING], 1 / 8),
      ones(`${block}.ffn_norm.weight`),
      random(`${block}.ffn_gate.weight`, [EMBEDDING, FEED_FORWARD], 1 / 8),
      random(`${block}.ffn_up.weight`, [EMBEDDING, FEED_FORWARD], 1 / 8),
      random(`${block}.ffn_down.weight`, [FEED_FORWARD, EMBEDDING], 1 / 14),
    )
  }
  return list
}

export function tinyGguf(model: TinyModel): Buffer {
  const words = vocabulary()
  const metadata: Entry[] = [
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['general.name', { type: 'string', value: `tiny ${model.seed}` }],
    ['general.file_type', { type: 'u32', value: 1 }],
    ['llama.context_length', { type: 'u32', value: model.contextLength ?? 8192 }],
    ['llama.embedding_length', { type: 'u32', value: EMBEDDING }],
    ['llama.block_count', { type: 'u32', value: LAYERS }],
    ['llama.feed_forward_length', { type: 'u32', value: FEED_FORWARD }],
    ['llama.attention.head_count', { type: 'u32', value: HEADS }],
    ['llama.attention.head_count_kv', { type: 'u32', value: HEADS }],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'f32', value: 1e-5 }],
    ['llama.rope.dimension_count', { type: 'u32', value: EMBEDDING / HEADS }],
    ['llama.rope.freq_base', { type: 'f32', value: 10000 }],
    ['llama.vocab_size', { type: 'u32', value: VOCABULARY }],
    // Before the tokenizer: /api/tags reads no further than that.
    ...(model.embedding ? [['llama.pooling_type', { type: 'u32', value: 1 }] as Entry] : []),
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.tokens', { type: 'strings', value: words.tokens }],
    ['tokenizer.ggml.scores', { type: 'f32s', value: words.scores }],
    ['tokenizer.ggml.token_type', { type: 'i32s', value: words.types }],
    ['tokenizer.ggml.unknown_token_id', { type: 'u32', value: 0 }],
    ['tokenizer.ggml.bos_token_id', { type: 'u32', value: 1 }],
    ['tokenizer.ggml.eos_token_id', { type: 'u32', value: 2 }],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
  ]
  if (model.chatTemplate !== undefined) {
    metadata.push(['tokenizer.chat_template', { type: 'string', value: model.chatTemplate }])
  }

  const list = tensors(model.seed)
  const out = new Writer()
  out.bytes(Buffer.from('GGUF', 'latin1'))
  out.u32(3)
  out.u64(list.length)
  out.u64(metadata.length)
  for (const [key, value] of metadata) {
    out.string(key)
    out.value(value)
  }
  let offset = 0
  for (const tensor of list) {
    out.string(tensor.name)
    out.u32(tensor.shape.length)
    for (const size of tensor.shape) out.u64(size)
    out.u32(0)
    out.u64(offset)
    offset += Math.ceil((tensor.data.length * 4) / ALIGNMENT) * ALIGNMENT
  }
  out.pad()
  for (const tensor of list) {
    out.bytes(Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength))
    out.pad()
  }
  return out.done()
}
