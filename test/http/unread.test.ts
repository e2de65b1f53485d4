import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, it } from 'vitest'
import { Unread } from '../../src/http/unread.ts'
import { handClock } from '../help/clock.ts'
import { until } from '../help/until.ts'

// A client that never read its answer kept its connection for ever, and its seat as long as the answer went on: two of
// them held both slots of a server, and a third heard nothing.
it('closes a connection that takes nothing for ten minutes, and no other', async () => {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => {}))
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const open = async () => {
    const client = connect(port, '127.0.0.1')
      .on('error', () => {})
      .pause()
    const count = sockets.length
    await until(() => sockets.length > count)
    return { client, ours: sockets[count]! }
  }
  const [stuck, slow, idle] = [await open(), await open(), await open()]
  const clock = handClock()
  using _unread = new Unread(clock, () => sockets)
  const more = () => {
    for (let each = 0; each < 200; each++) slow.ours.write(Buffer.alloc(65_536))
  }
  for (let each = 0; each < 200; each++) stuck.ours.write(Buffer.alloc(65_536))
  more()
  await until(() => stuck.ours.writableLength > 0 && slow.ours.writableLength > 0)

  clock.pass(9 * 60_000)
  // It reads a little now and then.
  const before = slow.ours.writableLength
  slow.client.resume()
  await until(() => slow.ours.writableLength < before)
  slow.client.pause()
  more()
  clock.pass(2 * 60_000)
  expect([stuck, slow, idle].map(({ ours }) => ours.destroyed)).toEqual([true, false, false])
  for (const { client } of [stuck, slow, idle]) client.destroy()
  server.close()
})
