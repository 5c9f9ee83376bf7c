/**
 * Finds files by their inodes, which stay the same when a file is renamed.
 */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Path of each file in these folders and all below them. A folder that is missing has none. */
export function inodesIn(...folders: readonly string[]): Map<number, string> {
  const paths = new Map<number, string>()
  for (const folder of folders) {
    if (!existsSync(folder)) continue
    for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
      const path = join(entry.parentPath, entry.name)
      const found = entry.isFile() ? statSync(path, { throwIfNoEntry: false }) : undefined
      if (found !== undefined) paths.set(found.ino, path)
    }
  }
  return paths
}
