/**
 * What a nemesis is: one file that draws faults. A fault is drawn from the seed alone before the run begins; what only a run can tell (who
 * leads) is looked up when it begins. Adding one is that file and a line in nemeses/index.ts.
 */
import type { Json } from './history.ts'
import type { Random } from './random.ts'

export interface Nemesis {
  readonly name: string
  /** One line for `--list`. */
  readonly about: string
  /** Why it cannot run on this machine (no root, no libfaketime), or undefined. */
  unavailable?(): Promise<string | undefined>
  /** What it does to links: not every network can do everything. */
  readonly impairments?: readonly Impairment['type'][]
  /** What a node process is started with, so that the fault can reach it. */
  readonly launch?: LaunchNeeds
  draw(random: Random, nodes: readonly string[]): Fault
  /** Given the sum of what its faults did in the run: why they did not bite, or undefined. */
  bite(done: Totals): string | undefined
}

export interface LaunchNeeds {
  /** The file shim is loaded (files/shim). */
  readonly shim?: boolean
  /** The node's clock is libfaketime's. */
  readonly fakeClock?: boolean
  /** The data directory is on a small file system of its own, of so many bytes; needs root. */
  readonly smallDisk?: number
  /** Settings of the nodes with which the fault can bite in a short run. Users' own go before them. */
  readonly nodeOptions?: Readonly<Record<string, Json>>
}

/** What faults did, by name of the figure: `kills`, `bytesDropped`, `rolledBackBytes`, … */
export type Totals = Readonly<Record<string, number>>

export interface Fault {
  /** For history, progress and report: `partition leader | n1,n2`, as far as it is known before it begins. */
  readonly name: string
  /** How long it holds, milliseconds; 0: it is over when it has begun. */
  readonly holdMs: number
  /** Resolves with what it did, in words (for the history) and figures. */
  begin(target: FaultTarget): Promise<FaultReport>
  /** Undoes it. Called once, also when `begin` failed half-way. */
  end(target: FaultTarget): Promise<FaultReport>
}

export interface FaultReport {
  readonly what: string
  readonly done: Totals
}

/** The cluster as a fault sees it. Faults of several nemeses overlap: each call is safe in any state, and says what it did. */
export interface FaultTarget {
  /** All that were ever started, members or not, in the order of their names. */
  readonly nodes: readonly string[]
  /** The node that most running nodes follow; undefined when there is none. */
  leader(): Promise<string | undefined>
  isRunning(node: string): boolean
  /** SIGKILL. Resolves true when it ran. What it wrote without a sync survives: the page cache is the machine's. */
  kill(node: string): Promise<boolean>
  /**
   * Power loss: SIGKILL, and what the node had not synced is rolled back (files/roll-back.ts), also of its former lives. One that is
   * down loses power too. Resolves with the figures of that when the files are as the power left them; undefined when it has no shim.
   */
  cutPower(node: string): Promise<Totals | undefined>
  /** SIGKILL if it runs, then works on its files; whoever wants to start it meanwhile (another fault's end) waits for the end of that. */
  whileDown<T>(node: string, work: () => Promise<T>): Promise<T>
  /** Its own end in one of these ways is no anomaly until that is over, whoever starts it meanwhile. Any other end is one. */
  expectEnd(node: string, endings: OwnEndings): ExpectedEnd
  /**
   * A write or a sync of its log has failed in its present life, so it must end by itself, at once. Resolves when it is gone; one that goes on is an
   * anomaly of the run, and is killed. Time in which it is paused does not count.
   */
  mustEnd(node: string): Promise<void>
  /** Starts it if it does not run; does not wait until it is ready. */
  start(node: string): Promise<void>
  /** SIGTERM, and waits for the end. */
  stop(node: string): Promise<void>
  /** SIGSTOP and SIGCONT. Pauses of several faults count: it runs again when the last one has ended. */
  pause(node: string): void
  resume(node: string): void
  /** Resolves when the node is ready (its /readyz), or false after `withinMs`. */
  ready(node: string, withinMs: number): Promise<boolean>
  readonly links: Links
  /** `meshmq ARGS` against a node that runs: the same CLI that users have. */
  cli(args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>
  dataDir(node: string): string
  /**
   * Takes a node into the minority whose disks may be hurt; false when that would make it too many (fewer than a majority left whole) and the
   * fault must do nothing. Given back when the node is ready again after `healed`.
   */
  wound(node: string): boolean
  healed(node: string): void
  /**
   * Begins a fault of the node's files (files/shim-faults.ts). It lasts until it is ended or the node's process is gone; faults of one node add up.
   * A process that is paused, or blocked, hears of it when it goes on. On a node without shim, or one that is down, it does nothing.
   */
  breakFiles(node: string, fault: FileFault): Promise<EndFileFault>
  /** One figure of the node's /metrics; undefined: it does not answer, or has none of that name. */
  metric(node: string, name: string): Promise<number | undefined>
  /** What time it is by the node's own wall clock, milliseconds since 1970, to the second; undefined: it does not answer. */
  timeOf(node: string): Promise<number | undefined>
  /** Sets the node's clock: offset in milliseconds and rate; of the fake clock. */
  clock(node: string, offsetMs: number, rate: number): Promise<void>
  /** Ends a worker process with SIGKILL: clients and consumers die with it. Resolves with how many processes (of the history) that were. */
  killWorker(random: number): Promise<number>
}

/** How a node may end by itself. */
export interface OwnEndings {
  /** With exit code 1 and a last word of one of these codes (`meshmq: NoSpace: …`). */
  readonly codes: readonly string[]
  /** In native code, which tells no codes. */
  readonly signals?: readonly NodeJS.Signals[]
}

export interface ExpectedEnd {
  /** How often the node has ended so. */
  readonly count: number
  /** From now on such an end is an anomaly again. */
  over(): void
  /** In lives that begin from now on: what the present one has met may end it later. */
  overWithItsLife(): void
}

/** A fault of what the shim follows: the log's files and the `boot` file. */
export type FileFault =
  /** Syncs, and writes that are synced, take so much longer, and up to so much on top by chance. */
  | { readonly type: 'slow'; readonly ms: number; readonly jitterMs: number }
  /** They fail with EIO: the next one, or all from now on. `write`: nothing is written; `sync`: it is, but not on the disk. */
  | { readonly type: 'fail'; readonly on: 'write' | 'sync'; readonly times: 'once' | 'always' }
  /** The disk has so many bytes left: files that would grow beyond them get ENOSPC, and the node is told so when it asks. */
  | { readonly type: 'full'; readonly roomBytes: number }
  /** None, but writes and syncs that the system itself refuses are counted. */
  | { readonly type: 'watch' }

/**
 * Takes this fault away, and tells what it alone did (files/shim-faults.ts). undefined: the process in which it began is gone. Rejects when the shim
 * does not answer. Repeated calls tell the same.
 */
export type EndFileFault = () => Promise<Totals | undefined>

/** Every directed link: between nodes, and from the clients to each node. */
export interface Links {
  /** A name for the clients' side; node names are the others. */
  readonly clients: 'clients'
  /**
   * Adds a fault on the way from → to (bytes that flow in this direction, whoever opened the socket). Returns, when it holds, how to take it away
   * again; faults on one way add up. What is returned tells what this one did.
   */
  impair(from: string, to: string, impairment: Impairment): EndImpairment | Promise<EndImpairment>
  /** Bytes that impairments have swallowed or reset since the run began. */
  readonly bytesDropped: number
  /** Bytes that impairments have held back, for long enough to matter. */
  readonly bytesDelayed: number
}

/** Repeated calls tell the same. */
export type EndImpairment = () => ImpairmentEffect | Promise<ImpairmentEffect>

/** What one impairment did until it was taken away. Where several hold on a way, each counts what came while it held. */
export interface ImpairmentEffect {
  readonly bytesDropped: number
  readonly bytesDelayed: number
  readonly socketsReset: number
}

export type Impairment =
  /** Bytes vanish; TCP is not told. By a proxy, what was lost cannot come later on that socket: it is reset when the impairment ends. */
  | { readonly type: 'blackhole' }
  /** Open sockets are reset, and new ones too. */
  | { readonly type: 'reset' }
  /** Open sockets are reset, and dials refused, as by a firewall: the other end looks dead, and is not. */
  | { readonly type: 'refuse' }
  /** Each chunk comes so much later, in order. */
  | { readonly type: 'delay'; readonly ms: number; readonly jitterMs: number }
  /** Nothing passes while it holds; then all of it does. */
  | { readonly type: 'stall' }
  | { readonly type: 'rate'; readonly bytesPerSecond: number }

/** Impairments that end sockets. */
export const resetting: ReadonlySet<Impairment['type']> = new Set(['reset', 'refuse'])
