/** How long a client may go on sending what nobody will read. */
export const lingerMs = 1_000
