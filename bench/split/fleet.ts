import { Machine, type MachineSpec } from './machine.ts'

/** The machines of a scene, for all its rounds. */
export class Fleet implements AsyncDisposable {
  readonly machines: readonly Machine[]
  readonly #stack: AsyncDisposableStack

  private constructor(machines: readonly Machine[], stack: AsyncDisposableStack) {
    this.machines = machines
    this.#stack = stack
  }

  static async start(specs: readonly MachineSpec[]): Promise<Fleet> {
    await using stack = new AsyncDisposableStack()
    const machines: Machine[] = []
    for (const spec of specs) machines.push(stack.use(await Machine.start(spec)))
    await Promise.all(machines.map((machine) => machine.prepare()))
    return new Fleet(machines, stack.move())
  }

  async prepare(): Promise<void> {
    await Promise.all(this.machines.map((machine) => machine.prepare()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]()
  }
}
