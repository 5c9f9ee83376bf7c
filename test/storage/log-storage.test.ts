import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../node/clock.ts'
import type { Files } from '../../node/storage/files.ts'
import { nodeFiles } from '../../node/storage/node-files.ts'
import { Wal } from '../../node/storage/wal.ts'
import { type LogStorageHarness, logStorageConformance } from '../conformance/log-storage.ts'
import { SimulatedFiles } from '../sim/simulated-files.ts'
import { Random } from '../support/random.ts'
import { group, identity } from './support/world.ts'

function harnessOn(files: Files, directory: string, dispose: () => Promise<void>): LogStorageHarness {
  let wal: Wal | undefined
  return {
    async open(mark) {
      // Small segments, so that every test crosses some.
      const options = { files, directory, identity, clock: systemClock, segmentBytes: 128 * 1024 }
      wal = await Wal.open({ ...options, ...(mark && { checkpoint: { group, mark } }) })
      return wal.group(group)
    },
    async close() {
      await wal?.close()
    },
    dispose,
  }
}

logStorageConformance('real files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'meshmq-log-'))
  return harnessOn(nodeFiles, join(folder, 'wal'), () => rm(folder, { recursive: true }))
})

logStorageConformance('simulated files', async () => {
  const schedule = (_: number, callback: () => void): void => void setImmediate(callback)
  return harnessOn(new SimulatedFiles({ schedule, random: new Random(1) }), '/wal', async () => {})
})
