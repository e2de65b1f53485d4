/** What stands on the command line of `chasqui split`; what is undefined was not said. */
export interface SplitFlags {
  readonly model?: string
  readonly ask?: string
  readonly by?: string
  readonly size?: number
  readonly overlap?: number
  readonly maxParallel?: number
  readonly language?: string
  readonly combine?: string
  readonly instruction?: string
  readonly onError?: string
  readonly system?: string
  readonly format?: string
  readonly priority?: string
  readonly timeout?: string
  readonly output?: string
  readonly json?: boolean
  readonly dryRun?: boolean
  readonly quiet?: boolean
  readonly url?: string
}
