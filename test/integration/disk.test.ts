import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Client, type ConnectOptions, connect } from '../../client/index.ts'
import type { NodeOptions } from '../../node/index.ts'
import { Node } from '../../node/server.ts'
import type { File, Files } from '../../node/storage/files.ts'
import { nodeFiles } from '../../node/storage/node-files.ts'
import { agreedLeader, agreedState, get, metricOf, statusOf } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { freePorts, realDiskFolder } from '../support/place.ts'

const MIB = 1024 * 1024

/** The space of a small disk, as far as files of logs take it. */
class Space {
  readonly #bytes: number
  readonly #sizes = new Map<string, number>()
  /** Writes that it had no room for. */
  refused = 0

  constructor(bytes: number) {
    this.#bytes = bytes
  }

  get free(): number {
    let free = this.#bytes
    for (const size of this.#sizes.values()) free -= size
    return free
  }

  /** The file is to reach this size. Throws as the system does when there is no room. */
  take(name: string, size: number): void {
    const known = this.#sizes.get(name) ?? 0
    if (size <= known) return
    if (size - known > this.free) {
      this.refused++
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    }
    this.#sizes.set(name, size)
  }

  release(name: string): void {
    this.#sizes.delete(name)
  }
}

/** Real files on a disk whose space is what the test says, and which fails or stands still when the test says so. */
class TestDisk implements Files {
  free = Number.MAX_SAFE_INTEGER
  isBroken = false
  /** Where it is small. */
  space: Space | undefined
  #gate: Promise<void> = Promise.resolve()
  #open = () => {}

  /** Nothing is written until `thaw`. */
  freeze(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve
    })
  }

  thaw(): void {
    this.#open()
  }

  list = nodeFiles.list.bind(nodeFiles)
  makeDirectory = nodeFiles.makeDirectory.bind(nodeFiles)
  rename = nodeFiles.rename.bind(nodeFiles)
  syncDirectory = nodeFiles.syncDirectory.bind(nodeFiles)

  async open(name: string, options?: { readonly create?: boolean }): Promise<File> {
    const file = await nodeFiles.open(name, options)
    const writeDurable: File['writeDurable'] = async (buffers, position) => {
      await this.#gate
      if (this.isBroken) throw new Error('EIO')
      this.space?.take(name, position + buffers.reduce((sum, { length }) => sum + length, 0))
      await file.writeDurable(buffers, position)
    }
    return {
      writeDurable,
      read: (buffer, position) => file.read(buffer, position),
      size: () => file.size(),
      close: () => file.close(),
    }
  }

  async remove(name: string): Promise<void> {
    await nodeFiles.remove(name)
    this.space?.release(name)
  }

  async freeBytes(): Promise<number> {
    return this.space?.free ?? this.free
  }
}

/** Nodes, each with a disk of its own. */
class DiskMesh {
  readonly ids: readonly string[]
  readonly disks: ReadonlyMap<string, TestDisk>
  /** What the nodes said, warnings and above. */
  readonly said: string[] = []
  readonly #folder = realDiskFolder()
  readonly #nodes = new Map<string, Node>()
  readonly #clients: Client[] = []
  readonly #cluster: Record<string, string>
  readonly #options: Partial<NodeOptions>

  private constructor(ports: readonly number[], options: Partial<NodeOptions>) {
    this.ids = ports.map((_, i) => `n${i + 1}`)
    this.disks = new Map(this.ids.map((id) => [id, new TestDisk()]))
    this.#cluster = Object.fromEntries(this.ids.map((id, i) => [id, `ws://127.0.0.1:${ports[i]}`]))
    this.#options = options
  }

  /** `space`: of the one disk that all of them are on. */
  static async start(options: Partial<NodeOptions> = {}, count = 3, space?: Space): Promise<DiskMesh> {
    const mesh = new DiskMesh(await freePorts(count), options)
    for (const disk of mesh.disks.values()) disk.space = space
    await Promise.all(mesh.ids.map((id) => mesh.startNode(id)))
    await mesh.ready()
    return mesh
  }

  url(id: string): string {
    return this.#cluster[id]!
  }

  get urls(): string[] {
    return [...this.#nodes.keys()].map((id) => this.url(id))
  }

  folder(id: string): string {
    return path.join(this.#folder, id)
  }

  async startNode(id: string): Promise<Node> {
    const note = (level: string) => (message: string) => void this.said.push(`${id} ${level} ${message}`)
    const node = await Node.start(
      {
        heartbeatMs: 30,
        electionTimeoutMs: 200,
        ...this.#options,
        id,
        listen: new URL(this.url(id)).host,
        dataDir: this.folder(id),
        cluster: this.#cluster,
        logger: { debug() {}, info: note('info'), warn: note('warn'), error: note('error') },
      },
      this.disks.get(id)!,
    )
    this.#nodes.set(id, node)
    return node
  }

  async stopNode(id: string): Promise<void> {
    const node = this.#nodes.get(id)!
    this.#nodes.delete(id)
    await node.stop()
  }

  /** The disk fails in the middle of the work: nothing in good order. */
  async crash(...ids: string[]): Promise<void> {
    const ends = ids.map(async (id) => {
      const node = this.#nodes.get(id)!
      this.#nodes.delete(id)
      this.disks.get(id)!.isBroken = true
      // A disk that is not written to does not fail.
      this.#clients
        .at(-1)
        ?.publish('nobody.listens', 0)
        .catch(() => {})
      await node.failed.catch(() => {})
      await node.stop()
      this.disks.get(id)!.isBroken = false
    })
    await Promise.all(ends)
  }

  async ready(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((node) => node.ready()))
  }

  leader(): Promise<string> {
    return agreedLeader(this.urls)
  }

  async client(servers = this.urls, options: Partial<ConnectOptions> = {}): Promise<Client> {
    const client = await connect({ servers, ...options })
    this.#clients.push(client)
    return client
  }

  hasWritten(id: string, text: string): boolean {
    const folder = path.join(this.folder(id), 'wal')
    return readdirSync(folder).some((name) => readFileSync(path.join(folder, name)).includes(text))
  }

  /** Changes one byte of each place in a node's log where this text is, whether or not the node runs. How many there were. */
  damage(id: string, text: string): number {
    const folder = path.join(this.folder(id), 'wal')
    let places = 0
    for (const name of readdirSync(folder)) {
      const bytes = readFileSync(path.join(folder, name))
      const file = openSync(path.join(folder, name), 'r+')
      for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
        writeSync(file, Uint8Array.of(bytes[at]! ^ 1), 0, 1, at)
        places++
      }
      closeSync(file)
    }
    return places
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.close()
    await Promise.all([...this.#nodes.values()].map((node) => node.stop()))
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

let mesh: DiskMesh
afterEach(() => mesh.close())

async function makeQueue(client: Client, name: string): Promise<void> {
  await client.queue(name).declare()
  await client.queue(name).bind(name)
}

async function takeAll(client: Client, queue: string, count: number): Promise<unknown[]> {
  const bodies: unknown[] = []
  const subscription = await client.subscribe(queue, ({ body }) => void bodies.push(body), { queue })
  await eventually(() => bodies.length >= count, { what: `${count} messages of ${queue}` })
  await subscription.close()
  return bodies
}

describe('a disk that is nearly full', () => {
  it('refuses publishes, lets consumers empty the queues, and takes publishes again when there is room', async () => {
    mesh = await DiskMesh.start({ diskReserveBytes: 100 * MIB })
    const leader = await mesh.leader()
    const follower = mesh.ids.find((id) => id !== leader)!
    const client = await mesh.client([mesh.url(follower)])
    await makeQueue(client, 'q')
    for (let n = 0; n < 10; n++) await client.publish('q', n)

    mesh.disks.get(leader)!.free = 99 * MIB
    await eventually(async () => (await metricOf(mesh.url(leader), 'meshmq_disk_full')) === 1)
    await expect(client.publish('q', 10)).rejects.toMatchObject({
      code: 'DiskFull',
      retryable: true,
      outcome: 'not-applied',
    })
    const ready = await get(mesh.url(leader), '/readyz')
    expect([ready.status, await ready.json()]).toEqual([
      200,
      { status: 'ok', warnings: [expect.stringContaining('nearly full')] },
    ])
    expect(await metricOf(mesh.url(leader), 'meshmq_disk_free_bytes')).toBe(99 * MIB)
    // It makes room where it can, though far less log has come than calls for a checkpoint otherwise.
    await eventually(async () => (await statusOf(mesh.url(leader))).checkpointIndex > 0)
    // Queues can be emptied, bound and deleted meanwhile.
    await makeQueue(client, 'other')
    await client.queue('other').delete()
    expect(await takeAll(client, 'q', 10)).toEqual(Array.from({ length: 10 }, (_, n) => n))

    mesh.disks.get(leader)!.free = 200 * MIB
    await eventually(async () => (await metricOf(mesh.url(leader), 'meshmq_disk_full')) === 0)
    await client.publish('q', 11)
    expect(await client.queue('q').stats({ consistent: true })).toMatchObject({ ready: 1 })
    await agreedState(mesh.urls)
  })
})

describe('disks of followers that are nearly full', () => {
  it('stop publishes when those with room are no majority any more, and only then', async () => {
    mesh = await DiskMesh.start({ diskReserveBytes: 100 * MIB })
    const leader = await mesh.leader()
    const [one, other] = mesh.ids.filter((id) => id !== leader)
    const client = await mesh.client()
    await makeQueue(client, 'q')
    const outcome = () =>
      client.publish('q', 0).then(
        () => 'taken',
        (error) => error.code,
      )
    mesh.disks.get(one!)!.free = 99 * MIB
    await eventually(async () => (await metricOf(mesh.url(one!), 'meshmq_disk_full')) === 1)
    expect(await outcome()).toBe('taken')
    mesh.disks.get(other!)!.free = 99 * MIB
    await eventually(async () => (await outcome()) === 'DiskFull')
    const { warnings } = (await (await get(mesh.url(leader), '/readyz')).json()) as { warnings: string[] }
    expect(warnings).toEqual([expect.stringContaining('no majority')])
    await takeAll(client, 'q', 1)
    mesh.disks.get(one!)!.free = 200 * MIB
    await eventually(async () => (await outcome()) === 'taken')
  })
})

describe('a small disk that three nodes share', () => {
  const reserve = 12 * MIB

  /** Until a publish is refused for good: while the answer of a look is under way, one may be for what was written since. */
  async function fill(client: Client, space: Space): Promise<number> {
    let confirmed = 0
    let refusal: unknown
    const publish = async (): Promise<void> => {
      while (refusal === undefined) {
        await client.publish('q', 'x'.repeat(20_000)).then(
          () => void confirmed++,
          (error) => {
            if (space.free < 2 * reserve || error.code !== 'DiskFull') refusal = error
          },
        )
      }
    }
    await Promise.all(Array.from({ length: 32 }, publish))
    expect(refusal).toMatchObject({ code: 'DiskFull' })
    return confirmed
  }

  it.each([
    ['all of them', 0],
    ['a majority of them, for which the log is kept in vain', 1],
  ])(
    'is never full: publishes are refused before that, and taken again when queues were emptied: %s',
    async (_, dead) => {
      const space = new Space(60 * MIB)
      mesh = await DiskMesh.start({ segmentBytes: 2 * MIB, diskReserveBytes: reserve, entryCacheBytes: 0 }, 3, space)
      const leader = await mesh.leader()
      if (dead > 0) await mesh.stopNode(mesh.ids.find((id) => id !== leader)!)
      const client = await mesh.client()
      await makeQueue(client, 'q')
      for (let round = 0; round < 2; round++) {
        const confirmed = await fill(client, space)
        // Later rounds begin with little more than the reserve.
        expect(confirmed).toBeGreaterThan(round === 0 ? 200 : 0)
        expect(await takeAll(client, 'q', confirmed)).toHaveLength(confirmed)
        const hasRoom = async (url: string) => !(await (await get(url, '/readyz')).text()).includes('nearly full')
        await eventually(async () => (await Promise.all(mesh.urls.map(hasRoom))).every(Boolean))
      }
      await client.publish('q', 'last')
      expect(space.refused).toBe(0)
      expect(mesh.said.filter((what) => what.includes('stops itself'))).toEqual([])
    },
    90_000,
  )
})

/** Five messages far below the newest checkpoint, and nothing of them in memory. */
async function withOldMessages(count: number): Promise<void> {
  mesh = await DiskMesh.start({ checkpointBytes: MIB, segmentBytes: 2 * MIB, entryCacheBytes: 0 }, count)
  const client = await mesh.client()
  await makeQueue(client, 'q')
  for (let n = 0; n < 5; n++) await client.publish('q', `needle-${n}`)
  await makeQueue(client, 'bulk')
  const bulk = () => Promise.all(Array.from({ length: 10 }, () => client.publish('bulk', 'x'.repeat(9_000))))
  for (let n = 0; n < 30; n++) await bulk()
  const isPast = async (url: string) => (await statusOf(url)).checkpointIndex > 20
  await eventually(async () => (await Promise.all(mesh.urls.map(isPast))).every(Boolean))
}

describe('damage of the log', () => {
  it('below the checkpoint is repaired from the other nodes, and the messages are delivered from there', async () => {
    await withOldMessages(3)
    const damaged = 'n2'
    await mesh.stopNode(damaged)
    expect(mesh.damage(damaged, 'needle-2')).toBeGreaterThan(0)
    expect(mesh.damage(damaged, 'needle-4')).toBeGreaterThan(0)
    await mesh.startNode(damaged)
    await mesh.ready()
    const there = await mesh.client([mesh.url(damaged)])
    expect(await takeAll(there, 'q', 5)).toEqual(Array.from({ length: 5 }, (_, n) => `needle-${n}`))
    await eventually(async () => (await metricOf(mesh.url(damaged), 'meshmq_bodies_repaired_total')) >= 2)
    expect(await metricOf(mesh.url(damaged), 'meshmq_bodies_missing')).toBe(0)
    expect(await statusOf(mesh.url(damaged))).toMatchObject({ doubt: 0, missingBodies: 0 })
    await agreedState(mesh.urls)
  })

  it('that is met by a delivery is repaired while the delivery waits', async () => {
    await withOldMessages(3)
    expect(mesh.damage('n3', 'needle-1')).toBeGreaterThan(0)
    const there = await mesh.client([mesh.url('n3')])
    expect(await takeAll(there, 'q', 5)).toEqual(Array.from({ length: 5 }, (_, n) => `needle-${n}`))
    expect(await metricOf(mesh.url('n3'), 'meshmq_bodies_repaired_total')).toBe(1)
  })

  it('of the only copy costs that message, and the queue goes on', async () => {
    await withOldMessages(1)
    expect(mesh.damage('n1', 'needle-2')).toBeGreaterThan(0)
    const client = await mesh.client()
    expect(await takeAll(client, 'q', 4)).toEqual(['needle-0', 'needle-1', 'needle-3', 'needle-4'])
    expect(await statusOf(mesh.url('n1'))).toMatchObject({ missingBodies: 1 })
  })

  it('at its end makes the node doubt: it counts again only after the others have gone on without it', async () => {
    mesh = await DiskMesh.start()
    const leader = await mesh.leader()
    const [damaged, other] = mesh.ids.filter((id) => id !== leader) as [string, string]
    const client = await mesh.client([mesh.url(leader)], { publishTimeoutMs: 1_500 })
    await makeQueue(client, 'q')
    for (let n = 0; n < 10; n++) await client.publish('q', `message-${n}`)
    await eventually(() => mesh.hasWritten(damaged, 'message-9'))
    await mesh.crash(damaged)
    await mesh.crash(other)
    expect(mesh.damage(damaged, 'message-9')).toBeGreaterThan(0)
    await mesh.startNode(damaged)
    await eventually(() => mesh.said.some((each) => each.startsWith(`${damaged} warn`) && each.includes('forgotten')))
    await eventually(async () => (await statusOf(mesh.url(leader))).members.find(({ id }) => id === damaged)?.connected)
    // With it alone there is no majority: what it may have forgotten might have been committed by its word.
    await eventually(async () => (await statusOf(mesh.url(leader))).role !== 'leader')
    expect((await statusOf(mesh.url(damaged))).doubt).toBeGreaterThan(0)
    const doubtful = (await (await get(mesh.url(damaged), '/readyz')).json()) as { warnings: string[] }
    expect(doubtful.warnings[0]).toContain('in doubt')

    await mesh.startNode(other)
    await mesh.ready()
    await eventually(async () => (await statusOf(mesh.url(damaged))).doubt === 0)
    const again = await mesh.client([mesh.url(damaged)])
    await again.publish('q', 'message-10')
    expect(await takeAll(again, 'q', 11)).toEqual(Array.from({ length: 11 }, (_, n) => `message-${n}`))
    await agreedState(mesh.urls)
    // The mark of the doubt is gone for good.
    await mesh.stopNode(damaged)
    await mesh.startNode(damaged)
    expect((await statusOf(mesh.url(damaged))).doubt).toBe(0)
  })
})

describe('a node whose disk stood still', () => {
  it('jumps to the state of the others, and the clients that it holds go on without losing or repeating anything', async () => {
    // The first checkpoint comes only after everything that happens below.
    const limits = { checkpointBytes: 10 * MIB, segmentBytes: 2 * MIB, trailingLogBytesMax: MIB / 4 }
    mesh = await DiskMesh.start({ ...limits, entryCacheBytes: MIB, peerBufferBytesMax: 2 * MIB })
    const leader = await mesh.leader()
    const [slow, other] = mesh.ids.filter((id) => id !== leader) as [string, string]
    const held = await mesh.client([mesh.url(slow)], { publishTimeoutMs: 60_000 })
    await makeQueue(held, 'q')
    const received: unknown[] = []
    await held.subscribe('q', ({ body }) => void received.push(body), { queue: 'q', prefetch: 20 })
    await held.publish('q', 'first')
    await eventually(() => received.length === 1)

    mesh.disks.get(slow)!.freeze()
    const client = await mesh.client([mesh.url(other)])
    await makeQueue(client, 'bulk')
    const bulk = () => Promise.all(Array.from({ length: 20 }, () => client.publish('bulk', 'x'.repeat(9_000))))
    const ends = () => Promise.all([leader, slow].map((id) => statusOf(mesh.url(id))))
    // Until it is sent nothing more, since it confirms nothing.
    const isLeftBehind = ([first, second]: Awaited<ReturnType<typeof ends>>) =>
      first!.lastIndex > second!.lastIndex + 20
    while (!isLeftBehind(await ends())) await bulk()
    // These are assigned to the consumer on the slow node by entries that it will never apply.
    for (let n = 0; n < 10; n++) await client.publish('q', n)
    const own = Array.from({ length: 5 }, (_, n) => held.publish('q', `own-${n}`))
    await eventually(async () => (await client.queue('q').stats({ consistent: true })).unsettled === 15)
    expect(received).toEqual(['first'])
    const { lastIndex } = await statusOf(mesh.url(leader))
    while ((await statusOf(mesh.url(leader))).checkpointIndex <= lastIndex) await bulk()
    mesh.disks.get(slow)!.thaw()
    await eventually(async () => (await metricOf(mesh.url(slow), 'meshmq_installs_total')) > 0, { withinMs: 20_000 })
    await Promise.all(own)
    await held.publish('q', 'last')
    await eventually(() => received.includes('last'))
    const expected = ['first', ...Array.from({ length: 10 }, (_, n) => n), ...own.map((_, n) => `own-${n}`), 'last']
    expect(new Set(received)).toEqual(new Set(expected))
    expect(received).toHaveLength(expected.length)
    expect((await statusOf(mesh.url(slow))).sessions).toBe(1)
    await agreedState(mesh.urls)
  })
})

describe('all nodes', () => {
  it('whose disks fail at once come back with everything that was confirmed, more than once', async () => {
    mesh = await DiskMesh.start({ checkpointBytes: MIB / 2, segmentBytes: 2 * MIB, trailingLogBytesMax: MIB })
    const confirmed: number[] = []
    for (let life = 0; life < 3; life++) {
      const client = await mesh.client()
      if (life === 0) await makeQueue(client, 'q')
      for (let n = 0; n < 300; n++) {
        const number = life * 1_000 + n
        client.publish('q', { number, text: 'x'.repeat(3_000) }).then(
          () => confirmed.push(number),
          () => {},
        )
      }
      await eventually(() => confirmed.filter((number) => number >= life * 1_000).length > 150)
      await mesh.crash(...mesh.ids)
      await client.close()
      for (const id of mesh.ids) await mesh.startNode(id)
      await mesh.ready()
    }
    await agreedState(mesh.urls)
    for (const url of mesh.urls) expect((await statusOf(url)).checkpointIndex).toBeGreaterThan(0)
    const client = await mesh.client()
    const { ready } = await client.queue('q').stats({ consistent: true })
    const numbers = (await takeAll(client, 'q', ready)).map((body) => (body as { number: number }).number)
    expect(confirmed.filter((number) => !numbers.includes(number))).toEqual([])
    expect(new Set(numbers).size).toBe(numbers.length)
    expect([...numbers].sort((a, b) => a - b)).toEqual(numbers)
  })
})
