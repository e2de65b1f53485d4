import type { ScanResult } from './scan.ts'

const fieldBytesMax = 4_096
const headBytesMax = 16_384

/**
 * Finds the `model` field of a multipart form while its bytes arrive; it may stand behind the file. The first field of
 * that name counts, as in Go's FormValue. What it finds has the shape of a scanned JSON body, so that one reader
 * serves both. Source: Ollama middleware/openai.go, TranscriptionMiddleware; RFC 7578.
 */
export class MultipartScanner {
  readonly #delimiter: Buffer | undefined
  /** Bytes seen but not decided about; never more than a delimiter, a part's head, or a short field. */
  #held: Buffer = Buffer.from('\r\n')
  #at: 'skipping' | 'head' | 'model' | 'done' = 'skipping'
  #model: string | undefined
  #fault = ''

  constructor(contentType: string | undefined) {
    const boundary = boundaryOf(contentType ?? '')
    this.#delimiter = boundary === undefined ? undefined : Buffer.from(`\r\n--${boundary}`)
    if (boundary === undefined) {
      this.#at = 'done'
      this.#fault = isForm(contentType ?? '')
        ? 'no multipart boundary param in Content-Type'
        : "request Content-Type isn't multipart/form-data"
    }
  }

  get settled(): boolean {
    return this.#at === 'done'
  }

  feed(chunk: Uint8Array): void {
    if (this.#delimiter === undefined || this.#at === 'done') return
    let bytes: Buffer = Buffer.concat([this.#held, chunk])
    while (true) {
      const rest = this.#step(bytes, this.#delimiter)
      if (rest === undefined) return
      bytes = rest
    }
  }

  end(): ScanResult {
    if (this.#fault !== '')
      return {
        ok: false,
        problem: 'syntax',
        text: `failed to parse multipart form: ${this.#fault}`,
      }
    const text = this.#model === undefined ? undefined : JSON.stringify(this.#model)
    const value = { kind: 'string', empty: false, tooLong: false, thenNull: false } as const
    return {
      ok: true,
      // A form's field is no JSON text that could be exchanged, so no place is given.
      values: new Map(text === undefined ? [] : [['model', { ...value, text, from: 0, to: 0 }]]),
      mistyped: new Map(),
      textBytes: 0,
      media: true,
      audio: true,
    }
  }

  /** Handles what it can; gives the bytes that are left, or undefined when more must arrive. */
  #step(bytes: Buffer, delimiter: Buffer): Buffer | undefined {
    if (this.#at === 'skipping') {
      const found = bytes.indexOf(delimiter)
      if (found < 0)
        return this.#hold(bytes.subarray(Math.max(0, bytes.length - delimiter.length + 1)))
      this.#at = 'head'
      return bytes.subarray(found + delimiter.length)
    }
    if (this.#at === 'head') {
      if (bytes.length >= 2 && bytes[0] === 0x2d && bytes[1] === 0x2d) return this.#finish()
      const end = bytes.indexOf('\r\n\r\n')
      if (end < 0) return bytes.length > headBytesMax ? this.#finish() : this.#hold(bytes)
      this.#at = isModelField(bytes.toString('latin1', 0, end)) ? 'model' : 'skipping'
      // The line end before the body may be the beginning of the next delimiter, when the body is empty.
      return bytes.subarray(end + 2)
    }
    const found = bytes.indexOf(delimiter)
    if (found < 0) return bytes.length > fieldBytesMax ? this.#finish() : this.#hold(bytes)
    this.#model = bytes.toString('utf8', Math.min(2, found), found)
    return this.#finish()
  }

  #hold(bytes: Buffer): undefined {
    // A copy: a view would keep the whole chunk alive.
    this.#held = Buffer.from(bytes)
    return undefined
  }

  #finish(): undefined {
    this.#at = 'done'
    this.#held = Buffer.alloc(0)
    return undefined
  }
}

const isForm = (contentType: string) =>
  /^\s*multipart\/(form-data|mixed)\s*(;|$)/i.test(contentType)

function boundaryOf(contentType: string): string | undefined {
  if (!isForm(contentType)) return undefined
  const found = /;\s*boundary=(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))/i.exec(contentType)
  const boundary = found?.[1]?.replace(/\\(.)/g, '$1') ?? found?.[2]
  // RFC 2046 allows 70; a few clients write more.
  return boundary === undefined || boundary === '' || boundary.length > 200 ? undefined : boundary
}

function isModelField(head: string): boolean {
  const line = /(?:^|\r\n)content-disposition:([^\r]*)/i.exec(head)?.[1] ?? ''
  const name = /;\s*name=(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))/i.exec(line)
  return (name?.[1] ?? name?.[2]) === 'model' && !/;\s*filename\*?=/i.test(line)
}
