/** Makes folders that survive a crash. */
import { dirname } from 'node:path'
import type { Files } from './files.ts'

/**
 * Makes the directory, and those above it, where they are missing. Its entry is synced in any case: a process that died may have
 * left it visible but not durable (trap 25).
 */
export async function ensureDirectory(files: Files, path: string): Promise<void> {
  const parent = dirname(path)
  if (!(await exists(files, path))) {
    if (parent !== path) await ensureDirectory(files, parent)
    await files.makeDirectory(path)
  }
  await files.syncDirectory(parent)
}

async function exists(files: Files, directory: string): Promise<boolean> {
  try {
    await files.list(directory)
    return true
  } catch {
    return false
  }
}
