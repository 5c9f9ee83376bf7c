/**
 * Writes files line by line: a history may have millions of events, so no file is ever one string, and no more than a block waits in
 * memory while the disk is busy.
 */
import { type FileHandle, open } from 'node:fs/promises'

/** Characters that are gathered before they are written. */
const BLOCK = 1 << 18

/** Writes each line with a line feed behind it; replaces the file. Rejects with the error of the file system. */
export async function writeLines(file: string, lines: Iterable<string>): Promise<void> {
  const handle = await open(file, 'w')
  try {
    await writeAll(handle, lines)
  } finally {
    await handle.close()
  }
}

async function writeAll(handle: FileHandle, lines: Iterable<string>): Promise<void> {
  let block: string[] = []
  let length = 0
  for (const line of lines) {
    block.push(line, '\n')
    length += line.length + 1
    if (length < BLOCK) continue
    await handle.appendFile(block.join(''))
    block = []
    length = 0
  }
  if (length > 0) await handle.appendFile(block.join(''))
}
