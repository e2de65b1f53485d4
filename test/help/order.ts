import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Journeys first, since they wait most; then the storms, which take longest of all and so would be last and alone if
 * files went by their size; beside and behind them what takes moments.
 */
export default class Order extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const bySize = await super.sort(files)
    return bySize.toSorted((one, other) => turnOf(one) - turnOf(other))
  }
}

function turnOf({ moduleId }: TestSpecification): number {
  if (moduleId.includes('/test/journeys/')) return 0
  return moduleId.includes('/test/storms/') ? 1 : 2
}
