/**
 * Installs between two real logs that are compacted meanwhile: what is being given, and what is being taken, must stay.
 */
import { beforeEach, describe, expect, test } from 'vitest'
import { BodyFetcher } from '../../../node/checkpointing/body-fetcher.ts'
import { FetchClient } from '../../../node/checkpointing/fetch-client.ts'
import { InstallSource, PIN_MS } from '../../../node/checkpointing/install-source.ts'
import { Installer } from '../../../node/checkpointing/installer.ts'
import type {
  CheckpointInfo,
  CheckpointStore,
  CheckpointWriter,
  SnapshotMark,
} from '../../../node/checkpointing/ports.ts'
import type { FetchQuestion } from '../../../node/peers/fetch-codec.ts'
import type { GroupLog } from '../../../node/storage/group-log.ts'
import { nothingRemoved, type SegmentManifest, withRemoved } from '../../../node/storage/segment-manifest.ts'
import type { Wal } from '../../../node/storage/wal.ts'
import { type Clock, type Entry, EntryType } from '../../../raft/index.ts'
import { group, World } from '../../storage/support/world.ts'
import { markAt, silent } from './support.ts'

const segmentBytes = 8192

function entry(index: number): Entry {
  return { index, term: 1, type: EntryType.command, data: Buffer.alloc(700, `${index};`) }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

/** Checkpoints of which the chunks are lists of indexes. */
class ListCheckpoints implements CheckpointStore {
  current: CheckpointInfo | undefined
  readonly #chunks = new Map<number, Uint8Array>()

  begin(mark: SnapshotMark, origin: 'local' | 'installed'): CheckpointWriter {
    let bytes = new Uint8Array()
    return {
      put: async (chunk) => {
        bytes = Uint8Array.from(chunk)
      },
      commit: async () => {
        this.#chunks.set(mark.index, bytes)
        this.current = { mark, chunks: 1, bytes: bytes.length, origin }
        return this.current
      },
      abandon: async () => {},
    }
  }

  async readChunk(mark: number): Promise<Uint8Array | undefined> {
    return this.#chunks.get(mark)
  }

  pin = () => () => {}
}

class Node {
  readonly checkpoints = new ListCheckpoints()
  readonly wal: Wal
  readonly log: GroupLog
  references = new Set<number>()
  /** The manifest is not durable before this. */
  gate: Promise<void> = Promise.resolve()

  private constructor(wal: Wal) {
    this.wal = wal
    this.log = wal.group(group)
  }

  static async open(world: World, id: string): Promise<Node> {
    let value = nothingRemoved
    const manifest: SegmentManifest = {
      get value() {
        return value
      },
      remove: async (sequences) => {
        value = withRemoved(value, sequences)
        await node.gate
      },
    }
    const node: Node = new Node(await world.open({ directory: `/${id}`, segmentBytes, manifest }))
    return node
  }

  async append(from: number, to: number): Promise<void> {
    for (const index of range(from, to)) {
      await this.log.append({ hardState: { term: 1, vote: 'n1', commit: index - 1 }, entries: [entry(index)] })
    }
  }

  async checkpoint(index: number, references: readonly number[]): Promise<void> {
    const writer = this.checkpoints.begin(markAt(index), 'local')
    await writer.put(Buffer.from(JSON.stringify(references)))
    await writer.commit()
    this.references = new Set(references)
  }
}

let world: World
let clock: Clock
let giver: Node
let taker: Node
let source: InstallSource
let installer: Installer
let fatal: unknown[]
/** Questions for entries are heard from now on. */
let goOn: () => void
let asked: FetchQuestion[]

/** The giver's checkpoint refers to 1 to 40; the taker has none of it. */
beforeEach(async () => {
  world = new World(2)
  const { scheduler } = world
  clock = { ...world.options().clock, defer: (callback) => void scheduler.after(0, callback) }
  fatal = []
  asked = []
  const basics = { clock, logger: silent, onFatal: (error: unknown) => void fatal.push(error) }
  giver = await Node.open(world, 'giver')
  taker = await Node.open(world, 'taker')
  await world.settle(giver.append(1, 100))
  await giver.checkpoint(90, range(1, 40))
  await world.settle(giver.wal.compact({ group, firstIndex: 91, live: giver.references }))
  const held: (() => void)[] = []
  let isHolding = true
  goOn = () => {
    isHolding = false
    for (const ask of held.splice(0)) ask()
  }
  const client = new FetchClient({
    clock,
    random: () => 0.5,
    send: (_, request) => {
      asked.push(request.question)
      const ask = () => source.onRequest('taker', request)
      // Ten bodies come at once, the others when they may.
      if (isHolding && request.question.what === 'entries' && asked.length > 2) held.push(ask)
      else scheduler.after(1, ask)
      return true
    },
  })
  source = new InstallSource({
    ...basics,
    checkpoints: giver.checkpoints,
    entries: giver.log,
    references: () => giver.references,
    appliedIndex: () => 100,
    send: (_, response) => {
      const { answer } = response
      const isCut = isHolding && answer.what === 'entries'
      const given = isCut ? { ...answer, dealt: 10, entries: answer.entries.slice(0, 10) } : answer
      scheduler.after(1, () => client.onResponse('giver', { ...response, answer: given }))
    },
    onDamaged: (error) => void fatal.push(error),
  })
  installer = new Installer({
    ...basics,
    client,
    bodies: new BodyFetcher({ client, keep: (entries) => taker.log.keep(entries) }),
    checkpoints: taker.checkpoints,
    entries: taker.log,
    checkpointer: {
      suspend: async () => () => {},
      adopt: (references) => {
        taker.references = new Set(references)
      },
      installed: () => {},
    },
    driver: {
      status: () => ({ commitIndex: 0 }),
      installed: ({ index, term }, restore) => {
        taker.log.reset({ index, term }).catch((error: unknown) => fatal.push(error))
        restore()
        return true
      },
    },
    read: () => {
      const references = new Set<number>()
      return {
        push: (chunk) => {
          for (const index of JSON.parse(Buffer.from(chunk).toString()) as number[]) references.add(index)
        },
        finish: () => ({ references, restore: () => {} }),
      }
    },
    peers: () => ['giver'],
  })
})

/** An install begins, and comes as far as it may. */
async function begin(): Promise<void> {
  installer.offer({ from: { id: 'giver', incarnation: 'i' }, term: 1, mark: markAt(90) })
  // Its first question is on its way.
  await new Promise((resolve) => process.nextTick(resolve))
  await world.pass(50)
}

async function isDone(): Promise<void> {
  for (let tries = 0; installer.underWay !== undefined && tries < 100; tries++) await world.pass(100)
  expect(fatal).toEqual([])
  expect(installer.installed).toBe(1)
  expect(await taker.log.missing(range(1, 40), 0)).toEqual([])
}

describe('a giver whose newer checkpoints refer to nothing of what is pulled', () => {
  test('keeps it as long as the peer asks, and for a while', async () => {
    await begin()
    expect(installer.staged?.size).toBe(40)
    for (const index of [95, 98, 99]) {
      await giver.checkpoint(index, [])
      const firstIndex = Math.min(index + 1, source.logFloor() ?? Number.POSITIVE_INFINITY)
      expect(firstIndex).toBe(91)
      await world.settle(
        giver.wal.compact({ group, firstIndex, live: giver.references, pinned: () => source.pinned() }),
      )
    }
    goOn()
    await isDone()
    expect(asked.filter(({ what }) => what === 'chunk')).toHaveLength(1)
    expect((await world.settle(giver.log.read(91, 1e6))).map(({ index }) => index)).toEqual(range(91, 100))
    await world.pass(2 * PIN_MS)
    expect([source.pinned(), source.logFloor()]).toEqual([[], undefined])
    await world.settle(giver.wal.compact({ group, firstIndex: 100, live: new Set(), pinned: () => source.pinned() }))
    expect(await giver.log.missing([1, 40])).toEqual([1, 40])
  })
})

describe('a taker whose own log is compacted', () => {
  const pinned = () => (installer.staged === undefined ? [] : [installer.staged])

  /** What is kept in the newest segments stays in any case. */
  const fill = (from: number) => world.settle(taker.log.keep(range(from, from + 29).map(entry)))

  beforeEach(() => world.settle(taker.log.reset({ index: 80, term: 1 })))

  const taken = async () => 40 - (await taker.log.missing(range(1, 40), 0)).length

  test('keeps the bodies that it has taken, though nothing in force refers to them', async () => {
    await begin()
    await fill(1_001)
    expect(await taken()).toBe(10)
    await world.settle(taker.wal.compact({ group, firstIndex: 81, live: new Set(), pinned }))
    expect(await taken()).toBe(10)
    goOn()
    await isDone()
  })

  test('keeps them though the plan was made before the install began, and waited', async () => {
    let open = () => {}
    taker.gate = new Promise((resolve) => {
      open = resolve
    })
    await world.settle(taker.log.keep(range(41, 70).map(entry)))
    const first = taker.wal.compact({ group, firstIndex: 81, live: new Set(), pinned })
    const second = taker.wal.compact({ group, firstIndex: 81, live: new Set(), pinned })
    await world.pass(50)
    await begin()
    await fill(1_001)
    expect(await taken()).toBe(10)
    open()
    const { removed } = await world.settle(first)
    expect(removed).toBeGreaterThan(1)
    await world.settle(second)
    expect(await taken()).toBe(10)
    goOn()
    await isDone()
  })
})
