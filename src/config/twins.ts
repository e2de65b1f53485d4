import type { z } from 'zod'

/** Two keys that mean one thing: which of them counts would be a matter of chance. */
export function complainOfTwins(
  map: Readonly<Record<string, unknown>>,
  meaning: (key: string) => string,
  context: z.RefinementCtx,
): void {
  const seen = new Set<string>()
  for (const key of Object.keys(map)) {
    if (seen.has(meaning(key)))
      context.addIssue({ code: 'custom', path: [key], message: 'is there twice' })
    seen.add(meaning(key))
  }
}
