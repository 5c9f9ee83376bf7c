/** Real nodes whose power is taken: what was confirmed is there afterwards; and the shim notices when it was not on the disk. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Client, connect } from '../../../client/index.ts'
import { beginFileFault } from '../../../jepsen-lite/files/control.ts'
import { shimLaunch } from '../../../jepsen-lite/files/launch.ts'
import { rollBack } from '../../../jepsen-lite/files/roll-back.ts'
import { type Random, seeded } from '../../../jepsen-lite/random.ts'
import { isReady } from '../../support/admin.ts'
import { eventually } from '../../support/eventually.ts'
import { freePorts, realDiskFolder } from '../../support/place.ts'
import { compileProduct, compileShim } from './compiled.ts'

const QUEUE = 'orders'
const MESSAGES = 50
const merciless: Random = { ...seeded(1), next: () => 0, below: () => 0, chance: () => true }

let folder: string
let shim: string
let sound: string
let hasty: string
const nodes: ChildProcess[] = []

beforeAll(() => {
  folder = realDiskFolder()
  shim = compileShim(path.join(folder, 'shim'))
  sound = compileProduct(path.join(folder, 'sound'))
  hasty = compileProduct(path.join(folder, 'hasty'), {
    file: 'node/storage/node-files.ts',
    line: 'return O_RDWR | O_DSYNC | (create',
    instead: 'return O_RDWR | (create',
  })
}, 120_000)

afterAll(() => {
  for (const node of nodes) node.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

/** A cluster of one node, in lives that follow each other. */
class Lonely {
  readonly #bin: string
  readonly #root: string
  readonly #port: number
  child!: ChildProcess
  output = ''

  private constructor(bin: string, root: string, port: number) {
    this.#bin = bin
    this.#root = root
    this.#port = port
  }

  static async start(bin: string, name: string): Promise<Lonely> {
    const root = path.join(folder, name)
    mkdirSync(root)
    const node = new Lonely(bin, root, (await freePorts(1))[0]!)
    await node.start()
    return node
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}`
  }

  get #place() {
    return { dataDir: path.join(this.#root, 'data'), journal: path.join(this.#root, 'journal') }
  }

  get hasUnsynced(): boolean {
    return statSync(path.join(this.#place.journal, 'undo')).size > 0
  }

  async start(): Promise<void> {
    const { args, env } = shimLaunch(this.#place, shim)
    const options = ['--id', 'n1', '--listen', `127.0.0.1:${this.#port}`, '--data', this.#place.dataDir]
    this.child = spawn(process.execPath, [...args, this.#bin, 'start', ...options, '--cluster', `n1=${this.url}`], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    nodes.push(this.child)
    for (const stream of [this.child.stdout!, this.child.stderr!]) stream.on('data', (text) => this.#hear(text))
    let ended = false
    this.child.once('exit', () => {
      ended = true
    })
    await eventually(async () => ended || (await isReady(this.url)), { withinMs: 30_000, what: this.output })
    if (ended) throw new Error(this.output)
  }

  #hear(text: Buffer): void {
    this.output += text.toString()
  }

  async losePower(random: Random) {
    if (this.child.exitCode === null) {
      const gone = once(this.child, 'exit')
      this.child.kill('SIGKILL')
      await gone
    }
    return rollBack({ ...this.#place, random })
  }
}

async function publishAll(client: Client): Promise<void> {
  await client.queue(QUEUE).declare()
  await client.queue(QUEUE).bind(QUEUE)
  await Promise.all(Array.from({ length: MESSAGES }, (_, i) => client.publish(QUEUE, i)))
}

/** Of a client of its own: one that was connected before would send what was lost again. */
async function stored(node: Lonely): Promise<number> {
  const client = await connect(node.url)
  try {
    return (await client.queue(QUEUE).stats({ consistent: true })).ready
  } finally {
    await client.close()
  }
}

it('has all that it confirmed, whatever the dice say, loss after loss', async () => {
  const node = await Lonely.start(sound, 'sound-1')
  const client = await connect(node.url)
  await publishAll(client)
  await client.close()
  for (const random of [merciless, seeded(1), seeded(2), merciless]) {
    await node.losePower(random)
    await node.start()
    expect(await stored(node)).toBe(MESSAGES)
  }
}, 120_000)

it('has what it confirmed when the power goes in the middle of writes, and never more than was published', async () => {
  const node = await Lonely.start(sound, 'sound-2')
  const client = await connect(node.url)
  await publishAll(client)
  let confirmed = MESSAGES
  let published = MESSAGES
  for (let round = 0; round < 4; round++) {
    await beginFileFault(node.child, { type: 'slow', ms: 150, jitterMs: 50 })
    let isOver = false
    const open = Array.from({ length: 3 }, async () => {
      while (!isOver) {
        published++
        await client.publish(QUEUE, round)
        confirmed++
      }
    })
    const enough = confirmed + 5
    const isWriting = () => confirmed > enough && node.hasUnsynced
    await eventually(isWriting, { withinMs: 30_000, what: 'messages are confirmed, and others written' })
    const done = await node.losePower(seeded(round))
    expect(done.unsyncedWrites).toBeGreaterThan(0)
    isOver = true
    await node.start()
    await Promise.all(open)
  }
  expect(await stored(node)).toBe(confirmed)
  expect(confirmed).toBe(published)
  await client.close()
}, 120_000)

it('shows that a node lost what it confirmed, if its writes are not synced', async () => {
  const node = await Lonely.start(hasty, 'hasty-1')
  const client = await connect(node.url)
  await publishAll(client)
  await client.close()
  const done = await node.losePower(merciless)
  expect(done.rolledBackBytes).toBeGreaterThan(MESSAGES)
  // What is left of its log may be so little that it does not even start.
  const left = await node.start().then(
    () => stored(node).catch((error: { code?: string }) => error.code),
    () => 'no start',
  )
  expect(left).not.toBe(MESSAGES)
}, 120_000)

it.each(['write', 'sync'] as const)(
  'stops itself, loudly, when a %s fails, and has all that it confirmed',
  async (on) => {
    const node = await Lonely.start(sound, `failing-${on}`)
    const patient = await connect(node.url)
    await publishAll(patient)
    const exit = once(node.child, 'exit')
    await beginFileFault(node.child, { type: 'fail', on, times: 'once' })
    const published = patient.publish(QUEUE, 'once more')
    expect((await exit)[0]).toBe(1)
    expect(node.output).toContain('StorageFailed')
    await node.losePower(merciless)
    await node.start()
    await published
    await patient.close()
    expect(await stored(node)).toBe(MESSAGES + 1)
  },
  120_000,
)
