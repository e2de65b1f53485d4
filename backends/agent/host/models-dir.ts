import { join } from 'node:path'

/** Where the installer's own user keeps them on Linux. */
const ofTheService = '/usr/share/ollama/.ollama/models'

/** Where this machine's Ollama keeps its models: where it was told to, else the first of its usual places that is there. */
export function modelsDirOf(
  told: string | undefined,
  home: string,
  exists: (path: string) => boolean,
): string | undefined {
  if (told !== undefined) return told
  return [join(home, '.ollama', 'models'), ofTheService].find(exists)
}
