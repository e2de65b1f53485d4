import { defineConfig } from 'vitest/config'
import Order from './test/help/order.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Processes of their own per file: a journey starts servers and must not share a process with another.
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: Order },
    testTimeout: 20_000,
    hookTimeout: 20_000,
    reporters: ['default', './test/help/closing-line.ts'],
  },
})
