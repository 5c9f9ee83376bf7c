/** Below what a thousand seeds prove nothing. */
import type { RunCounts } from './run.ts'

/** Least that a thousand seeds must have done: about half of what they do. */
export const floorsPerThousand: Partial<Record<keyof RunCounts, number>> = {
  elections: 2_000,
  entries: 110_000,
  acked: 55_000,
  unknown: 2_500,
  deliveries: 100_000,
  redeliveries: 3_500,
  replies: 8_000,
  statesCompared: 14_000,
  crashes: 2_500,
  stops: 700,
  pauses: 1_200,
  partitions: 2_800,
  breaks: 500,
  diskFailures: 200,
  wallJumps: 300,
  clientCrashes: 300,
  clientPauses: 300,
  dials: 18_000,
  bytesLost: 200_000,
  diskBytesLost: 4_000,
}
