/** Keys of the outer object whose raw text is kept: what routing reads. */
const textKeys = [
  'model',
  'name',
  'stream',
  'keep_alive',
  'options',
  'think',
  'shift',
  'source',
  'destination',
  'from',
  'files',
  'adapters',
  'raw',
  'insecure',
  'max_tokens',
] as const

/** Keys of which only the kind of value matters, and whether it is empty. */
const kindKeys = [
  'prompt',
  'messages',
  'input',
  'tools',
  'images',
  'suffix',
  'format',
  'system',
  'context',
  'stream_options',
] as const

/** Keys inside, which tell pictures and sound from text. */
const innerKeys = ['image_url', 'input_audio', 'data', 'file_data', 'arguments'] as const

export type ScanKey =
  | (typeof textKeys)[number]
  | (typeof kindKeys)[number]
  | (typeof innerKeys)[number]

export const wantedText: ReadonlySet<ScanKey> = new Set<ScanKey>(textKeys)

const byFolded = new Map<string, ScanKey>(
  [...textKeys, ...kindKeys, ...innerKeys].map((key) => [key, key]),
)

/** No key that we know is longer, even written in `\u` escapes throughout. */
export const keyBytesMax = 128

/** First byte and length of every known key: what is not in here need not be made into a string. */
const beginnings = new Set(
  [...byFolded.keys()].map((key) => beginning(key.charCodeAt(0), key.length)),
)

function beginning(byte: number, length: number): number {
  return byte * 256 + length
}

/**
 * A known key in any spelling that Go takes for it: `MODEL`, `\u006dodel`, and the two letters outside ASCII that fold
 * onto ASCII ones, the long s and the Kelvin sign. Source: Go encoding/json/fold.go.
 */
export function readKey(bytes: Buffer, from: number, to: number): ScanKey | undefined {
  if (to - from > keyBytesMax) return undefined
  if (!isPlain(bytes, from, to)) return byFolded.get(folded(bytes.toString('utf8', from, to)))
  if (!beginnings.has(beginning(bytes[from] ?? 0, to - from))) return undefined
  return byFolded.get(bytes.toString('latin1', from, to))
}

/** True when there is nothing to fold and nothing to decode, as in almost every key. */
function isPlain(bytes: Uint8Array, from: number, to: number): boolean {
  for (let index = from; index < to; index++) {
    const byte = bytes[index]!
    if (byte >= 0x80 || byte === 0x5c || (byte >= 0x41 && byte <= 0x5a)) return false
  }
  return true
}

function folded(raw: string): string {
  let text = raw
  if (raw.includes('\\')) {
    try {
      text = String(JSON.parse(`"${raw}"`))
    } catch {
      return ''
    }
  }
  return text
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase())
    .replaceAll('\u017f', 's')
    .replaceAll('\u212a', 'k')
}

const media = 1
const audio = 2
/** Strings here are text whatever their keys are called: schemas and arguments of tools have a field `images` too. */
const plain = 4
/** Directly below `source` or `input_audio`, `data` is a picture or a sound. */
const holder = 8
/** Neither text nor surely media: a `data` elsewhere may be base64. */
const silent = 16

/** What the keys on the way to a string say of it, as bits that pass down from bracket to bracket. */
export const marks = {
  media,
  audio,
  silent,
  plain,
  /** Keys whose value Go can only take as a string. */
  textOnly: new Set<ScanKey>([
    'model',
    'name',
    'source',
    'destination',
    'from',
  ]) as ReadonlySet<ScanKey>,

  ofOuter(key: ScanKey | undefined): number {
    if (key === 'messages' || key === 'input') return 0
    return key === 'images' ? media : plain
  },

  ofInner(key: ScanKey | undefined, around: number): number {
    if ((around & plain) !== 0) return around
    const inherited = around & ~holder
    switch (key) {
      case 'images':
      case 'image_url':
      case 'file_data':
        return inherited | media
      case 'input_audio':
        return inherited | media | audio
      case 'source':
        return inherited | holder
      case 'data':
        return inherited | ((around & holder) !== 0 ? media : silent)
      case 'arguments':
      case 'input':
        return (around & media) !== 0 ? inherited : plain
      default:
        return inherited
    }
  },
}
