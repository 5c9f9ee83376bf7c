/** Refuses folders in memory: what survives a crash there proves nothing about what was synced. */
import { mkdirSync, statfsSync } from 'node:fs'

/** statfs's f_type of file systems in memory: tmpfs and ramfs. */
const MEMORY_FILE_SYSTEMS: readonly number[] = [0x01021994, 0x858458f6]

/** Makes the folder if it is missing. Throws if it is in memory. `typeOf` tells statfs's type of a folder. */
export function requireRealDisk(folder: string, typeOf = (path: string) => statfsSync(path).type): void {
  mkdirSync(folder, { recursive: true })
  if (MEMORY_FILE_SYSTEMS.includes(typeOf(folder))) {
    throw new Error(
      `${folder} is in memory (tmpfs): nothing about durability can be shown there, take a folder on a disk`,
    )
  }
}
