/** Stores for tests: a simulated one that needs no time, and marks to put in it. */
import type { Store } from '../../../node/storage/store.ts'
import { EntryType, encodeMembership, type SnapshotMark } from '../../../raft/index.ts'
import { SimulatedStore } from '../../sim/simulated-store.ts'
import { Random } from '../../support/random.ts'

/** Its operations take a turn of the event loop each. */
export function simulatedStore(seed = 1): SimulatedStore {
  return new SimulatedStore({ schedule: (_, callback) => setImmediate(callback), random: new Random(seed) })
}

/** Opens a store, uses it and closes it. */
export async function withStore<T>(disk: SimulatedStore, use: (store: Store) => Promise<T>): Promise<T> {
  const store = await disk.open()
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}

/** Of a cluster with that many voters, whose membership is entry 1. */
export function markAt(index: number, term = 1, voters = 3): SnapshotMark {
  const members = Array.from({ length: voters }, (_, i) => ({ id: `n${i + 1}`, incarnation: `life-${i + 1}` }))
  const data = encodeMembership({ clusterId: 'c1', voters: members, votersOutgoing: [], learners: [] })
  return { index, term, membership: { index: 1, term: 1, type: EntryType.membership, data } }
}

/** Recognisable bytes. */
export function chunkOf(text: string, bytes = 64): Uint8Array {
  return Uint8Array.from(Buffer.alloc(bytes, text))
}
