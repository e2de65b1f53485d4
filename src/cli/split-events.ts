/** One event of a `text/event-stream`; `name` is '' where it has none. */
export interface StreamEvent {
  readonly name: string
  readonly data: string
}

/** Reads events from text that comes in pieces, cut anywhere. */
export class EventReader {
  #rest = ''
  #name = ''
  #data: string[] = []

  feed(text: string): StreamEvent[] {
    const lines = text.split('\n')
    // Nothing of the line that is not there yet is looked at, so a line in many pieces costs no more than one in one.
    lines[0] = this.#rest + lines[0]
    this.#rest = lines.pop() ?? ''
    return lines.flatMap((line) => this.#take(line.endsWith('\r') ? line.slice(0, -1) : line))
  }

  #take(line: string): StreamEvent[] {
    if (line === '') {
      const event = { name: this.#name, data: this.#data.join('\n') }
      const empty = this.#data.length === 0
      this.#name = ''
      this.#data = []
      return empty ? [] : [event]
    }
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/su.exec(line) ?? []
    if (field === 'event') this.#name = value
    if (field === 'data') this.#data.push(value)
    return []
  }
}
