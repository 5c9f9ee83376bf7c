/**
 * Appends to a log until its process is killed, and tells on standard output every index whose append has resolved.
 */
import { writeSync } from 'node:fs'
import { systemClock } from '../../../node/clock.ts'
import { nodeFiles } from '../../../node/storage/node-files.ts'
import { Wal } from '../../../node/storage/wal.ts'
import { EntryType } from '../../../raft/index.ts'
import { group, identity } from './world.ts'

export const segmentBytes = 256 * 1024

/** The data of the entry that the writer puts at this index. */
export function writtenData(index: number): Buffer {
  return Buffer.alloc(index % 5_000, `${index};`)
}

export async function appendUntilKilled(directory: string): Promise<void> {
  const wal = await Wal.open({ files: nodeFiles, directory, identity, clock: systemClock, segmentBytes })
  const log = wal.group(group)
  let index = log.recovered().lastIndex

  async function appendForever(): Promise<never> {
    for (;;) {
      const own = ++index
      await log.append({ entries: [{ index: own, term: 1, type: EntryType.command, data: writtenData(own) }] })
      // Synchronous, so that a kill cannot lose what was already told.
      writeSync(1, `${own}\n`)
    }
  }

  await Promise.all([appendForever(), appendForever(), appendForever()])
}
