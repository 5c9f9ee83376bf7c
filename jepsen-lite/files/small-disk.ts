/**
 * A small file system of its own for a node's data directory: ext4 in a file, on a loop device. Needs root.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import process from 'node:process'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface SmallDisk {
  /** The file that holds the file system; overwritten. */
  readonly image: string
  /** Where it is mounted; made if it is missing. */
  readonly directory: string
  readonly bytes: number
}

/** Why none can be mounted here, or undefined. */
export function smallDiskUnavailable(): string | undefined {
  if (process.platform !== 'linux') return 'loop devices are mounted on Linux only'
  if (process.getuid?.() !== 0) return 'mounting a file system needs root'
  // A container may have none, and mount nothing.
  return existsSync('/dev/loop-control') ? undefined : 'there are no loop devices here'
}

/** Resolves with what takes it away again, whatever still lies in it. */
export async function mountSmallDisk({ image, directory, bytes }: SmallDisk): Promise<() => Promise<void>> {
  const file = await open(image, 'w')
  await file.truncate(bytes)
  await file.close()
  await mkdir(directory, { recursive: true })
  // No blocks for root alone, and no folder that is not the node's.
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', image])
  await run('mount', ['-o', 'loop', image, directory])
  await run('rmdir', ['lost+found'], { cwd: directory })
  return async () => {
    await run('umount', ['--lazy', directory])
  }
}
