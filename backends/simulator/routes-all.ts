import { accountRoutes } from './account.ts'
import { adminRoutes } from './admin.ts'
import { nativeRoutes, type Route } from './routes.ts'
import { anthropicRoutes } from './routes-anthropic.ts'
import { openaiRoutes } from './routes-openai.ts'

/** Every route of the imitated server. */
export const routes: readonly Route[] = [
  ...nativeRoutes,
  ...adminRoutes,
  ...accountRoutes,
  ...openaiRoutes,
  ...anthropicRoutes,
]
