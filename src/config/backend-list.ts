import type { Fault } from './fault.ts'

export interface ListedBackend {
  url: string
  name?: string
  slots?: number | string
}

/** `URL[,name=N][,slots=P]`, as often as one likes in one text. */
export function readBackendList(words: string): ListedBackend[] | Fault {
  const listed: ListedBackend[] = []
  for (const part of words.split(',').map((text) => text.trim())) {
    if (part === '') continue
    const option = /^([a-z_]+)=(.*)$/.exec(part)
    if (!option) {
      listed.push({ url: part })
      continue
    }
    const [, key, value = ''] = option
    const last = listed.at(-1)
    if (last === undefined) return { message: 'must start with a URL' }
    if (key === 'name') last.name = value
    else if (key === 'slots') last.slots = /^\d+$/.test(value) ? Number(value) : value
    else return { message: 'has an unknown option', hint: 'there are name= and slots=' }
  }
  return listed.length > 0 ? listed : { message: 'must be a URL such as http://192.168.1.20:11434' }
}
