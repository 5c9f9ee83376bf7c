/**
 * Puts parts of a data directory out of the way, into a folder of its own beside them: what is of no use to the node may be of use to
 * people.
 *
 * Never: deletes.
 */
import { join } from 'node:path'
import { ensureDirectory } from './directories.ts'
import type { Files } from './files.ts'

/** Durable when it resolves with the folder's path. Names that are not there are left out. */
export async function setAside(
  files: Files,
  dataDir: string,
  wallMs: number,
  names: readonly string[],
): Promise<string> {
  const present = await files.list(dataDir)
  let time = Math.floor(wallMs)
  while (present.includes(`lost-${time}`)) time++
  const lost = join(dataDir, `lost-${time}`)
  await ensureDirectory(files, lost)
  for (const name of names) if (present.includes(name)) await files.rename(join(dataDir, name), join(lost, name))
  await files.syncDirectory(lost)
  await files.syncDirectory(dataDir)
  return lost
}
