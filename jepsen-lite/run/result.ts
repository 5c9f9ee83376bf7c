/**
 * What a run leaves behind, as plain values: all that the results folder and the report are made of. Times are nanoseconds since the run
 * began, as in the history, unless a name says otherwise.
 */
import type { NetworkKind } from '../cluster/networks.ts'
import type { Event } from '../history.ts'
import type { Totals } from '../nemesis.ts'
import type { Anomaly } from '../workload.ts'

/** The settings of a run, after defaults. With the build of the nodes they fix operations and faults. */
export interface RunSettings {
  readonly workload: string
  readonly nemeses: readonly string[]
  readonly seconds: number
  readonly seed: number
  readonly nodes: number
  readonly concurrency: number
  /** Operations per second of all processes together; 0: as fast as they can. */
  readonly rate: number
  /** The program that the nodes run: path of the CLI's JavaScript file. */
  readonly bin: string
  /** What joins nodes and clients. */
  readonly network: NetworkKind['name']
  /** Users' own settings for the nodes, merged into the configuration of each. */
  readonly nodeOptions: Readonly<Record<string, unknown>>
}

export interface Versions {
  /** What `meshmq --version` of the nodes' build says. */
  readonly meshmq: string
  readonly node: string
  /** Commit of the checkout that the nodes' build lies in, `-dirty` behind it if files differ; undefined outside of one. */
  readonly commit: string | undefined
  readonly platform: string
}

/** A fault as it was drawn before the start. */
export interface PlannedFault {
  /** Position in the schedule, from 0. */
  readonly number: number
  /** Milliseconds since the first operation. */
  readonly atMs: number
  readonly holdMs: number
  readonly nemesis: string
  /** As far as it is known beforehand: `partition leader | others`. */
  readonly name: string
}

/** A fault as it happened: what the report shades. */
export interface FaultWindow {
  /** Position in the schedule. */
  readonly number: number
  readonly nemesis: string
  readonly name: string
  readonly from: number
  /** When its end was done. */
  readonly to: number
  /** What begin and end said that they did. */
  readonly what: string
  readonly done: Totals
  /** Why it could not begin or end. */
  readonly error?: string
}

/** The cluster as its admin interface told it at one moment. */
export interface WatchSample {
  readonly time: number
  readonly leader: string | undefined
  readonly term: number
  /** Names of the nodes that are ready. */
  readonly ready: readonly string[]
}

/** Part of a run, in this order. */
export type PhaseName = 'start' | 'setup' | 'faults' | 'heal' | 'drain' | 'agree' | 'check'

export interface PhaseWindow {
  readonly name: PhaseName
  readonly from: number
  readonly to: number
}

export interface Verdict {
  /** False when something is wrong; `unknown` when nothing was found but the run proves nothing. */
  readonly valid: true | false | 'unknown'
  /** One sentence each: why it is not valid. Empty for a valid run. */
  readonly reasons: readonly string[]
  readonly anomalies: readonly Anomaly[]
  /** From the checker, beside `ok.publish`, `fail.publish`, `info.publish`, … for each kind of operation. */
  readonly counts: Readonly<Record<string, number>>
  /** For each nemesis: whether its faults did anything, and what they did in sum. */
  readonly bite: readonly Bite[]
}

export interface Bite {
  readonly nemesis: string
  readonly faults: number
  readonly done: Totals
  /** Why it did not bite. */
  readonly problem?: string
}

export interface RunResult {
  readonly settings: RunSettings
  readonly versions: Versions
  /** Wall clock, ISO 8601. */
  readonly startedAt: string
  readonly verdict: Verdict
  readonly history: readonly Event[]
  readonly schedule: readonly PlannedFault[]
  readonly faults: readonly FaultWindow[]
  readonly phases: readonly PhaseWindow[]
  readonly watch: readonly WatchSample[]
  /** What the cluster's links, processes and admin interface counted over the whole run: elections, bytesDropped, kills, … */
  readonly evidence: Totals
  /** Names of the nodes, in order. */
  readonly nodes: readonly string[]
}
