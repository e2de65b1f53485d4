/** Asks again and again until the condition holds, and fails when the time is up: no test sleeps to be lucky. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  ms = 10_000,
  what = condition.toString(),
): Promise<void> {
  const endMs = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`after ${ms} ms still not: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 15))
  }
}
