import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { coerce } from '../config/coerce.ts'
import type { AgentFlags } from './agent.ts'
import type { DiscoverFlags } from './discover.ts'
import { exit } from './exit-codes.ts'
import type { SplitFlags } from './split-flags.ts'
import { workerVariable } from './under-supervisor.ts'

/** Every command; each loads its own code only when it is called, so that starting stays quick. */
export async function runCli(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  version: string,
): Promise<number> {
  let code: number = exit.done
  const program = new Command('chasqui')
    .description('One address in front of many Ollama servers.')
    .version(version)
    .exitOverride()
    // `simulate --version V` is the simulator's own option, not a question to this program.
    .enablePositionalOptions()
    .configureOutput({ writeOut: (text) => process.stdout.write(text) })
    .showSuggestionAfterError()

  for (const [name, fleet, summary] of [
    ['start', 'find', 'serve what is configured, else the Ollama of this machine, else a demo'],
    ['up', 'configured', 'serve the backends that are configured or named'],
    ['demo', 'demo', 'serve four simulated servers'],
  ] as const)
    servingOptions(program.command(name).description(summary)).action(async (options) => {
      if (mustSupervise(options, env)) {
        const { supervise } = await import('./supervise.ts')
        code = await supervise(argv, env)
        return
      }
      const { serve } = await import('./serve.ts')
      code = await serve({ ...serveOptions(options), fleet, version }, env)
    })

  program
    .command('simulate')
    .description('start one simulated Ollama server')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .allowExcessArguments()
    .action(async (_options, command: Command) => {
      const { runSimulator } = await import('../../backends/simulator/main.ts')
      code = await runSimulator(command.args)
    })

  agentOptions(program.command('agent')).action(async (flags: AgentFlags) => {
    const { agent } = await import('./agent.ts')
    code = await agent(flags, env, version)
  })

  program
    .command('status')
    .description('the fleet as the running proxy sees it')
    .option('--url <url>', 'of the proxy')
    .option('--json', 'as JSON')
    .action(async (options: { url?: string; json?: boolean }) => {
      const { status } = await import('./status.ts')
      const { proxyUrl } = await import('./remote.ts')
      code = await status(proxyUrl(options.url, env), options.json === true, env)
    })

  program
    .command('why <id>')
    .description('why a request went where it went, by its X-Request-Id')
    .option('--url <url>', 'of the proxy')
    .option('--json', 'as JSON')
    .action(async (id: string, options: { url?: string; json?: boolean }) => {
      const { why } = await import('./why.ts')
      const { proxyUrl } = await import('./remote.ts')
      code = await why(id, proxyUrl(options.url, env), options.json === true, env)
    })

  const route = program.command('route').description('how requests are routed')
  route
    .command('replay <file>')
    .description('make the decisions of a log (routing.decision_log) once more, and compare')
    .option('--json', 'as JSON')
    .action(async (file: string, options: { json?: boolean }) => {
      const { routeReplay } = await import('./route-replay.ts')
      code = await routeReplay(file, options.json === true)
    })
  route
    .command('explain <model>')
    .description('where a request for this model would go now')
    .addOption(new Option('--tokens <number>', 'of its prompt').argParser(wholeNumber))
    .option('--url <url>', 'of the proxy')
    .option('--json', 'as JSON')
    .action(async (model: string, options: { url?: string; json?: boolean; tokens?: number }) => {
      const { routeExplain } = await import('./why.ts')
      const { proxyUrl } = await import('./remote.ts')
      const url = proxyUrl(options.url, env)
      code = await routeExplain(model, options.tokens, url, options.json === true, env)
    })

  program
    .command('optimize')
    .description(
      'what would help the fleet, by what was learned; --apply does what can be done from here',
    )
    .option('--apply', 'load and unload what is advised')
    .option('--url <url>', 'of the proxy')
    .option('--json', 'as JSON')
    .action(async (options: { apply?: boolean; url?: string; json?: boolean }) => {
      const { optimize } = await import('./optimize.ts')
      const { proxyUrl } = await import('./remote.ts')
      const how = { apply: options.apply === true, json: options.json === true }
      code = await optimize(proxyUrl(options.url, env), how, env)
    })

  splitOptions(program.command('split [files...]')).action(
    async (files: string[], flags: SplitFlags) => {
      const { split } = await import('./split.ts')
      code = await split(files, flags, env)
    },
  )

  const backend = program.command('backend').description('one backend of the running proxy')
  for (const [verb, summary] of [
    ['drain', 'no new requests; what runs there ends'],
    ['resume', 'takes requests again'],
    ['accept', 'one that has joined or was found serves from now on'],
    ['reject', 'out of the fleet, and not let in again'],
    ['restart', 'its agent starts its Ollama anew (chasqui agent --manage)'],
  ] as const)
    backend
      .command(`${verb} <name>`)
      .description(summary)
      .option('--url <url>', 'of the proxy')
      .action(async (name: string, options: { url?: string }) => {
        const { callProxy, proxyUrl } = await import('./remote.ts')
        const { data } = await import('./talk.ts')
        const path = `/api/workers/${encodeURIComponent(name)}/${verb}`
        const called = await callProxy(proxyUrl(options.url, env), path, env, 'POST')
        if (called.ok) data(JSON.stringify(called.body))
        code = called.ok ? exit.done : called.code
      })

  backend
    .command('list')
    .description('who serves, and who waits to be accepted')
    .option('--url <url>', 'of the proxy')
    .option('--json', 'as JSON')
    .action(async (options: { url?: string; json?: boolean }) => {
      const { listWorkers } = await import('./members.ts')
      const { proxyUrl } = await import('./remote.ts')
      code = await listWorkers(proxyUrl(options.url, env), options.json === true, env)
    })

  program
    .command('discover')
    .description('look for Ollama servers: this machine, mDNS, names, private ranges')
    .addOption(manyTimes('--scan <cidr>', 'a private range; may be given several times'))
    .addOption(
      manyTimes('--dns <name>', 'a name whose every address is asked; _service._tcp.NAME for SRV'),
    )
    .addOption(new Option('--port <port>', 'where they listen').argParser(wholeNumber))
    .option('--json', 'as JSON')
    .action(async (flags: DiscoverFlags) => {
      const { discover } = await import('./discover.ts')
      code = await discover(flags)
    })

  const config = program.command('config').description('the configuration')
  config
    .command('validate')
    .description('check it; opens no port')
    .option('--config <file>')
    .action(async (options: { config?: string }) => {
      const { validate } = await import('./config-commands.ts')
      code = await validate(options, env)
    })
  config
    .command('print')
    .description('what is in force, secrets masked')
    .option('--config <file>')
    .action(async (options: { config?: string }) => {
      const { print } = await import('./config-commands.ts')
      code = await print(options, env)
    })
  config
    .command('reload')
    .description('the running proxy reads its own again; streams go on')
    .option('--url <url>', 'of the proxy')
    .action(async (options: { url?: string }) => {
      const { reload } = await import('./reload.ts')
      const { proxyUrl } = await import('./remote.ts')
      code = await reload(proxyUrl(options.url, env), env)
    })
  config
    .command('schema')
    .description('JSON Schema for editors')
    .action(async () => {
      const { schema } = await import('./config-commands.ts')
      code = schema()
    })

  program
    .command('ping')
    .description('exit 0 when the proxy on this machine is alive (for container health checks)')
    .option('--url <url>', 'of the proxy')
    .action(async (options: { url?: string }) => {
      const { callProxy, proxyUrl } = await import('./remote.ts')
      const called = await callProxy(proxyUrl(options.url, env), '/livez', env)
      code = called.ok ? exit.done : called.code
    })

  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? exit.done : exit.wrongUsage
  }
  return code
}

interface ServingFlags {
  readonly config?: string
  readonly listen?: string
  readonly backend?: string[]
  readonly slots?: number
  readonly makeAdminToken?: boolean
  readonly supervised?: boolean
}

function servingOptions(command: Command): Command {
  return command
    .option('--config <file>', 'configuration (default: CHASQUI_CONFIG, then ./chasqui.yaml)')
    .option('--listen <host:port>', 'where to listen (default 127.0.0.1:11435)')
    .addOption(manyTimes('--backend <url>', 'URL[,name=N][,slots=P]; may be given several times'))
    .addOption(
      new Option('--slots <number>', 'requests at once for each model of each backend').argParser(
        wholeNumber,
      ),
    )
    .option(
      '--make-admin-token',
      'when others can connect and none is set: make one, show it once, keep it in the data directory',
    )
    .option(
      '--supervised',
      'behind a process that keeps the socket: SIGUSR2 replaces the server, and one that crashes is started again',
    )
}

function agentOptions(command: Command): Command {
  return command
    .description(
      'serve in front of the Ollama of this machine, with a queue of its own; may join a proxy',
    )
    .option('--ollama <url>', 'the Ollama', 'http://127.0.0.1:11434')
    .option('--listen <host:port>', 'where to listen (default 127.0.0.1:11436; PORT sets the port)')
    .option('--config <file>', 'configuration (default: CHASQUI_CONFIG, then ./chasqui.yaml)')
    .option('--join <url>', 'the proxy to join')
    .option('--token <token>', 'that the proxy wants (better: CHASQUI_JOIN_TOKEN)')
    .option('--advertise <url>', 'where the proxy is to call (default: where this call comes from)')
    .option('--name <name>', 'in the fleet (default: the name of this machine)')
    .option('--labels <a,b>', 'for routing')
    .addOption(
      new Option(
        '--slots <number>',
        'requests at once for each model (default: OLLAMA_NUM_PARALLEL, else learned)',
      ).argParser(wholeNumber),
    )
    .option('--manage', 'run "ollama serve" itself, and start it again when it ends')
    .option('--ollama-bin <path>', 'what --manage runs (default: ollama)')
}

function splitOptions(command: Command): Command {
  return command
    .description(
      'ask about large texts (files, or what is piped in) in parts, on all backends at once',
    )
    .option('--model <name>', 'who answers the parts')
    .option('--ask <text>', 'what to do with the text; set before every part')
    .option(
      '--by <way>',
      'lines, paragraphs, sentences, tokens, markdown, code, records, items or auto (default: what suits the file)',
    )
    .addOption(
      new Option('--size <number>', 'units a part at most: lines, records, tokens …').argParser(
        wholeNumber,
      ),
    )
    .addOption(
      new Option('--overlap <number>', 'units of the part before, sent again').argParser(
        noneOrMore,
      ),
    )
    .addOption(
      new Option('--max-parallel <number>', 'parts at once (default: as seats allow)').argParser(
        wholeNumber,
      ),
    )
    .option('--language <name>', 'of code (default: by the ending of the file)')
    .option('--combine <way>', 'concat, json, yaml, reduce, vote, or a JSON object')
    .option('--instruction <text>', 'how a model makes one answer of all (--combine reduce)')
    .addOption(
      new Option('--on-error <what>', 'a part that fails ends it, or is marked').choices([
        'retry',
        'partial',
      ]),
    )
    .option('--system <text>', 'system message of every part')
    .option('--format <what>', 'json, or a file with a JSON schema')
    .addOption(
      new Option('--priority <class>', 'before or behind others (default batch)').choices([
        'interactive',
        'normal',
        'batch',
      ]),
    )
    .option('--timeout <duration>', 'for the whole of one file, such as 30m')
    .option('-o, --output <file>', 'the answer goes there, not to stdout')
    .option('--json', 'one JSON object for each file')
    .option('--dry-run', 'show the plan; no backend is asked')
    .option('--quiet', 'say nothing but what went wrong')
    .option('--url <url>', 'of the proxy')
}

function serveOptions({ config, listen, backend, slots, makeAdminToken }: ServingFlags) {
  return { config, listen, backends: backend, slots, makeAdminToken }
}

/** Also by CHASQUI_SUPERVISED; a server that a supervisor has started serves. */
function mustSupervise({ supervised }: ServingFlags, env: NodeJS.ProcessEnv): boolean {
  const wanted = supervised === true || coerce(env['CHASQUI_SUPERVISED'] ?? '', 'boolean') === true
  return wanted && env[workerVariable] === undefined
}

function manyTimes(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string, before: string[] | undefined) => [
    ...(before ?? []),
    text,
  ])
}

function wholeNumber(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1)
    throw new InvalidArgumentError('a whole number from 1 on')
  return number
}

function noneOrMore(text: string): number {
  return text === '0' ? 0 : wholeNumber(text)
}
