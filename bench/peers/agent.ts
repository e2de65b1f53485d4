import { ours } from './ours.ts'
import type { Peer } from './peer.ts'

/** What an agent beside an Ollama costs whoever asks through it: the hop that a proxy in front has on top. */
export const agent: Peer = {
  name: 'agent',
  note: 'alone before its server, 4,096 slots, log silent',
  look: ours.look,
  command(place) {
    const command = ours.command(place)!
    const [main = ''] = command.args
    return {
      ...command,
      args: [
        main,
        'agent',
        ...['--listen', `127.0.0.1:${place.port}`],
        ...['--ollama', `http://127.0.0.1:${place.upstreamPort}`],
        ...['--slots', '4096'],
      ],
    }
  },
}
