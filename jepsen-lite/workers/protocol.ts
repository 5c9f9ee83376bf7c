/** What runner and worker processes say to each other, as JSON over Node's channel between parent and child, in order. */
import type { ConnectOptions } from '../../client/index.ts'
import type { Completion, Json, Operation } from '../history.ts'

/** What of the SDK's options can be sent. */
export type SentConnectOptions = Omit<ConnectOptions, 'signal' | 'logger'>

export type ToWorker =
  /** The first one. `module`: a file that exports `workloads`. */
  | {
      readonly type: 'begin'
      readonly module: string
      readonly workload: string
      readonly connectOptions: SentConnectOptions
      readonly concurrency: number
    }
  | { readonly type: 'open'; readonly process: number; readonly slot: number }
  | { readonly type: 'invoke'; readonly process: number; readonly operation: Operation }
  | { readonly type: 'close'; readonly process: number }

export type FromWorker =
  | { readonly type: 'begun' }
  /** Its client is there; or why not. */
  | { readonly type: 'opened'; readonly process: number; readonly error?: string }
  | { readonly type: 'completed'; readonly process: number; readonly completion: Completion }
  | { readonly type: 'closed'; readonly process: number }
  /** `at`: `process.hrtime` of the worker, nanoseconds. */
  | {
      readonly type: 'emitted'
      readonly name: string
      readonly f: string
      readonly value: Json
      readonly at: number
    }
  /** What no workload may let happen: the worker ends with it. */
  | { readonly type: 'thrown'; readonly error: string }
