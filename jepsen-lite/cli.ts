/**
 * The command line of jepsen-lite, the same as `npm run jepsen --` and as `meshmq chaos`: options in, progress and verdict out, and the verdict
 * once more as exit code.
 *
 *     0 valid   1 invalid   2 unknown, or it was called wrongly, or no run came about
 */
import { randomInt } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { networks } from './cluster/networks.ts'
import { nemeses } from './nemeses/index.ts'
import {
  defaults,
  type GivenOptions,
  networkNamed,
  type RunOptions,
  runOptionsOf,
  UsageError,
  whyNot,
} from './options.ts'
import { runReal } from './real-run.ts'
import type { RunResult, Verdict } from './run/result.ts'
import { ownBin } from './run/versions.ts'
import { workloads } from './workloads/index.ts'

interface Typed {
  readonly workload: string
  readonly nemesis: string
  readonly seconds: number
  readonly seed?: number
  readonly nodes: number
  readonly concurrency?: number
  readonly rate?: number
  readonly bin?: string
  readonly network: string
  readonly config?: string
  readonly nodeOptions?: string
  readonly results: string
  readonly repeat: number
  readonly keepData?: boolean
  readonly list?: boolean
}

const UNKNOWN = 2
const SEED_MAX = 2 ** 31
const REASONS_SHOWN = 10

/** Resolves with the exit code; never rejects, never ends the process but at a second Ctrl-C. */
export async function runCli(args: readonly string[], name: string): Promise<number> {
  let exitCode = 0
  const program = programOf(name).action(async (typed: Typed) => {
    exitCode = typed.list === true ? await list(typed.network) : await runAll(typed)
  })
  try {
    await program.parseAsync(args, { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    const isMisuse = error instanceof UsageError || error instanceof CommanderError
    const text = isMisuse || !(error instanceof Error) ? String((error as Error).message ?? error) : error.stack
    process.stderr.write(`${name}: ${text?.replace(/^error: /, '')}\n`)
    return UNKNOWN
  }
}

function programOf(name: string): Command {
  return new Command(name)
    .description('Runs real clusters under faults, records what clients see, and judges it.')
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError(false)
    .option('--workload <name>', 'what clients do', defaults.workload)
    .option(
      '--nemesis <names>',
      'faults, separated by commas; or all, none, or mix: some, drawn from the seed',
      defaults.nemesis,
    )
    .option('--seconds <n>', 'how long operations go on under faults', wholeFrom(1), defaults.seconds)
    .option('--seed <n>', 'fixes operations and faults (default: a random one)', wholeFrom(0))
    .option('--nodes <n>', 'size of the cluster', wholeFrom(1), defaults.nodes)
    .option('--concurrency <n>', 'clients at a time (default: by workload)', wholeFrom(1))
    .option(
      '--rate <n>',
      'operations a second of all clients; 0: as fast as they can (default: by workload)',
      wholeFrom(0),
    )
    .option('--bin <file>', "the program that the nodes run: a build's node/cli/main.js (default: this package's)")
    .option(
      '--network <kind>',
      'proxies, or namespaces: a network namespace for each node, faults by nftables (Linux, root)',
      defaults.network,
    )
    .option('--config <file>', 'settings of your own for every node, as JSON, as for `meshmq start --config`')
    .option('--node-options <json>', 'the same, inline; goes before the file')
    .option('--results <dir>', 'where each run leaves its folder', path.join('data', 'jepsen'))
    .option(
      '--repeat <n>',
      'runs one after the other, each with the next seed; ends at the first that is invalid',
      wholeFrom(1),
      1,
    )
    .option('--keep-data', "keeps the nodes' data directories of valid runs too")
    .option('--list', 'tells what there is, and what cannot be done here')
    .addHelpText('after', '\nExit codes: 0 valid, 1 invalid, 2 unknown or called wrongly.')
}

function wholeFrom(least: number): (value: string) => number {
  return (value) => {
    const number = Number(value)
    if (!Number.isInteger(number) || number < least) throw new InvalidArgumentError(`a whole number from ${least} on`)
    return number
  }
}

/** What of the nemeses cannot be done is told for the network that is asked for. */
async function list(network: string): Promise<number> {
  const chosen = networkNamed(network)
  const lines = ['workloads']
  for (const { name, about } of workloads) lines.push(`  ${name.padEnd(16)} ${about}`)
  lines.push('', 'nemeses')
  for (const nemesis of nemeses) {
    lines.push(lineOf(nemesis, await whyNot(nemesis, chosen)))
  }
  lines.push('', 'networks')
  for (const each of networks) lines.push(lineOf(each, await each.unavailable()))
  process.stdout.write(`${lines.join('\n')}\n`)
  return 0
}

function lineOf({ name, about }: { readonly name: string; readonly about: string }, why: string | undefined): string {
  return `  ${name.padEnd(16)} ${about}${why === undefined ? '' : ` [not here: ${why}]`}`
}

/** The worst of the verdicts as exit code. */
async function runAll(typed: Typed): Promise<number> {
  const first = typed.seed ?? randomInt(SEED_MAX)
  let worst = 0
  for (let i = 0; i < typed.repeat && worst !== 1; i++) {
    const options = await runOptionsOf(givenBy(typed, first + i), { workloads, nemeses })
    const { valid } = (await runOne(options, typed)).verdict
    if (valid === false) worst = 1
    else if (valid === 'unknown') worst = UNKNOWN
  }
  return worst
}

function givenBy(typed: Typed, seed: number): GivenOptions {
  const { workload, nemesis, seconds, nodes, concurrency, rate, bin = ownBin(), network, config, nodeOptions } = typed
  const file = config === undefined ? {} : parseObject(config, readFileSync(config, 'utf8'))
  const inline = nodeOptions === undefined ? {} : parseObject('--node-options', nodeOptions)
  return {
    workload,
    nemesis,
    seconds,
    seed,
    nodes,
    bin: path.resolve(bin),
    network,
    nodeOptions: { ...file, ...inline },
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(rate === undefined ? {} : { rate }),
  }
}

function parseObject(where: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    throw new UsageError(`${where} is no JSON`)
  }
  throw new UsageError(`${where} must hold a JSON object`)
}

async function runOne(options: RunOptions, { results, keepData }: Typed): Promise<RunResult> {
  const { workload, nemeses: names, seed, seconds, nodes } = options.settings
  const stamp = new Date().toISOString().replace(/[-:]|\..*/g, '')
  const folder = path.resolve(results, `${stamp}-${workload}-${seed}`)
  const faults = names.length === 0 ? 'no faults' : names.join(', ')
  process.stdout.write(`${workload} under ${faults}: ${nodes} nodes, ${seconds} s, seed ${seed}\n${folder}\n`)
  const { stopped, forget } = onInterrupt()
  try {
    const result = await runReal(options, { folder, terminal: process.stdout, stopped })
    if (result.verdict.valid === true && keepData !== true) {
      rmSync(path.join(folder, 'data'), { recursive: true, force: true })
    }
    process.stdout.write(`${verdictText(result.verdict)}\n`)
    return result
  } finally {
    forget()
  }
}

/** The first Ctrl-C ends a run in good order: healed, drained and judged. The second one ends the process. */
function onInterrupt(): { readonly stopped: AbortSignal; readonly forget: () => void } {
  const stopped = new AbortController()
  const interrupt = () => {
    if (stopped.signal.aborted) process.exit(UNKNOWN)
    stopped.abort()
  }
  process.on('SIGINT', interrupt)
  return { stopped: stopped.signal, forget: () => process.off('SIGINT', interrupt) }
}

function verdictText({ valid, reasons, counts, bite }: Verdict): string {
  const lines = [valid === true ? 'VALID' : valid === false ? 'INVALID' : 'UNKNOWN']
  for (const reason of reasons.slice(0, REASONS_SHOWN)) lines.push(`  ${reason}`)
  if (reasons.length > REASONS_SHOWN) lines.push(`  and ${reasons.length - REASONS_SHOWN} more`)
  for (const { nemesis, faults, done } of bite) lines.push(`  ${nemesis}: ${faults} faults, ${figuresOf(done)}`)
  lines.push(`  ${figuresOf(counts)}`)
  return lines.join('\n')
}

function figuresOf(figures: Readonly<Record<string, number>>): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}
