import type { Priority } from '../../../src/routing/line.ts'

/** A virtual machine with one engine that all its models share. */
export interface MachineSpec {
  readonly name: string
  /** Tokens a second with nobody else there, of a model of speed 1. */
  readonly prefillPerSecond: number
  readonly decodePerSecond: number
  /** A decode step beside n - 1 others takes 1 + kappa * (n - 1) times as long. */
  readonly kappa: number
  /** OLLAMA_NUM_PARALLEL, for every model. */
  readonly slots: number
  /** Models that fit into memory at once. */
  readonly modelsMax: number
  /** Times a model's load seconds. */
  readonly loadFactor: number
}

export interface ModelSpec {
  readonly name: string
  /** Of prefill and decode: 0.5 is half as fast as the machine's figures say. */
  readonly speed: number
  readonly loadSeconds: number
}

/** One request as it is in the trace; nobody but its maker and the clairvoyant reads `outputTokens` before the end. */
export interface Request {
  readonly id: number
  readonly atMs: number
  /** Index into the models. */
  readonly model: number
  readonly promptTokens: number
  /** 0: an embedding. */
  readonly outputTokens: number
  /** The prompt as blocks: a number that stands for all text up to and with each block, and the tokens up to there. */
  readonly chain: readonly number[]
  readonly chainTokens: readonly number[]
  /** What the chain grows by when the answer stands behind it. */
  readonly answer: number
  readonly tenant: string
  readonly band: Priority
  /** To the first token; 0: none. */
  readonly deadlineMs: number
  readonly session: string
}

/** What Ollama says with the last line, in milliseconds, and what it does not say. */
export interface Report {
  readonly totalMs: number
  readonly loadMs: number
  readonly promptTokens: number
  /** Of the part that was read and not found in the cache. */
  readonly promptMs: number
  readonly outputTokens: number
  readonly outputMs: number
}
