/**
 * What Ollama says when the process behind a model died or had no memory: another server can go on. Any other error
 * is the model's or the request's own. Sources: Ollama llm/server.go, server/sched.go, server/routes.go; llama.cpp
 * ggml-cuda for the texts that come through from below.
 */
const crashes: readonly RegExp[] = [
  /llama-server process has terminated/i,
  /llama runner process (has terminated|no longer running)/i,
  /timed out waiting for (llama-server|llama runner) to start/i,
  /model runner has unexpectedly stopped/i,
  /an error was encountered while running the model/i,
  /unable to load full model on GPU/i,
  /requires more (system |GPU )?memory/i,
  /out of memory|cudaMalloc failed|failed to allocate|insufficient memory/i,
  /\b(CUDA|ROCm|HIP|Metal|Vulkan) error\b/i,
]

/** True for the words of a runner that crashed or ran out of memory, inside of a stream or instead of one. */
export function isCrashText(text: string): boolean {
  return crashes.some((crash) => crash.test(text))
}
