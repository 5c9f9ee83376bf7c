import { constants, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Journal } from '../../../jepsen-lite/files/journal.ts'
import { rollBack } from '../../../jepsen-lite/files/roll-back.ts'
import { Descriptors } from '../../../jepsen-lite/files/shim-descriptors.ts'
import { ShimFaults } from '../../../jepsen-lite/files/shim-faults.ts'
import { Names } from '../../../jepsen-lite/files/shim-names.ts'
import { type Random, seeded } from '../../../jepsen-lite/random.ts'
import { fc } from '../../support/property.ts'

const scratch = mkdtempSync(join(import.meta.dirname, '../../../.shim-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const { O_RDWR, O_DSYNC, O_CREAT, O_EXCL, O_RDONLY } = constants
const NAMES = ['a', 'b', 'c']
/** A few sectors and pages. */
const FILE_BYTES = 12 * 1024

const operation = fc.oneof(
  { weight: 6, arbitrary: write() },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('sync'), name: fc.constantFrom(...NAMES) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('create'), name: fc.constantFrom(...NAMES) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('rename'), name: fc.constantFrom(...NAMES), to: fc.constantFrom(...NAMES) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove'), name: fc.constantFrom(...NAMES) }) },
  { weight: 2, arbitrary: fc.constant({ do: 'syncNames' }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' }) },
)

function write() {
  return fc.record({
    do: fc.constant('write'),
    name: fc.constantFrom(...NAMES),
    at: fc.nat({ max: FILE_BYTES - 1 }),
    bytes: fc.integer({ min: 1, max: 6 * 1024 }),
    byte: fc.integer({ min: 1, max: 255 }),
    synced: fc.boolean(),
  })
}

type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never

/** What a byte may be after the power is gone: from its last durable value on, all that it ever was. */
class ModelFile {
  readonly #values: Set<number>[] = []
  #now = Buffer.alloc(0)
  #durableSize = 0

  write(at: number, bytes: Buffer, isDurable: boolean): void {
    if (this.#now.length < at + bytes.length) {
      this.#now = Buffer.concat([this.#now, Buffer.alloc(at + bytes.length - this.#now.length)])
    }
    bytes.copy(this.#now, at)
    for (let i = at; i < at + bytes.length; i++) {
      if (isDurable) this.#values[i] = new Set([this.#now[i]!])
      else this.#allowed(i).add(this.#now[i]!)
    }
    if (isDurable) this.#durableSize = Math.max(this.#durableSize, at + bytes.length)
  }

  sync(): void {
    for (let i = 0; i < this.#now.length; i++) this.#values[i] = new Set([this.#now[i]!])
    this.#durableSize = this.#now.length
  }

  get now(): Buffer {
    return this.#now
  }

  /** What cannot be after a loss of power; undefined: nothing. */
  problem(found: Buffer): string | undefined {
    if (found.length < this.#durableSize) return `${found.length} bytes of ${this.#durableSize} that were synced`
    if (found.length > this.#now.length) return `${found.length} bytes of ${this.#now.length}`
    const wrong = found.findIndex((byte, i) => !this.#allowed(i).has(byte))
    return wrong < 0 ? undefined : `byte ${wrong} is ${found[wrong]}, not one of ${[...this.#allowed(wrong)]}`
  }

  #allowed(i: number): Set<number> {
    this.#values[i] ??= new Set([0])
    return this.#values[i]
  }
}

/** One directory: the names of each moment since its last sync, any of which a loss of power may bring back. */
class Model {
  names = new Map<string, ModelFile>()
  #moments = [new Map<string, ModelFile>()]

  changed(): void {
    this.#moments.push(new Map(this.names))
  }

  sync(): void {
    this.#moments = [new Map(this.names)]
  }

  problem(directory: string): string | undefined {
    const found = new Map(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name))]))
    const problems = this.#moments.map((moment) => {
      if ([...moment.keys()].sort().join() !== [...found.keys()].sort().join()) return `names ${[...found.keys()]}`
      for (const [name, file] of moment) {
        const problem = file.problem(found.get(name)!)
        if (problem !== undefined) return `${name}: ${problem}`
      }
      return undefined
    })
    return problems.includes(undefined) ? undefined : `none of: ${problems.join('; ')}`
  }
}

/** A node's files under the shim, as calls that are waited for; a restart is a death of the process alone. */
class Disk {
  readonly dataDir: string
  readonly folder: string
  #journal!: Journal
  #descriptors!: Descriptors
  #names!: Names

  constructor(root: string) {
    this.dataDir = join(root, 'data')
    this.folder = join(root, 'journal')
    mkdirSync(this.dataDir, { recursive: true })
    this.start()
  }

  start(): void {
    this.#journal = new Journal(this.folder)
    const parts = { dataDir: this.dataDir, journal: this.#journal, faults: new ShimFaults() }
    this.#descriptors = new Descriptors(parts)
    this.#names = new Names(parts, this.#descriptors)
  }

  die(): void {
    this.#journal.close()
  }

  async create(name: string): Promise<void> {
    const descriptor = await this.#open(name, O_RDWR | O_CREAT | O_EXCL)
    await called((done) => this.#descriptors.close(descriptor, done))
  }

  async write(name: string, at: number, bytes: Buffer, synced: boolean): Promise<void> {
    const descriptor = await this.#open(name, O_RDWR | (synced ? O_DSYNC : 0))
    await called((done) => this.#descriptors.write(descriptor, [bytes.subarray(0, 1), bytes.subarray(1)], at, done))
    await called((done) => this.#descriptors.close(descriptor, done))
  }

  async sync(name: string): Promise<void> {
    const descriptor = await this.#open(name, name === '' ? O_RDONLY : O_RDWR)
    await called((done) => this.#descriptors.sync(descriptor, 'fsync', done))
    await called((done) => this.#descriptors.close(descriptor, done))
  }

  rename(from: string, to: string): Promise<void> {
    return this.#names.rename(from, to)
  }

  remove(name: string): Promise<void> {
    return this.#names.remove(name)
  }

  #open(name: string, flags: number): Promise<number> {
    return called((done) => this.#descriptors.open(name, join(this.dataDir, name), flags, 0o600, done))
  }
}

function called<T>(call: (done: (error: Error | null, result?: unknown) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, result) => (error ? reject(error) : resolve(result as T))))
}

async function perform(disk: Disk, model: Model, step: Operation): Promise<void> {
  const has = (name: string) => model.names.has(name)
  if (step.do === 'restart') {
    disk.die()
    disk.start()
  } else if (step.do === 'syncNames') {
    await disk.sync('')
    model.sync()
  } else if ('byte' in step && has(step.name)) {
    const bytes = Buffer.alloc(step.bytes, step.byte)
    await disk.write(step.name, step.at, bytes, step.synced)
    model.names.get(step.name)!.write(step.at, bytes, step.synced)
  } else if ('name' in step && step.do === 'sync' && has(step.name)) {
    await disk.sync(step.name)
    model.names.get(step.name)!.sync()
  } else if ('name' in step && step.do === 'create' && !has(step.name)) {
    await disk.create(step.name)
    model.names.set(step.name, new ModelFile())
    model.changed()
  } else if ('to' in step && has(step.name) && step.to !== step.name) {
    await disk.rename(step.name, step.to)
    model.names.set(step.to, model.names.get(step.name)!)
    model.names.delete(step.name)
    model.changed()
  } else if ('name' in step && step.do === 'remove' && has(step.name)) {
    await disk.remove(step.name)
    model.names.delete(step.name)
    model.changed()
  }
}

describe('a loss of power', () => {
  it('leaves what a model of a file system allows, and all that was synced', async () => {
    let runs = 0
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40, size: 'max' }), fc.nat(), async (steps, seed) => {
        const root = join(scratch, `case-${++runs}`)
        const disk = new Disk(root)
        const model = new Model()
        for (const step of steps) await perform(disk, model, step)
        for (const [name, file] of model.names)
          expect(readFileSync(join(disk.dataDir, name)).equals(file.now)).toBe(true)
        disk.die()
        rollBack({ dataDir: disk.dataDir, journal: disk.folder, random: seeded(seed) })
        expect(model.problem(disk.dataDir)).toBeUndefined()
        expect(readdirSync(disk.folder)).toEqual(['undo'])
        // What is there now is on the disk: it does not change any more.
        const left = readdirSync(disk.dataDir).map((name) => readFileSync(join(disk.dataDir, name), 'latin1'))
        rollBack({ dataDir: disk.dataDir, journal: disk.folder, random: seeded(seed + 1) })
        expect(readdirSync(disk.dataDir).map((name) => readFileSync(join(disk.dataDir, name), 'latin1'))).toEqual(left)
        rmSync(root, { recursive: true })
      }),
      { numRuns: 150 },
    )
  }, 120_000)

  it('does lose, keep and tear: each of its dice comes up', async () => {
    const outcomes = { lost: 0, kept: 0, torn: 0, unnamed: 0 }
    for (let seed = 0; seed < 200; seed++) {
      const disk = new Disk(join(scratch, `dice-${seed}`))
      await disk.create('a')
      await disk.create('b')
      if (seed % 2 === 0) await disk.sync('')
      await disk.write('a', 0, Buffer.alloc(FILE_BYTES, 1), false)
      // Of another file, lest that of the first is lost because it is the only one.
      await disk.write('b', 0, Buffer.alloc(1, 1), false)
      disk.die()
      rollBack({ dataDir: disk.dataDir, journal: disk.folder, random: seeded(seed) })
      const path = join(disk.dataDir, 'a')
      if (!existsSync(path)) outcomes.unnamed++
      else {
        const ones = readFileSync(path).filter((byte) => byte === 1).length
        outcomes[ones === 0 ? 'lost' : ones === FILE_BYTES ? 'kept' : 'torn']++
      }
    }
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(15)
  })

  it('loses something, whatever the dice say: the last write if they keep all', async () => {
    const disk = new Disk(join(scratch, 'kind'))
    for (const name of ['a', 'b']) {
      await disk.create(name)
      await disk.sync('')
      await disk.write(name, 0, Buffer.alloc(10, 1), false)
    }
    await disk.write('b', 5, Buffer.alloc(10, 2), false)
    disk.die()
    // 0.5 is the throw that keeps a write.
    const kind: Random = { ...seeded(1), next: () => 0.5, chance: () => true }
    const totals = rollBack({ dataDir: disk.dataDir, journal: disk.folder, random: kind })
    expect(totals).toMatchObject({ rolledBackBytes: 10, rolledBackFiles: 1, rolledBackNames: 0, unsyncedWrites: 3 })
    expect([...readFileSync(join(disk.dataDir, 'a'))]).toEqual(Array.from({ length: 10 }, () => 1))
    expect([...readFileSync(join(disk.dataDir, 'b'))]).toEqual(Array.from({ length: 10 }, () => 1))
  })
})
