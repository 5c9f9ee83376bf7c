/** Faults of disks and clocks: what they do in which order, whom they spare, and what they leave behind. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bitFlip } from '../../../jepsen-lite/nemeses/bit-flip.ts'
import { clock } from '../../../jepsen-lite/nemeses/clock.ts'
import { failingSync } from '../../../jepsen-lite/nemeses/failing-sync.ts'
import { fullDisk } from '../../../jepsen-lite/nemeses/full-disk.ts'
import { lostWrites } from '../../../jepsen-lite/nemeses/lost-writes.ts'
import { BreakingDisks } from '../../../jepsen-lite/nemeses/own-end.ts'
import { slowSync } from '../../../jepsen-lite/nemeses/slow-sync.ts'
import { smallDisk } from '../../../jepsen-lite/nemeses/small-disk.ts'
import { tornTail } from '../../../jepsen-lite/nemeses/torn-tail.ts'
import { wipe } from '../../../jepsen-lite/nemeses/wipe.ts'
import type { Fault, Nemesis, Totals } from '../../../jepsen-lite/nemesis.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import { realDiskFolder } from '../../support/place.ts'
import { RecordedTarget } from './recorded-target.ts'

const nodes = ['n1', 'n2', 'n3']
const all = [lostWrites, slowSync, failingSync, fullDisk, smallDisk, tornTail, bitFlip, wipe, clock]

/** The first fault of that name. */
function drawn(nemesis: Nemesis, name: RegExp): Fault {
  for (let seed = 0; seed < 1_000; seed++) {
    const fault = nemesis.draw(seeded(seed), nodes)
    if (name.test(fault.name)) return fault
  }
  throw new Error(`${nemesis.name} never draws ${name}`)
}

/** A directory with a log of one batch. */
function dataDirectory(): string {
  const folder = realDiskFolder()
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(path.join(folder, 'wal'))
  const bytes = Buffer.alloc(4096)
  bytes.write('meshmqWL', 4)
  bytes.write('mqba', 516)
  bytes.writeUInt32LE(900, 536)
  writeFileSync(path.join(folder, 'wal', '0000000000000001.wal'), bytes)
  return folder
}

it.each(all.map((nemesis) => [nemesis.name, nemesis] as const))(
  '%s draws the same from the same seed',
  (_, nemesis) => {
    const names = () =>
      Array.from({ length: 30 }, (_, seed) => nemesis.draw(seeded(seed), nodes)).map(({ name, holdMs }) => [
        name,
        holdMs,
      ])
    expect(names()).toEqual(names())
    expect(new Set(names().map(String)).size).toBeGreaterThan(10)
    expect(nemesis.bite({})).toBeTypeOf('string')
  },
)

describe('lost-writes', () => {
  it('slows the disks, takes the power of all that run, and starts them', async () => {
    const target = new RecordedTarget(3)
    target.down.add('n2')
    const fault = drawn(lostWrites, /n1,n2,n3/)
    const { done } = await fault.begin(target)
    await fault.end(target)
    expect(target.calls).toEqual(['shim n1 slow', 'shim n3 slow', 'cut n1', 'cut n3', 'start n1', 'start n3'])
    expect(done).toEqual({ powerCuts: 2, rolledBackBytes: 20 })
    expect(lostWrites.bite(done)).toBeUndefined()
  })
})

describe('slow-sync', () => {
  it('ends with fast disks, and counts what was slow', async () => {
    const target = new RecordedTarget(3, 'n2')
    target.obey = (_, { type }): Totals => (type === 'clear' ? { slowSyncs: 7 } : {})
    const fault = drawn(slowSync, /leader/)
    await fault.begin(target)
    expect((await fault.end(target)).done).toEqual({ slowSyncs: 7 })
    expect(target.calls).toEqual(['shim n2 slow', 'shim n2 clear'])
  })
})

describe('a disk that fails', () => {
  it('ends the node, which loses power in some faults, and is started again', async () => {
    const target = new RecordedTarget(3, 'n2')
    target.obey = (node, { type }) => {
      if (type === 'fail') target.down.add(node)
      return {}
    }
    const fault = drawn(failingSync, /leader, then no power/)
    const { done } = await fault.begin(target)
    expect(target.expected).toEqual(new Set(['n2']))
    await fault.end(target)
    expect(done).toEqual({ ownEnds: 1, powerCuts: 1, rolledBackBytes: 10 })
    expect(target.calls).toEqual(['shim n2 fail', 'cut n2', 'start n2'])
    expect(target.expected).toEqual(new Set())
  })

  it('must end the node that met it: one that goes on is told', async () => {
    const target = new RecordedTarget(3)
    const disks = new BreakingDisks(target, ['n1', 'n2', 'n3'], 30)
    target.down.add('n3')
    await expect(disks.mended(['n2', 'n3'])).rejects.toThrow('n2 went on though a write or a sync had failed')
    expect([target.calls, target.expected]).toEqual([['start n3'], new Set()])
  })
})

describe('full-disk', () => {
  it('counts a node that stopped for want of room, and starts it', async () => {
    const target = new RecordedTarget(3)
    target.obey = (_, { type }): Totals => (type === 'clear' ? { spaceDenied: 2 } : {})
    const fault = drawn(fullDisk, /^0 MiB left on n1,n2,n3/)
    await fault.begin(target)
    target.down.add('n3')
    const { done } = await fault.end(target)
    expect(done).toEqual({ spaceDenied: 4, ownEnds: 1, writesWithoutRoom: 1 })
    expect(target.calls.slice(3)).toEqual(['shim n1 clear', 'shim n2 clear', 'start n3'])
  })
})

describe('what hurts what was synced', () => {
  it.each([
    ['a torn tail', tornTail, /n2/],
    ['bits of a node that is down', bitFlip, /in the log of n2/],
    ['an emptied directory', wipe, /n2/],
  ])('%s: under a node that is down, which is whole only after its start', async (_, nemesis, name) => {
    const target = new RecordedTarget(3)
    target.dataDirectory = dataDirectory()
    const fault = drawn(nemesis, name)
    const { done } = await fault.begin(target)
    expect(nemesis.bite(done)).toBeUndefined()
    await fault.end(target)
    expect(target.calls).toEqual(['wound n2', 'work on n2', 'start n2', 'healed n2'])
    if (nemesis === wipe) expect(readdirSync(target.dataDirectory)).toEqual([])
  })

  it('bits under a running node, which may end of it, and is started anew so that it looks at all', async () => {
    const target = new RecordedTarget(3)
    target.dataDirectory = dataDirectory()
    const fault = drawn(bitFlip, /the running n2/)
    expect(bitFlip.bite((await fault.begin(target)).done)).toBeUndefined()
    expect(target.expected).toEqual(new Set(['n2']))
    await fault.end(target)
    expect(target.calls).toEqual(['wound n2', 'kill n2', 'start n2', 'healed n2'])
    expect(target.expected).toEqual(new Set())
  })

  it.each([tornTail, bitFlip, wipe])('spares a node while another one is hurt', async (nemesis) => {
    const target = new RecordedTarget(3)
    target.isWoundable = false
    const fault = drawn(nemesis, /n2/)
    expect((await fault.begin(target)).done).toEqual({})
    await fault.end(target)
    expect(target.calls).toEqual(['wound n2'])
  })

  it('a store on which LevelDB dies goes aside, as the handbook says', async () => {
    const target = new RecordedTarget(3)
    target.dataDirectory = dataDirectory()
    mkdirSync(path.join(target.dataDirectory, 'store'))
    writeFileSync(path.join(target.dataDirectory, 'store', '000007.ldb'), Buffer.alloc(100))
    const start = target.start.bind(target)
    let starts = 0
    target.start = async (node) => {
      await start(node)
      if (++starts === 1) target.down.add(node)
    }
    const fault = drawn(bitFlip, /in the store of n2/)
    await fault.begin(target)
    expect((await fault.end(target)).what).toContain('started again without its store')
    expect(readdirSync(target.dataDirectory).sort()).toEqual([expect.stringMatching(/^store-aside-\d+$/), 'wal'])
    expect(target.isRunning('n2')).toBe(true)
  })
})

describe('clock', () => {
  it.each([/^clocks of n1 .*n3/, /^to and fro: clocks of n1, n2, n3/])(
    'is right again in the end: %s',
    async (name) => {
      const target = new RecordedTarget(3)
      const fault = drawn(clock, name)
      await fault.begin(target)
      expect([...target.clocks.values()].some(({ offsetMs, rate }) => offsetMs !== 0 || rate !== 1)).toBe(true)
      const touched = [...target.clocks.keys()]
      await fault.end(target)
      expect(touched.length).toBeGreaterThan(1)
      expect(touched.map((node) => target.clocks.get(node))).toEqual(touched.map(() => ({ offsetMs: 0, rate: 1 })))
    },
  )
})
