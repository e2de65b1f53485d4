import { connect, type Socket } from 'node:net'
import { monotonicUs, stampDigits } from './monotonic.ts'

export interface StreamClient {
  /** Asks for one stream and reads it to its end, or to its last line when it is held open. Never rejects. */
  stream(wish: Wish, note: (latencyUs: number) => void, signal: AbortSignal): Promise<StreamResult>
}

interface Wish {
  readonly chunks: number
  readonly gapMs: number
  readonly hold: boolean
}

interface StreamResult {
  /** From the request's write to the first line's arrival. */
  readonly firstUs: number | undefined
  readonly fault: string | undefined
}

const mark = '"bench_us":"'
const markedLength = mark.length + stampDigits
const end = '\r\n0\r\n\r\n'

/** One read buffer for all: a read is looked at before the next one happens, so nobody needs bytes of their own. */
const readBuffer = Buffer.allocUnsafe(64 * 1024)

export function openStreamClient(port: number): Promise<StreamClient> {
  let heard: (text: string) => void = () => {}
  let lost: (why: string) => void = () => {}
  const socket: Socket = connect({
    host: '127.0.0.1',
    port,
    noDelay: true,
    onread: {
      buffer: readBuffer,
      callback: (length) => {
        heard(readBuffer.toString('latin1', 0, length))
        return true
      },
    },
  })

  const client: StreamClient = {
    stream: (wish, note, signal) =>
      new Promise((resolve) => {
        let carry = ''
        let count = 0
        let answered = false
        let firstUs: number | undefined
        const finish = (fault?: string) => {
          heard = lost = () => {}
          signal.removeEventListener('abort', onLimit)
          resolve({ firstUs, fault })
        }
        const onLimit = () => finish(`out of time after ${count} of ${wish.chunks} chunks`)
        signal.addEventListener('abort', onLimit)
        lost = finish
        heard = (text) => {
          const nowUs = monotonicUs()
          if (!answered && !text.startsWith('HTTP/1.1 200'))
            return finish(`answered ${text.split('\r\n', 1)[0]}`)
          answered = true
          const seen = carry + text
          let from = 0
          for (;;) {
            const at = seen.indexOf(mark, from)
            if (at < 0 || at + markedLength > seen.length) break
            note(nowUs - Number(seen.slice(at + mark.length, at + markedLength)))
            firstUs ??= nowUs - sentUs
            count++
            from = at + markedLength
          }
          // What may be the beginning of a stamp waits for the next read.
          carry = seen.slice(Math.max(from, seen.length - markedLength + 1))
          if (count >= wish.chunks && (wish.hold || carry.endsWith(end))) finish()
        }
        if (socket.destroyed) return finish('the connection was closed between two streams')
        const sentUs = monotonicUs()
        socket.write(request(port, wish), 'latin1')
      }),
  }

  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(client))
    socket.on('error', (error) => {
      reject(error)
      lost(error.message)
    })
    socket.on('close', () => lost('the connection was closed'))
  })
}

function request(port: number, wish: Wish): string {
  const options = {
    num_predict: wish.chunks,
    bench_gap_ms: wish.gapMs,
    ...(wish.hold ? { bench_hold: true } : {}),
  }
  const body = JSON.stringify({ model: 'bench', prompt: 'Tell me of the road.', options })
  return (
    `POST /api/generate HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  )
}
