import type { LoadReport } from '../core/load-report.ts'
import type { MakeSeries } from './series.ts'

/** What an agent says of its machine, as far as there are numbers to draw. */
export type AgentFigures = Pick<LoadReport, 'queue' | 'hidden' | 'gpus' | 'cpu' | 'memory'>

/** Series of the machines whose agents have joined. */
export function agentMetrics({ gauge }: Pick<MakeSeries, 'gauge'>) {
  const queue = gauge('chasqui_agent_queue_depth', 'Waiting at the agent', ['backend'])
  const hidden = gauge('chasqui_agent_hidden_requests', 'At its server, and not ours', ['backend'])
  const cpu = gauge('chasqui_agent_cpu_use', 'Share of all cores', ['backend'])
  const memory = gauge('chasqui_agent_memory_bytes', 'Of the machine', ['backend', 'state'])
  const gpuMemory = gauge('chasqui_agent_gpu_memory_bytes', 'Of graphics cards', [
    'backend',
    'gpu',
    'state',
  ])
  const gpuUse = gauge('chasqui_agent_gpu_use', 'Share of a graphics card', ['backend', 'gpu'])
  return {
    momentary: [queue, hidden, cpu, memory, gpuMemory, gpuUse],
    /** What is not known has no series. */
    show(backend: string, figures: AgentFigures): void {
      queue.row(backend).value = figures.queue
      if (figures.hidden !== null) hidden.row(backend).value = figures.hidden
      if (figures.cpu.use !== null) cpu.row(backend).value = figures.cpu.use
      const { total_bytes: total, free_bytes: free } = figures.memory
      if (total !== null) memory.row(backend, 'total').value = total
      if (free !== null) memory.row(backend, 'free').value = free
      for (const [index, gpu] of figures.gpus.entries()) {
        const card = String(index)
        if (gpu.memory_total_bytes !== null)
          gpuMemory.row(backend, card, 'total').value = gpu.memory_total_bytes
        if (gpu.memory_used_bytes !== null)
          gpuMemory.row(backend, card, 'used').value = gpu.memory_used_bytes
        if (gpu.use !== null) gpuUse.row(backend, card).value = gpu.use
      }
    },
  }
}
