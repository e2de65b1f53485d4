/** What a command's exit says; the same table for every command. */
export const exit = {
  done: 0,
  failed: 1,
  wrongUsage: 2,
  configInvalid: 3,
  notReachable: 4,
  notAllowed: 8,
} as const
