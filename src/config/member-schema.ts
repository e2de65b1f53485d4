import { z } from 'zod'
import { addressRange, choice, duration, list, text, wholeNumber, yesNo } from './kinds.ts'
import { privateAddressCount } from './private-range.ts'

/** Rules are read one after another at each join; more of them nobody keeps in mind. */
const rulesMax = 256
/** Each is asked for on every beat. */
const namesMax = 64
/** A scan is 32 questions at once of a second each: a thousand addresses are half a minute. */
const scanAddressesMax = 1_024

const label = () => text('a word', /^\S{1,64}$/)
const range = () => addressRange()

const allowRule = z
  .strictObject(
    {
      name: text('a name of a-z, 0-9, - _ . and *', /^[a-z0-9_.*-]{1,64}$/)
        .optional()
        .describe('Its name; * stands for any text.'),
      from: list(range(), 'an address or a CIDR range')
        .optional()
        .describe('Where it calls from, and where it is called.'),
      labels: list(label(), 'a word').optional().describe('Labels that it must have, all of them.'),
    },
    {
      error: (issue) =>
        issue.code === 'invalid_type'
          ? 'must be a rule, such as {name: "gpu-*", from: [10.0.0.0/8]}'
          : undefined,
    },
  )
  .refine((rule) => Object.values(rule).some((given) => given !== undefined), {
    error: 'must say a name, from or labels, or it would let everybody in',
  })

export const joinShape = {
  token: text(
    'text of 16 to 1024 signs without spaces; a number needs quotes',
    /^[\x21-\x7e]{16,1024}$/,
  )
    .optional()
    .describe(
      'The secret that agents have too (chasqui agent --token), 16 signs at least; nobody can join unless set.',
    ),
  allow: z
    .array(allowRule, { error: 'must be a list of rules, such as "- name: gpu-*"' })
    .max(rulesMax, { error: `must be at most ${rulesMax} rules` })
    .prefault([])
    .describe(
      'Who joins without being asked about: of name (with *), from and labels, all that is given must match.',
    ),
  allow_addresses: list(range(), 'an address or a CIDR range')
    .prefault([])
    .describe(
      'Addresses and CIDR ranges that may join although they are loopback, link-local or the like.',
    ),
  max: wholeNumber(1, 10_000)
    .prefault(256)
    .describe('Members at most, those that wait to be accepted included.'),
}

const dnsName =
  /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.?$/i

export const discoverShape = {
  dns: bounded(list(text('a host name', dnsName), 'a host name'), namesMax, 'names')
    .prefault([])
    .describe(
      'Names whose every address is a backend; _service._tcp.NAME is asked for SRV records.',
    ),
  dns_every: duration().prefault('30s').describe('How often they are looked up again.'),
  folder: text('off, or a directory', /^[^\0]{1,4096}$/)
    .prefault('off')
    .describe('A directory whose *.yaml files have one backend each, or a list; off: none.'),
  mdns: yesNo()
    .prefault(false)
    .describe(
      'Servers that announce themselves on the local network as _ollama._tcp or _chasqui-agent._tcp.',
    ),
  scan: list(range(), 'an address or a CIDR range')
    .superRefine((ranges, context) => {
      const counts = ranges.map(privateAddressCount)
      const complain = (message: string) => void context.addIssue({ code: 'custom', message })
      if (counts.includes(undefined))
        complain('must be private ranges only, such as 192.168.1.0/24')
      else if (counts.reduce<number>((sum, count = 0) => sum + count, 0) > scanAddressesMax)
        complain(`must be at most ${scanAddressesMax} addresses together`)
    })
    .prefault([])
    .describe(
      'Private ranges in which every address is asked whether an Ollama is there; 1024 addresses at most.',
    ),
  scan_every: duration().prefault('10m').describe('How often.'),
  port: wholeNumber(1, 65_535)
    .prefault(11_434)
    .describe('Where a server listens of which only the address is known.'),
  accept: choice('ask', 'all')
    .prefault('ask')
    .describe(
      'What mDNS and the scan find is taken at once (all), or waits for "chasqui backend accept NAME" (ask).',
    ),
}

function bounded<Schema extends z.ZodType<string[]>>(schema: Schema, most: number, what: string) {
  return schema.refine((items) => items.length <= most, {
    error: `must be at most ${most} ${what}`,
  })
}
