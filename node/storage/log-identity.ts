/**
 * Whose log the segments of a folder are, read from their headers alone: for a start that finds the log but not the store.
 */
import { join } from 'node:path'
import type { Files } from './files.ts'
import { decodeSegmentHeader, type LogIdentity, SEGMENT_HEADER_BYTES, segmentSequence } from './segment.ts'

/** The names of the segments in a folder, which must be there. */
export async function segmentNames(files: Files, logDirectory: string): Promise<string[]> {
  return (await files.list(logDirectory)).filter((name) => segmentSequence(name) !== undefined)
}

/** undefined: no header is whole, or they do not agree. */
export async function readLogIdentity(files: Files, logDirectory: string): Promise<LogIdentity | undefined> {
  let found: LogIdentity | undefined
  for (const name of await segmentNames(files, logDirectory)) {
    const header = await readHeader(files, join(logDirectory, name))
    if (header === undefined || header === 'unknownVersion') continue
    const { nodeId, incarnation } = header.identity
    if (found !== undefined && (found.nodeId !== nodeId || found.incarnation !== incarnation)) return undefined
    found = header.identity
  }
  return found
}

async function readHeader(files: Files, path: string): Promise<ReturnType<typeof decodeSegmentHeader>> {
  const file = await files.open(path)
  try {
    const sector = Buffer.alloc(SEGMENT_HEADER_BYTES)
    await file.read(sector, 0)
    return decodeSegmentHeader(sector)
  } finally {
    await file.close()
  }
}
