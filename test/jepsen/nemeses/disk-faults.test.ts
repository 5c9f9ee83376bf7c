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
import type { Fault, Nemesis } from '../../../jepsen-lite/nemesis.ts'
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
    expect(target.calls).toEqual(['break n1 slow', 'break n3 slow', 'cut n1', 'cut n3', 'start n1', 'start n3'])
    expect(done).toEqual({ powerCuts: 2, rolledBackBytes: 20 })
    expect(lostWrites.bite(done)).toBeUndefined()
  })
})

describe('slow-sync', () => {
  it('ends with fast disks, and counts what was slow', async () => {
    const target = new RecordedTarget(3, 'n2')
    target.bites = () => ({ slowSyncs: 7 })
    const fault = drawn(slowSync, /leader/)
    await fault.begin(target)
    expect((await fault.end(target)).done).toEqual({ slowSyncs: 7 })
    expect(target.calls).toEqual(['break n2 slow', 'mend n2 slow'])
  })
})

describe('a disk that fails', () => {
  it('ends the node, which loses power in some faults, and is started again', async () => {
    const target = new RecordedTarget(3, 'n2')
    target.onBreak = (node) => target.endByItself(node)
    const fault = drawn(failingSync, /leader, then no power/)
    const { done } = await fault.begin(target)
    expect(target.expected).toEqual(new Map([['n2', { codes: ['StorageFailed'] }]]))
    const { done: doneInTheEnd } = await fault.end(target)
    expect([done, doneInTheEnd]).toEqual([{ powerCuts: 1, rolledBackBytes: 10 }, { ownEnds: 1 }])
    expect(failingSync.bite(doneInTheEnd)).toBeUndefined()
    expect(target.calls).toEqual(['break n2 fail', 'cut n2', 'start n2'])
    expect(target.expected).toEqual(new Map())
  })

  it('has not ended a node that another fault has killed', async () => {
    const target = new RecordedTarget(3, 'n2')
    target.onBreak = (node) => target.down.add(node)
    const fault = drawn(failingSync, /leader, then no power/)
    await fault.begin(target)
    expect((await fault.end(target)).done).toEqual({})
    expect(target.calls).toEqual(['break n2 fail'])
  })

  it.each(['failedWrites', 'failedSyncs', 'writesWithoutRoom', 'refused'])(
    'must end the node that met it, and no other: %s',
    async (figure) => {
      const target = new RecordedTarget(3)
      target.bites = (node) => ({ [figure]: Number(node === 'n2'), slowSyncs: 1, spaceDenied: 1 })
      const disks = new BreakingDisks({ target, nodes, code: 'NoSpace' })
      await disks.break({ type: 'watch' })
      target.endByItself('n3')
      expect(await disks.mended()).toMatchObject({ [figure]: 1, ownEnds: 1 })
      expect(target.survivors).toEqual(['n2'])
      expect(target.calls.slice(3)).toEqual(['mend n1 watch', 'mend n2 watch', 'must end n2', 'start n3'])
    },
  )

  it('is expected to end nodes no longer, and starts those that it has, also when a shim does not answer', async () => {
    const target = new RecordedTarget(3)
    target.bites = () => {
      throw new Error('no answer')
    }
    const disks = new BreakingDisks({ target, nodes, code: 'NoSpace' })
    await disks.break({ type: 'watch' })
    target.endByItself('n3')
    await expect(disks.mended()).rejects.toThrow('no answer')
    expect([target.isRunning('n3'), target.expected]).toEqual([true, new Map()])
  })
})

describe('full-disk', () => {
  it('counts who told of it and who stopped for want of room, and starts that one', async () => {
    const target = new RecordedTarget(3)
    target.metrics.set('n1', { meshmq_disk_full: 1 }).set('n2', { meshmq_disk_full: 0 })
    target.bites = () => ({ spaceDenied: 2 })
    const fault = drawn(fullDisk, /^0 MiB left on n1,n2,n3/)
    await fault.begin(target)
    expect([...target.expected.values()]).toEqual(nodes.map(() => ({ codes: ['NoSpace'] })))
    target.endByItself('n3')
    const { done } = await fault.end(target)
    expect(done).toEqual({ spaceDenied: 4, ownEnds: 1, toldFull: 1 })
    expect(target.calls.slice(3)).toEqual(['mend n1 full', 'mend n2 full', 'start n3'])
  })

  it.each([fullDisk, smallDisk])(
    'bites when a node told of it, or ended of it: not when it was done alone',
    ({ bite }) => {
      expect(bite({ spaceDenied: 9, ballastBytes: 9, toldFull: 0, ownEnds: 0 })).toBeTypeOf('string')
      expect([bite({ toldFull: 1 }), bite({ ownEnds: 1 })]).toEqual([undefined, undefined])
    },
  )
})

describe('small-disk', () => {
  it('leaves its mark on a life for good, and on none that follows', async () => {
    const target = new RecordedTarget(3)
    const fault = drawn(smallDisk, /^0 MiB left on the small disk of n1$/)
    // There is no disk there that could be filled: its end must do all the same.
    await expect(fault.begin(target)).rejects.toThrow('ENOENT')
    expect(target.expected).toEqual(new Map([['n1', { codes: ['NoSpace'] }]]))
    await fault.end(target)
    expect(target.calls).toEqual(['break n1 watch', 'mend n1 watch'])
    expect([target.expected, target.lasting]).toEqual([new Map(), new Set(['n1'])])
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
    expect(target.expected).toEqual(new Map([['n2', { codes: ['DamagedLog'] }]]))
    await fault.end(target)
    expect(target.calls).toEqual(['wound n2', 'kill n2', 'start n2', 'healed n2'])
    expect(target.expected).toEqual(new Map())
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
      if (++starts === 1) target.endByItself(node)
    }
    const fault = drawn(bitFlip, /in the store of n2/)
    await fault.begin(target)
    expect((await fault.end(target)).what).toContain('started again without its store')
    expect(readdirSync(target.dataDirectory).sort()).toEqual([expect.stringMatching(/^store-aside-\d+$/), 'wal'])
    expect(target.isRunning('n2')).toBe(true)
    expect(target.expected).toEqual(new Map())
  })

  it('excuses no end of a node in whose store there was nothing to hurt', async () => {
    const target = new RecordedTarget(3)
    target.dataDirectory = dataDirectory()
    const fault = drawn(bitFlip, /in the store of n2/)
    expect(await fault.begin(target)).toEqual({ what: 'n2: there was nothing to hurt', done: {} })
    await fault.end(target)
    expect(target.expected).toEqual(new Map())
    expect(target.calls).toEqual(['wound n2', 'work on n2', 'start n2', 'healed n2'])
  })
})

describe('clock', () => {
  it.each([/^clocks of n1 .*n3/, /^to and fro: clocks of n1, n2, n3/])(
    'is right again in the end, and counts who told a wrong time before: %s',
    async (name) => {
      const target = new RecordedTarget(3)
      const fault = drawn(clock, name)
      await fault.begin(target)
      const settings = [...target.clocks.values()]
      const touched = [...target.clocks.keys()]
      const { done } = await fault.end(target)
      const seen = settings.filter(({ offsetMs }) => Math.abs(offsetMs) > 3_000).length
      expect([touched.length > 1, seen > 0, done.clocksSeenOff]).toEqual([true, true, seen])
      expect(touched.map((node) => target.clocks.get(node))).toEqual(touched.map(() => ({ offsetMs: 0, rate: 1 })))
    },
  )

  it('bites when a node told a wrong time, not when it was only to', () => {
    expect(clock.bite({ clockSettings: 3, clocksSeenOff: 0 })).toBe('no node told a wrong time')
    expect(clock.bite({ clocksSeenOff: 1 })).toBeUndefined()
  })

  it('moves one clock of each fault at least by so much that it can be seen', () => {
    for (let seed = 0; seed < 300; seed++) {
      const { name } = clock.draw(seeded(seed), nodes)
      const first = /^clocks of n\d (?:([+-][\d.]+) s|.*(20) times as fast)/.exec(name)
      if (!name.startsWith('to and fro')) expect(Math.abs(Number(first?.[1] ?? first?.[2])), name).toBeGreaterThan(4)
    }
  })
})
