/** What a run asks of its cluster, beside what faults ask of it. */
import type { NetworkKind } from '../cluster/networks.ts'
import type { FaultTarget, LaunchNeeds, Totals } from '../nemesis.ts'
import type { Random } from '../random.ts'
import type { SentConnectOptions } from '../workers/protocol.ts'

export interface RunCluster extends FaultTarget {
  /** By way of the clients' links. */
  readonly connectOptions: SentConnectOptions
  /** Nodes that ended by themselves though no fault had them do so (`crashed`), or went on though they had to end (`survived`). */
  readonly crashes: readonly Crash[]
  /** What `killWorker` calls. */
  onWorkerKill: (random: number) => Promise<number>
  /** Calls several times a second with what the nodes say of themselves, until the function that it returns is called. */
  watch(tell: (seen: ClusterSeen) => void): () => void
  /** What links, processes and nodes have counted since the start: `elections`, `bytesDropped`, … */
  evidence(): Totals
  /** All links clean, all nodes running and ready: undefined; or what is not. */
  heal(withinMs: number): Promise<string | undefined>
  /** Whether all members come to the same applied index and state. `diverged`: the same index, and another state. */
  agree(withinMs: number): Promise<Agreement>
  /** Ends all nodes, in good order where they can. */
  shutDown(): Promise<void>
}

export interface Crash {
  readonly type: 'crashed' | 'survived'
  readonly node: string
  readonly ending: string
  readonly output: string
}

export interface ClusterSeen {
  readonly leader?: string | undefined
  readonly term: number
  readonly ready: readonly string[]
}

export type Agreement =
  | { readonly ok: true; readonly index: number; readonly hash: string }
  | { readonly ok: false; readonly what: string; readonly diverged: boolean }

export interface ClusterNeeds {
  readonly nodes: number
  /** Data and logs of the nodes go here. */
  readonly folder: string
  readonly bin: string
  readonly network: NetworkKind['name']
  readonly launch: LaunchNeeds
  readonly nodeOptions: Readonly<Record<string, unknown>>
  readonly random: Random
}
