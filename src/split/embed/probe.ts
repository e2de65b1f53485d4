import { createHash } from 'node:crypto'

/** The numbers of one machine for the probe's texts. */
export interface ProbeNumbers {
  /** Two machines with one fingerprint wrote the same numbers, byte for byte. */
  readonly fingerprint: string
  readonly vectors: readonly Float64Array[]
  /** Of one vector as it is written. */
  readonly bytesPerVector: number
  /** What the machine says it took, without loading the model; undefined when it does not say. */
  readonly computedMs: number | undefined
}

/**
 * What machines are compared by: prose, code, other scripts and a longer text, as kernels differ by length as well.
 */
export const probeTexts: readonly string[] = [
  'A messenger ties a knot for every village on the road.',
  'for (let i = 0; i < 12; i++) { total += rows[i].price * 1.21 } // {"a": [0.5, -3]}',
  'Über die Brücke, señal tras señal; 天空是蓝色的, дорога в горах, שלום 🌄.',
  `${'Rain falls on the terraces, and the river below carries it to the sea. '.repeat(12)}End.`,
]

export const probeBytes = probeTexts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)

export function probeBody(model: string): Buffer {
  return Buffer.from(JSON.stringify({ model, input: probeTexts }))
}

/** Reads an answer of `/api/embed`; undefined when it has no usable vector for each text. */
export function readProbe(body: Buffer): ProbeNumbers | undefined {
  const text = body.toString('utf8')
  let answer: { embeddings?: unknown; total_duration?: unknown; load_duration?: unknown }
  try {
    answer = JSON.parse(text)
  } catch {
    return undefined
  }
  const { embeddings, total_duration: totalNs, load_duration: loadNs } = answer ?? {}
  if (!Array.isArray(embeddings) || embeddings.length !== probeTexts.length) return undefined
  const length = Array.isArray(embeddings[0]) ? embeddings[0].length : 0
  const isVector = (value: unknown) =>
    Array.isArray(value) && value.length === length && value.every((one) => Number.isFinite(one))
  if (length === 0 || !embeddings.every(isVector)) return undefined
  // The texts of the numbers, not their values: what a client would see must be the same.
  const from = text.indexOf('[', text.indexOf('"embeddings"'))
  const numbers = text.slice(from, text.lastIndexOf(']') + 1)
  return {
    fingerprint: createHash('sha256').update(numbers).digest('hex'),
    vectors: embeddings.map((vector: number[]) => Float64Array.from(vector)),
    bytesPerVector: Math.ceil(numbers.length / probeTexts.length),
    computedMs:
      typeof totalNs === 'number' && typeof loadNs === 'number'
        ? Math.max(0, totalNs - loadNs) / 1e6
        : undefined,
  }
}

/** The smallest cosine of any pair of vectors for one text; 0 when they are not comparable. */
export function leastCosine(one: ProbeNumbers, other: ProbeNumbers): number {
  let least = 1
  for (const [index, vector] of one.vectors.entries())
    least = Math.min(least, cosine(vector, other.vectors[index]))
  return least
}

function cosine(one: Float64Array, other: Float64Array | undefined): number {
  if (other?.length !== one.length) return 0
  let dot = 0
  let ones = 0
  let others = 0
  for (let index = 0; index < one.length; index++) {
    dot += one[index]! * other[index]!
    ones += one[index]! ** 2
    others += other[index]! ** 2
  }
  return ones === 0 || others === 0 ? 0 : dot / Math.sqrt(ones * others)
}
