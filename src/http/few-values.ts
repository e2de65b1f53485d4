import { Failure } from '../core/failure.ts'

/**
 * A request that is read whole may have so many values: a conversation of 131,072 tokens as numbers and as many parts as
 * a run can have (100,000), twice over. To read 80 million of them, as 240 MB can hold, took a minute and six gigabytes.
 */
const valuesMax = 500_000

const quote = 0x22
const comma = 0x2c
const backslash = 0x5c
const bracket = 0x5b
const brace = 0x7b

/**
 * Looks at a JSON text as it arrives, and throws a Failure when it has more values than can be read in one go without
 * holding everybody else up. Texts may be as long as they like.
 */
export function fewValues(): (chunk: Buffer) => void {
  let values = 0
  let inText = false
  let isEscaped = false
  return (chunk) => {
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!
      if (isEscaped) isEscaped = false
      else if (inText) {
        if (byte === quote) inText = false
        else isEscaped = byte === backslash
      } else if (byte === quote) inText = true
      else if (byte === comma || byte === bracket || byte === brace) values++
    }
    if (values > valuesMax)
      throw new Failure('too_many_values', `the body has more than ${valuesMax} values`)
  }
}
