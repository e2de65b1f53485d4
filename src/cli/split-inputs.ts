import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { type SplitFailure, wrongUsage } from './split-failure.ts'
import { oneLine } from './split-words.ts'

/** A text that is to be split. */
export interface SplitInput {
  /** As it was named, for headings: `stdin` for what is piped. */
  readonly name: string
  /** Undefined for what is piped. */
  readonly path: string | undefined
  readonly bytes: number
  readonly text: string
}

/** Of all texts together. As JSON, a text of twice this is about the longest string that there can be. */
const inputBytesMax = 256 * 1_048_576

/** Every input, read and looked at before anything is sent. Throws a SplitFailure. */
export async function readInputs(
  names: readonly string[],
  stdin: NodeJS.ReadStream,
): Promise<SplitInput[]> {
  const wanted = names.length === 0 ? ['-'] : names
  if (names.length === 0 && stdin.isTTY)
    throw wrongUsage('no file was named', 'Name files, or pipe a text into it.')
  if (wanted.filter((name) => name === '-').length > 1)
    throw wrongUsage('"-" stands for what is piped in, which can be read only once')
  const inputs: SplitInput[] = []
  let room = inputBytesMax
  for (const name of wanted) {
    const input = name === '-' ? await readPiped(stdin, room) : await readNamed(name, room)
    room -= input.bytes
    inputs.push(input)
  }
  return inputs
}

async function readPiped(stdin: NodeJS.ReadStream, room: number): Promise<SplitInput> {
  const bytes = await readAll('stdin', stdin, room)
  return { name: 'stdin', path: undefined, bytes: bytes.length, text: textOf('stdin', bytes) }
}

async function readNamed(path: string, room: number): Promise<SplitInput> {
  const name = oneLine(path)
  let bytes: Buffer
  try {
    if ((await stat(path)).isDirectory())
      throw wrongUsage(`${name} is a directory`, 'Name the files in it.')
    bytes = await readAll(name, createReadStream(path), room)
  } catch (error) {
    throw error instanceof Error && 'code' in error ? unreadable(name, error) : error
  }
  return { name, path, bytes: bytes.length, text: textOf(name, bytes) }
}

/** Read as a stream, since not every name is a file of a known size: `<(command)` is one, too. */
async function readAll(
  name: string,
  source: AsyncIterable<Buffer | string>,
  room: number,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of source) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > room)
      throw wrongUsage(
        `${name} is too large: all texts together can have ${inputBytesMax / 1_048_576} MiB`,
        'Cut it into several files, and ask for them one after another.',
      )
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
}

function unreadable(name: string, error: Error): Error {
  // Ours have a code of the proxy's, which these have not.
  if (!('syscall' in error)) return error
  switch ('code' in error && error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return wrongUsage(`there is no file ${name}`)
    case 'EACCES':
    case 'EPERM':
      return wrongUsage(`${name} may not be read`)
    default:
      return wrongUsage(`${name} can not be read: ${error.message}`)
  }
}

function textOf(name: string, bytes: Buffer): string {
  const utf16 =
    bytes[0] === 0xff && bytes[1] === 0xfe ? true : bytes[0] === 0xfe && bytes[1] === 0xff
  if (utf16) throw wrongUsage(`${name} is UTF-16, not UTF-8`, `iconv -f UTF-16 -t UTF-8 ${name}`)
  if (bytes.includes(0)) throw notText(`${name} is binary`)
  if (!isUtf8(bytes)) throw notText(`${name} is not UTF-8`)
  const text = bytes.toString('utf8')
  if (text.trim() === '') throw wrongUsage(`${name} is empty`)
  return text
}

function notText(sentence: string): SplitFailure {
  return wrongUsage(sentence, 'Only text in UTF-8 can be split.')
}
