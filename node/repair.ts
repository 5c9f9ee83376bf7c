/**
 * Looks at, or repairs, the data directory of a node that does not run: storage's repair on the real disk.
 */
import { systemClock } from './clock.ts'
import { GROUP } from './core.ts'
import { LevelStore } from './storage/level-store.ts'
import { nodeFiles } from './storage/node-files.ts'
import { type RepairReport, repair } from './storage/repair.ts'

/** Without `acceptLoss` it only tells. Throws the storage's errors: `DirectoryInUse` while a node runs on the directory. */
export function repairNode(dataDir: string, { acceptLoss = false } = {}): Promise<RepairReport> {
  return repair({
    files: nodeFiles,
    dataDir,
    openStore: (directory) => LevelStore.open({ files: nodeFiles, directory }),
    group: GROUP,
    clock: systemClock,
    wallNow: Date.now,
    acceptLoss,
  })
}
