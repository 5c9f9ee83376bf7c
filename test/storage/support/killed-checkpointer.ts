/**
 * Makes one checkpoint after the other until its process is killed, and tells on standard output the index of each that is in force.
 */
import { writeSync } from 'node:fs'
import { Checkpoints } from '../../../node/storage/checkpoints.ts'
import { LevelStore } from '../../../node/storage/level-store.ts'
import { nodeFiles } from '../../../node/storage/node-files.ts'
import { markAt } from './store.ts'

/** How many chunks the writer gives the checkpoint at this index. */
export function writtenChunks(index: number): number {
  return 1 + (index % 7)
}

/** The chunk that the writer puts there. */
export function writtenChunk(index: number, n: number): Buffer {
  return Buffer.alloc(1 + ((index * 7_919 + n * 104_729) % 262_144), `${index}/${n};`)
}

export async function checkpointUntilKilled(directory: string): Promise<void> {
  const checkpoints = await Checkpoints.open(await LevelStore.open({ files: nodeFiles, directory }))
  for (let index = (checkpoints.current?.mark.index ?? 0) + 1; ; index++) {
    const writer = checkpoints.begin(markAt(index), 'local')
    for (let n = 0; n < writtenChunks(index); n++) await writer.put(writtenChunk(index, n))
    await writer.commit()
    writeSync(1, `${index}\n`)
  }
}
