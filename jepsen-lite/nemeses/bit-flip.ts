/** Bits flip in the segments of one node's log, or in the tables of its store, where its checkpoints are; under a running node or a dead one. */
import { existsSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { flipLogBits, flipStoreBits } from '../files/damage.ts'
import type { FaultTarget, Nemesis, OwnEndings } from '../nemesis.ts'
import { smallFiles } from './full-disk.ts'
import { wounding } from './wounded.ts'

const HOLD_MS_MIN = 50
const HOLD_MS_MAX = 4_000
const FLIPS_MAX = 8
/** For a start to get behind the opening of its store. */
const OPENING_MS = 10_000
const LOOK_MS = 50
/** In LevelDB itself, or by what it says. */
const rottenStore: OwnEndings = { codes: ['StorageFailed', 'StoreDamaged'], signals: ['SIGABRT', 'SIGSEGV'] }

export const bitFlip: Nemesis = {
  name: 'bit-flip',
  about: "flip bits in the log or the store of a node, running or not; a minority's",
  // So that there are old segments and checkpoints in a short run.
  launch: { nodeOptions: smallFiles },
  draw(random, nodes) {
    const dice = random.fork(`flips ${random.next()}`)
    const node = random.pick(nodes)
    const flips = random.between(1, FLIPS_MAX)
    const isLog = random.chance(0.7)
    const holdMs = random.between(HOLD_MS_MIN, HOLD_MS_MAX)
    const figure = 'flippedBits'
    if (!isLog) {
      const hurt = (dataDir: string) => flipStoreBits(dataDir, flips, dice)
      return wounding({ name: `${flips} bits in the store of`, node, holdMs, figure, hurt, start: startWithoutStore })
    }
    const whileRunning = random.chance(0.5)
    const hurt = (dataDir: string) => flipLogBits(dataDir, flips, dice)
    const name = `${flips} bits in the log of${whileRunning ? ' the running' : ''}`
    return wounding({ name, node, holdMs, figure, hurt, whileRunning })
  },
  bite: ({ flippedBits = 0 }) => (flippedBits > 0 ? undefined : 'no bit was flipped'),
}

/**
 * Rot in LevelDB's own files may end the process in LevelDB, at each start. docs/OPERATIONS.md tells what an operator does then: the store
 * goes aside.
 */
async function startWithoutStore(target: FaultTarget, node: string): Promise<string> {
  // As long as it has that store: nobody knows when LevelDB comes to read what has rotted.
  const expected = target.expectEnd(node, rottenStore)
  await target.start(node)
  const deadline = performance.now() + OPENING_MS
  while (performance.now() < deadline && target.isRunning(node)) {
    if (await target.ready(node, LOOK_MS)) break
  }
  if (expected.count === 0) return ''
  await target.whileDown(node, async () => {
    const store = path.join(target.dataDir(node), 'store')
    // Another fault may have emptied the directory meanwhile.
    if (existsSync(store)) await rename(store, `${store}-aside-${Date.now()}`)
    expected.over()
  })
  await sleep(LOOK_MS)
  await target.start(node)
  return ', which died in LevelDB; started again without its store'
}
