/** The benchmark's command line. */
import { parseArgs } from 'node:util'

export const workloadNames = ['W1', 'W2', 'W3', 'W4', 'W5', 'W6', 'W7', 'W8'] as const
export type WorkloadName = (typeof workloadNames)[number]

export interface BenchOptions {
  readonly workloads: readonly WorkloadName[]
  /** Body sizes, bytes (W1, W2, W3, W5). */
  readonly sizes: readonly number[]
  /** Runs of each row; the median counts. */
  readonly reps: number
  /** Measured part of a run, after the warm-up. */
  readonly seconds: number
  /** Publishes in flight (W1, W2, W3). */
  readonly window: number
  readonly prefetch: number
  /** Holds the cluster's data while it runs. */
  readonly directory: string
  /** First of three ports. */
  readonly port: number
  /** The node that publisher and consumer are connected to (W1, W2, W3, W5). */
  readonly on: 'leader' | 'follower'
  /** Nodes (n1, n2, n3) and roles to run under --cpu-prof. */
  readonly profile: readonly string[]
  /** W6: how long it publishes on after the kill, seconds. */
  readonly afterSeconds: number
  /** W7: messages that nobody consumes. W8: those that a node misses. */
  readonly backlog: number
  readonly jsonFile: string | undefined
}

const usage = `npm run bench [-- W1,W2,… [options]]    (default: all of ${workloadNames.join(',')})
  --size=128,1024   body sizes, bytes         --reps=3      runs of each row
  --secs=6          measured part of a run    --window=1000 publishes in flight
  --prefetch=2000   of consumers              --on=leader   or follower: where clients connect
  --dir=data/bench  on a real disk            --port=17101  first of three
  --after=12        W6: seconds after the kill
  --backlog=1000000 W7: messages that nobody consumes; W8: that a node misses
  --profile=n1,publisher   nodes and roles to run under --cpu-prof (files in DIR/profiles)
  --json=FILE       every run's figures`

const definitions = {
  size: { type: 'string', default: '128,1024' },
  reps: { type: 'string', default: '3' },
  secs: { type: 'string', default: '6' },
  window: { type: 'string', default: '1000' },
  prefetch: { type: 'string', default: '2000' },
  dir: { type: 'string' },
  port: { type: 'string', default: '17101' },
  on: { type: 'string', default: 'leader' },
  profile: { type: 'string', default: '' },
  after: { type: 'string', default: '12' },
  backlog: { type: 'string', default: '1000000' },
  json: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const

/** Undefined: help was asked for and printed. Throws on what it does not know. */
export function parseBenchOptions(args: readonly string[], defaultDirectory: string): BenchOptions | undefined {
  const { values, positionals } = parseArgs({ args: [...args], options: definitions, allowPositionals: true })
  if (values.help) {
    process.stdout.write(`${usage}\n`)
    return undefined
  }
  if (values.on !== 'leader' && values.on !== 'follower') throw new Error('--on is leader or follower')
  return {
    workloads: positionals.length === 0 ? workloadNames : positionals.flatMap(split).map(workloadName),
    sizes: split(values.size).map((text) => positive('size', text)),
    reps: positive('reps', values.reps),
    seconds: positive('secs', values.secs),
    window: positive('window', values.window),
    prefetch: positive('prefetch', values.prefetch),
    directory: values.dir ?? defaultDirectory,
    port: positive('port', values.port),
    on: values.on,
    profile: split(values.profile),
    afterSeconds: positive('after', values.after),
    backlog: positive('backlog', values.backlog),
    jsonFile: values.json,
  }
}

function split(text: string): string[] {
  return text.split(',').filter((part) => part !== '')
}

function workloadName(text: string): WorkloadName {
  const name = workloadNames.find((candidate) => candidate === text.toUpperCase())
  if (name === undefined) throw new Error(`there is no workload '${text}'; there are ${workloadNames.join(', ')}`)
  return name
}

function positive(option: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${option} must be a whole number above 0`)
  return value
}
