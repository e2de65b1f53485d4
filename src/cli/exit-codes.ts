/** What a command's exit says; the same table for every command. */
export const exit = {
  done: 0,
  failed: 1,
  wrongUsage: 2,
  configInvalid: 3,
  notReachable: 4,
  noBackend: 5,
  /** Something is missing from the result, and the result says so. */
  partlyDone: 6,
  timedOut: 7,
  notAllowed: 8,
  /** By Ctrl-C, as shells count it. */
  interrupted: 130,
} as const
