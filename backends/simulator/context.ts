/**
 * The numbers of generate's old `context`. Four plain characters make one number, any other character makes one of its
 * own; the text can be read back, as a tokenizer would.
 */
const ownFrom = 2 ** 28

export function contextOf(text: string): number[] {
  const ids: number[] = []
  let packed = 0
  let count = 0
  const flush = () => {
    if (count > 0) ids.push(packed)
    packed = 0
    count = 0
  }
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0
    if (code === 0 || code > 127) {
      flush()
      ids.push(ownFrom + code)
      continue
    }
    packed += code * 128 ** count
    if (++count === 4) flush()
  }
  flush()
  return ids
}

export function textOf(ids: readonly number[]): string {
  let text = ''
  for (const id of ids) {
    if (!Number.isInteger(id) || id < 0 || id > ownFrom + 0x10ffff) text += ' '
    else if (id >= ownFrom) text += String.fromCodePoint(id - ownFrom)
    else
      for (let rest = id; rest > 0; rest = Math.floor(rest / 128))
        text += String.fromCharCode(rest % 128)
  }
  return text
}
