/**
 * A process that appends to a log until it is killed, and tells every index whose append has resolved.
 *
 *     node --import tsx writer-process.ts <directory>
 */
import { writeSync } from 'node:fs'
import { systemClock } from '../../../node/clock.ts'
import { nodeFiles } from '../../../node/storage/node-files.ts'
import { Wal } from '../../../node/storage/wal.ts'
import { EntryType } from '../../../raft/index.ts'
import { group, identity } from './world.ts'

const directory = process.argv[2] as string
const wal = await Wal.open({ files: nodeFiles, directory, identity, clock: systemClock, segmentBytes: 256 * 1024 })
const log = wal.group(group)
let index = log.recovered().lastIndex

async function appendForever(): Promise<never> {
  for (;;) {
    const own = ++index
    const data = Buffer.alloc(own % 5_000, `${own};`)
    await log.append({ entries: [{ index: own, term: 1, type: EntryType.command, data }] })
    // Synchronous, so that a kill cannot lose what was already told.
    writeSync(1, `${own}\n`)
  }
}

await Promise.all([appendForever(), appendForever(), appendForever()])
