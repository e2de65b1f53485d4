import { isIP } from 'node:net'
import { z } from 'zod'
import { durationMs, sizeBytes } from '../core/duration.ts'
import { report } from './fault.ts'
import { readListenAddress } from './listen-address.ts'

/**
 * The kinds of value that a key can have. Each turns what a person wrote into what the program computes with, and
 * says in one message what it wants; the message never repeats the value, which may be a secret.
 */

/** Node's timers turn anything longer into one millisecond. */
const durationMsMax = 24 * 86_400_000

const mustBe = (what: string) => (issue: { readonly input?: unknown }) =>
  issue.input === undefined ? `is missing; it must be ${what}` : `must be ${what}`

export const text = (what: string, pattern: RegExp) =>
  z.string({ error: mustBe(what) }).regex(pattern, { error: mustBe(what) })

export const yesNo = () => z.boolean({ error: mustBe('true or false') })

export const choice = <const Words extends readonly [string, ...string[]]>(...words: Words) =>
  z.enum(words, { error: mustBe(`one of ${words.join(', ')}`) })

export function wholeNumber(least: number, most: number) {
  const error = mustBe(`a whole number from ${least} to ${most}`)
  return z.number({ error }).int({ error }).min(least, { error }).max(most, { error })
}

export function share(bounds: { readonly zero: boolean }) {
  const error = mustBe(
    `a share ${bounds.zero ? 'from 0 to 1' : 'above 0 and up to 1'}, such as 0.2`,
  )
  const number = z.number({ error }).max(1, { error })
  return bounds.zero ? number.min(0, { error }) : number.gt(0, { error })
}

export function positiveNumber(most: number) {
  const error = mustBe(`a number above 0 and up to ${most}`)
  return z.number({ error }).gt(0, { error }).max(most, { error })
}

const durationPattern = '^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+$'
const aDuration = 'a duration with a unit, such as 500ms, 2s or 1h30m'

/** Milliseconds. Every duration bounds something, so none may be zero. */
export function duration() {
  return z
    .string({ error: mustBe(aDuration) })
    .meta({ pattern: durationPattern })
    .transform((words, context) => {
      const ms = durationMs(words)
      if (ms === undefined) return report(context, { message: `must be ${aDuration}` })
      if (ms < 1 || ms > durationMsMax)
        return report(context, { message: 'must be a duration from 1ms to 24d' })
      return Math.round(ms)
    })
}

/** Milliseconds, or undefined for the word "off". */
export function durationOrOff() {
  const what = `off, or ${aDuration}`
  return z
    .string({ error: mustBe(what) })
    .meta({ pattern: `^off$|${durationPattern}` })
    .transform((words, context) => {
      if (words === 'off') return undefined
      const ms = durationMs(words)
      if (ms === undefined) return report(context, { message: `must be ${what}` })
      if (ms < 1 || ms > durationMsMax)
        return report(context, { message: 'must be off, or a duration from 1ms to 24d' })
      return Math.round(ms)
    })
}

/** Bytes. */
export function size() {
  const what = 'a size with a unit, such as 512KiB, 16MiB or 24GiB'
  return z
    .string({ error: mustBe(what) })
    .meta({ pattern: '^[0-9]+(\\.[0-9]+)?\\s*(B|[KMGT]i?B)$' })
    .transform((words, context) => {
      const bytes = sizeBytes(words)
      if (bytes === undefined) return report(context, { message: `must be ${what}` })
      if (bytes < 1 || !Number.isSafeInteger(bytes))
        return report(context, { message: 'must be a size from 1B to 8000TiB' })
      return bytes
    })
}

/** A list; a list of one may be written without the brackets. */
export function list<Item extends z.ZodType<string, string>>(item: Item, what: string) {
  return z.union([item.transform((one): string[] => [one]), z.array(item)], {
    error: mustBe(`${what}, or a list of them`),
  })
}

const listenWhat = 'an address and a port, such as 127.0.0.1:11435, [::1]:11435 or :11435'

export function listenAddress() {
  return z.string({ error: mustBe(listenWhat) }).transform((words, context) => {
    const read = readListenAddress(words)
    return 'message' in read ? report(context, read) : read
  })
}

const aRange = 'an address or a CIDR range, such as 10.0.0.0/8'

export function addressRange() {
  return z.string({ error: mustBe(aRange) }).refine(isAddressRange, { error: `must be ${aRange}` })
}

function isAddressRange(words: string): boolean {
  const [address = '', bits, more] = words.split('/')
  const family = isIP(address)
  if (family === 0 || address.includes('%') || more !== undefined) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}
