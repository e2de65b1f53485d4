/** Everything that a stream brings, to its end. */
export async function gather<Thing>(stream: AsyncIterable<Thing>): Promise<Thing[]> {
  const things: Thing[] = []
  for await (const thing of stream) things.push(thing)
  return things
}
