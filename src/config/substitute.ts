export type Environment = Readonly<Record<string, string | undefined>>

export interface Substitution {
  readonly words: string
  /** Names of the variables that it was filled from. */
  readonly from: readonly string[]
  /** What is wrong; names variables, never values. */
  readonly faults: readonly string[]
}

/** Fills `${NAME}` and `${NAME:-default}` from the environment. `$${` stands for the two signs themselves. */
export function substitute(words: string, env: Environment): Substitution {
  const from: string[] = []
  const faults: string[] = []
  const filled = words.replace(
    /\$\$\{|\$\{([^}]*)(\})?/g,
    (whole, inside: string, end?: string) => {
      if (whole === '$${') return '${'
      const parts = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s.exec(inside)
      if (end === undefined || !parts) {
        faults.push(
          `has a \${ that starts no \${NAME} and no \${NAME:-default}; write $\${ for the signs`,
        )
        return ''
      }
      const [, name = '', fallback] = parts
      const value = env[name]
      if (fallback !== undefined && (value === undefined || value === '')) return fallback
      from.push(name)
      if (value === undefined) faults.push(`needs the variable ${name}, which is not set`)
      return value ?? ''
    },
  )
  return { words: filled, from, faults }
}
