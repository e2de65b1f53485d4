import { describe, expect, it } from 'vitest'
import { startFleet } from '../help/fleet.ts'
import { ask } from '../help/herd.ts'

describe('a question where a request would go', () => {
  // A name that came twice was an internal error, and no number of tokens was taken for none. A name that no model can
  // have was answered as if there were no name in the query.
  it('that can not be understood is refused in words that say what to do', async () => {
    await using fleet = await startFleet({ simulators: [{ models: ['m'] }] })
    const asked = async (query: string) => {
      const { status, text } = await ask(`${fleet.url}/api/distributed/route?${query}`)
      return { status, detail: (JSON.parse(text) as { detail?: string }).detail }
    }
    const oneModel = { status: 400, detail: 'the query must name one model: ?model=NAME' }
    for (const query of ['', 'model=', 'model=a&model=b', 'tokens=5'])
      expect(await asked(query)).toEqual(oneModel)
    expect(await asked(`model=${encodeURIComponent('modèle')}`)).toEqual({
      status: 400,
      detail: '"modèle" is an invalid model name',
    })
    for (const tokens of ['tokens=', 'tokens=5&tokens=6', 'tokens=-1', 'tokens=1e3', 'tokens=x'])
      expect(await asked(`model=m&${tokens}`)).toEqual({
        status: 400,
        detail: expect.stringContaining('tokens must be one whole number'),
      })
    for (const tokens of ['tokens=0', 'tokens=10000000'])
      expect((await asked(`model=m&${tokens}`)).status).toBe(200)
  })
})
