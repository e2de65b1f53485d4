import { group, numbered } from './pack.ts'
import { type CutWishes, notTooMany, type Part } from './splitter.ts'

const sizeDefault = 1

/**
 * Items of a list that a client sent: strings as they are, anything else as JSON, a line break between them. `start`,
 * `end` and `from` of the parts count items.
 */
export function cutItems(items: readonly unknown[], wishes: CutWishes): Part[] {
  const texts = items.map(textOfItem)
  const units = {
    count: texts.length,
    textOf: (from: number, end: number) => texts.slice(from, end).join('\n'),
    labelOf: numbered('item'),
  }
  const limits = { ...wishes, size: wishes.size ?? sizeDefault }
  const parts = group(units, limits).map(({ from, first, end, text, tokens }, index) => ({
    index,
    start: first,
    end,
    from,
    text,
    tokens,
    label: units.labelOf(first, end),
  }))
  return notTooMany(parts)
}

/** What JSON has no spelling for can not have come from a client. */
function textOfItem(item: unknown): string {
  return typeof item === 'string' ? item : (JSON.stringify(item) ?? 'null')
}
