import { type App, startApp } from '../../src/app.ts'
import { backendAt } from '../../src/core/backend.ts'
import type { ExchangeEnded } from '../../src/core/observer.ts'
import { settingsFrom } from '../help/fleet.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'
import {
  type AnswerBytes,
  type RecordingBackend,
  startRecordingBackend,
} from './recording-backend.ts'

/** A proxy of this process in front of one backend, `a`, of which every byte is seen. */
export interface RecordedProxy extends AsyncDisposable {
  readonly app: App
  readonly backend: RecordingBackend
  readonly ended: readonly ExchangeEnded[]
}

export interface RecordedOptions {
  readonly answer: AnswerBytes
  /** YAML beside what keeps the proxy's own questions away. */
  readonly config?: string
  /** Fields that the backend is sent with every request. */
  readonly own?: Readonly<Record<string, string>>
}

export async function startRecordedProxy({
  answer,
  config = '',
  own = {},
}: RecordedOptions): Promise<RecordedProxy> {
  const folder = scratchFolder()
  const backend = await startRecordingBackend(answer)
  const ended: ExchangeEnded[] = []
  const quiet = 'continuation: false\nprobes: { interval: 60s, timeout: 5s }'
  const app = await startApp(
    {
      ...settingsFrom(`${quiet}\n${config}`, folder.path),
      backends: [{ ...backendAt('a', backend.url), slots: 100, headers: own }],
    },
    {
      observer: {
        exchangeEnded(fact) {
          if (ended.push(fact) > endedMax) ended.shift()
        },
      },
    },
  )
  await until(() => app.pool.endpoints.every(({ ready, onDisk }) => ready && onDisk.size > 0))
  return {
    app,
    backend,
    ended,
    async [Symbol.asyncDispose]() {
      await app.stop()
      await backend[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}

const endedMax = 1_000
