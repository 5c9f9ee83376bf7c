/**
 * The room that a log takes where it is hardest: a deep backlog, of which every segment holds a part, beside a queue whose messages
 * are consumed as they come. The disk is simulated, so that the same seed takes the same time.
 */
import { expect, test } from 'vitest'
import type { LiveEntries } from '../../node/storage/held-entries.ts'
import { nothingRemoved, type SegmentManifest, withRemoved } from '../../node/storage/segment-manifest.ts'
import type { Wal } from '../../node/storage/wal.ts'
import { type Entry, EntryType } from '../../raft/index.ts'
import { group, World } from './support/world.ts'

const MIB = 1024 * 1024
const segmentBytes = 2 * MIB
const entryBytes = 16 * 1024
const appendEntries = 16
/** Log that comes between two checkpoints. */
const checkpointBytes = 8 * MIB
/** Of the backlog's messages two in five stay: too few for their segments to stay, and as much to copy as there can be. */
const staysOfBacklog = (index: number) => index % 5 < 2
/** Of the later ones one in ten: the backlog grows, and each new segment holds a part of it. */
const staysOfTraffic = (index: number) => index % 10 === 0

/** As a node does it: at most one plan waits, and the one under way knows. */
class Checkpoints {
  readonly #wal: Wal
  #waiting: { readonly firstIndex: number; readonly live: LiveEntries } | undefined
  #running: Promise<void> | undefined
  bytesCopied = 0

  constructor(wal: Wal) {
    this.#wal = wal
  }

  make(index: number, live: ReadonlySet<number>): void {
    this.#waiting = { firstIndex: index + 1, live: new Set(live) }
    this.#running ??= this.#run()
  }

  get idle(): Promise<void> {
    return this.#running ?? Promise.resolve()
  }

  async #run(): Promise<void> {
    while (this.#waiting !== undefined) {
      const plan = { group, ...this.#waiting, isSuperseded: () => this.#waiting !== undefined }
      this.#waiting = undefined
      const { bytesCopied } = await this.#wal.compact(plan)
      this.bytesCopied += bytesCopied
    }
    this.#running = undefined
  }
}

class Bench {
  readonly world = new World(3)
  wal!: Wal
  index = 0

  async open(): Promise<void> {
    let value = nothingRemoved
    const manifest: SegmentManifest = {
      get value() {
        return value
      },
      remove: async (sequences) => {
        value = withRemoved(value, sequences)
      },
    }
    this.wal = await this.world.open({ segmentBytes, manifest, idleMarkerMs: 1e9 })
  }

  async append(): Promise<void> {
    const entries = Array.from({ length: appendEntries }, (_, i): Entry => {
      const index = this.index + 1 + i
      return { index, term: 1, type: EntryType.command, data: Buffer.alloc(entryBytes, index) }
    })
    const hardState = { term: 1, vote: 'n1', commit: this.index }
    this.index += appendEntries
    await this.wal.group(group).append({ hardState, entries })
  }

  /** What the last append brought. */
  get newest(): number[] {
    return Array.from({ length: appendEntries }, (_, i) => this.index - appendEntries + 1 + i)
  }

  get diskBytes(): number {
    return this.wal.stats.segments * segmentBytes
  }
}

test('a deep backlog beside a busy queue takes at most three times its own room, and what comes between checkpoints', async () => {
  const bench = new Bench()
  await bench.open()
  const live = new Set<number>()
  while (live.size * entryBytes < 16 * MIB) {
    await bench.world.settle(bench.append())
    for (const index of bench.newest) if (staysOfBacklog(index)) live.add(index)
  }
  const checkpoints = new Checkpoints(bench.wal)
  checkpoints.make(bench.index, live)
  let mostBeyond = 0
  const look = () => {
    mostBeyond = Math.max(mostBeyond, bench.diskBytes - 3 * live.size * entryBytes)
  }
  const traffic = async () => {
    let due = bench.index
    while (bench.index * entryBytes < 256 * MIB) {
      await bench.append()
      for (const index of bench.newest) if (staysOfTraffic(index)) live.add(index)
      look()
      if (bench.index < due) continue
      due += checkpointBytes / entryBytes
      checkpoints.make(bench.index, live)
    }
  }
  await bench.world.settle(traffic())
  expect(mostBeyond).toBeLessThan(2 * checkpointBytes)
  await bench.world.settle(checkpoints.idle)
  // What is copied once is not copied again and again.
  expect(checkpoints.bytesCopied).toBeLessThan(2 * live.size * entryBytes)
  expect(await bench.wal.group(group).missing(live)).toEqual([])
}, 60_000)
