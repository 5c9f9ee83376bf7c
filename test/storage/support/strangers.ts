/**
 * What lies in the files of segments and was not written for them: of a file that was another segment before, nothing may be left when it
 * has a segment's name.
 */
import { decodeBatchHeader } from '../../../node/storage/batch.ts'
import { decodeSegmentHeader, SECTOR_BYTES, segmentSeed, segmentSequence } from '../../../node/storage/segment.ts'
import { isRemoved, type RemovedSegments } from '../../../node/storage/segment-manifest.ts'
import { directory, identity, type World } from './world.ts'

export interface Stranger {
  readonly sequence: number
  readonly offset: number
}

/** A torn write may look like one: of a disk that crashed there is at most one. Files that the manifest lists do not count. */
export function findStrangers(world: World, removed: RemovedSegments): Stranger[] {
  const found: Stranger[] = []
  for (const path of world.files.paths(directory)) {
    const sequence = segmentSequence(path.slice(directory.length + 1))
    if (sequence === undefined || isRemoved(removed, sequence)) continue
    const bytes = Buffer.from(world.files.contents(path))
    for (let offset = 0; offset < bytes.length; offset += SECTOR_BYTES) {
      if (isStrange(bytes, offset, sequence)) found.push({ sequence, offset })
    }
  }
  return found
}

function isStrange(bytes: Buffer, offset: number, sequence: number): boolean {
  if (offset === 0) {
    const header = decodeSegmentHeader(bytes)
    return header !== undefined && header !== 'unknownVersion' && header.sequence !== sequence
  }
  const looksLikeBatch = bytes.toString('latin1', offset + 4, offset + 8) === 'mqba'
  return looksLikeBatch && decodeBatchHeader(bytes, offset, segmentSeed(identity, sequence)) === undefined
}
