import { z } from 'zod'

/** What a check says of a value: never the value itself, which may be a secret. */
export interface Fault {
  readonly message: string
  /** The mended text, where it can be known. It may hold parts of the value. */
  readonly hint?: string | undefined
}

interface Complaints {
  addIssue(issue: { code: 'custom'; message: string; params: { hint: string | undefined } }): void
}

/** Hands a fault to zod, from inside a transform. */
export function report(complaints: Complaints, fault: Fault): never {
  complaints.addIssue({
    code: 'custom',
    message: fault.message,
    params: { hint: fault.hint },
  })
  return z.NEVER
}
