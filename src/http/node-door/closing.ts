import type { Socket } from 'node:net'

/** Connections whose last answer has begun. The parser reads on; what it finds behind that is nobody's request. */
const closing = new WeakSet<Socket>()

export function isClosing(socket: Socket): boolean {
  return closing.has(socket)
}

export function markClosing(socket: Socket): void {
  closing.add(socket)
}
