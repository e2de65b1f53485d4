import { expect, it } from 'vitest'
import { defaultDataDir } from '../../src/config/data-dir.ts'

it('follows each platform, and XDG_STATE_HOME where it is a whole path', () => {
  expect(defaultDataDir({ HOME: '/h' }, 'linux')).toBe('/h/.local/state/chasqui')
  expect(defaultDataDir({ HOME: '/h', XDG_STATE_HOME: '/s' }, 'linux')).toBe('/s/chasqui')
  expect(defaultDataDir({ HOME: '/h', XDG_STATE_HOME: 's' }, 'linux')).toBe(
    '/h/.local/state/chasqui',
  )
  expect(defaultDataDir({ HOME: '/h' }, 'darwin')).toBe('/h/Library/Application Support/chasqui')
})
