/** One model on disk, as far as its slots are concerned. */
interface ModelOfFamily {
  readonly canonical: string
  readonly entry: Readonly<Record<string, unknown>>
}

/** Ollama gives models of these families one slot, whatever OLLAMA_NUM_PARALLEL says (its scheduler's own list). */
const singleSlot = /^(mllama|qwen3vl(moe)?|qwen35(moe)?|qwen3next|lfm2(moe)?|nemotron_h\w*)$/

/**
 * The slots of each model, as the pool takes them. Embedding-only models are known there to have one. Undefined: nobody
 * said a number, so it is learned.
 */
export function slotsByModel(
  models: Iterable<ModelOfFamily>,
  slots: number | undefined,
): number | ReadonlyMap<string, number> | undefined {
  if (slots === undefined) return undefined
  const single = [...models].filter(({ entry }) => singleSlot.test(familyOf(entry)))
  if (slots === 1 || single.length === 0) return slots
  const rows = [...models].map(({ canonical }) => [canonical, slots] as const)
  return new Map([...rows, ...single.map(({ canonical }) => [canonical, 1] as const)])
}

function familyOf(entry: Readonly<Record<string, unknown>>): string {
  const details = entry['details']
  const family =
    typeof details === 'object' && details !== null
      ? (details as { family?: unknown }).family
      : undefined
  return typeof family === 'string' ? family : ''
}
