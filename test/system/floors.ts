/** Below what a thousand seeds prove nothing. */
import type { RunCounts } from './run.ts'

/** Least that a thousand seeds must have done: about half of what they do. */
export const floorsPerThousand: Partial<Record<keyof RunCounts, number>> = {
  elections: 2_400,
  entries: 125_000,
  acked: 58_000,
  unknown: 2_400,
  deliveries: 98_000,
  redeliveries: 3_400,
  replies: 10_000,
  statesCompared: 15_000,
  crashes: 2_200,
  stops: 550,
  pauses: 900,
  partitions: 2_500,
  breaks: 450,
  diskFailures: 140,
  wallJumps: 280,
  wipes: 55,
  damages: 150,
  fullDisks: 220,
  removals: 70,
  transfers: 160,
  clientCrashes: 230,
  clientPauses: 250,
  dials: 70_000,
  bytesLost: 300_000,
  diskBytesLost: 100_000,
  checkpoints: 5_000,
  installs: 100,
}
