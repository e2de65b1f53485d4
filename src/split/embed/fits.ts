import { isAscii } from 'node:buffer'
import { type InputItems, itemBytes } from './read.ts'

/** What a tokenizer may set around a text: marks of its beginning and end, a space in front. */
const marksMax = 4
/**
 * No tokenizer makes more tokens than this of a byte of a body: the worst character in compatibility decomposition,
 * U+FDFA, has 3 bytes and becomes 18 characters, and a token has at least one. Source: Unicode Standard Annex 15.
 */
const tokensPerByteMax = 6
/** Texts beyond ASCII that are decoded to be sure of them; a megabyte takes some 10 ms, and streams wait meanwhile. */
const decodedBytesMax = 1_048_576

/**
 * Whether every text surely has no more tokens than `contextTokens`, whatever the model's tokenizer is. A token covers
 * at least a byte of the text (byte-level and SentencePiece models), or at least a character of the text after its
 * compatibility decomposition (WordPiece and Unigram models); in ASCII the two are one and an escape only shortens.
 * So an ASCII text fits when its bytes do, and any other when the larger of those two counts does.
 */
export function allSurelyFit(items: InputItems, contextTokens: number): boolean {
  const roomTokens = contextTokens - marksMax
  let decodedBytes = 0
  for (let index = 0; index < items.count; index++) {
    const bytes = itemBytes(items, index)
    if (bytes * tokensPerByteMax <= roomTokens) continue
    const raw = items.body.subarray(items.starts[index], items.ends[index])
    if (isAscii(raw) && !raw.includes('\\u')) {
      if (bytes <= roomTokens) continue
      return false
    }
    // The longest escape has six bytes and stands for at least one of what is counted below.
    if (bytes > roomTokens * 6) return false
    decodedBytes += bytes
    if (decodedBytes > decodedBytesMax) return false
    const tokens = tokensAtMost(raw)
    if (tokens === undefined || tokens > roomTokens) return false
  }
  return true
}

/** Undefined for what is no JSON string after all. */
function tokensAtMost(raw: Buffer): number | undefined {
  let text: unknown
  try {
    text = JSON.parse(raw.toString('utf8'))
  } catch {
    return undefined
  }
  if (typeof text !== 'string') return undefined
  return Math.max(Buffer.byteLength(text), text.normalize('NFKD').length)
}
