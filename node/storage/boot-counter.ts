/**
 * The highest boot id that this data directory has used, in a file of its own beside log and store: it outlives a store that is lost
 * while the wall clock was set back. Boot ids and the numbers of doubts must rise in any case: the cluster takes a lower one for a
 * message of a former life, and drops it.
 *
 *     boot    u32 checksum of the rest | 8 bytes `meshmqBT` | u64 boot id
 *
 * Replaced by renaming, so that a crash leaves the old one or the new one. Never: the identity; a file that is gone or rotten tells
 * nothing, and then there are still the store and the clock.
 */
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { StorageFailedError } from './errors.ts'
import type { Files } from './files.ts'
import { readUint64, writeUint64 } from './uint64.ts'

const NAME = 'boot'
const NEW_NAME = 'boot.new'
const MAGIC = Buffer.from('meshmqBT')
const BYTES = 20
const MAGIC_AT = 4
const NUMBER_AT = 12

/** 0: nothing is told. Rejects with StorageFailedError. */
export function readBoot(files: Files, dataDir: string): Promise<number> {
  return guarded(dataDir, async () => {
    if (!(await files.list(dataDir)).includes(NAME)) return 0
    const bytes = Buffer.alloc(BYTES)
    const file = await files.open(join(dataDir, NAME))
    let read: number
    try {
      read = await file.read(bytes, 0)
    } finally {
      await file.close()
    }
    return read === BYTES && isWhole(bytes) ? readUint64(bytes, NUMBER_AT) : 0
  })
}

/** Durable when it resolves; only then may the boot id be used. Rejects with StorageFailedError. */
export function writeBoot(files: Files, dataDir: string, bootId: number): Promise<void> {
  return guarded(dataDir, async () => {
    // What a crash left may be torn; it was never in force.
    if ((await files.list(dataDir)).includes(NEW_NAME)) await files.remove(join(dataDir, NEW_NAME))
    const file = await files.open(join(dataDir, NEW_NAME), { create: true })
    try {
      await file.writeDurable([encode(bootId)], 0)
    } finally {
      await file.close()
    }
    await files.rename(join(dataDir, NEW_NAME), join(dataDir, NAME))
    await files.syncDirectory(dataDir)
  })
}

function encode(bootId: number): Buffer {
  const bytes = Buffer.alloc(BYTES)
  MAGIC.copy(bytes, MAGIC_AT)
  writeUint64(bytes, NUMBER_AT, bootId)
  bytes.writeUInt32LE(crc32(bytes.subarray(MAGIC_AT)), 0)
  return bytes
}

function isWhole(bytes: Buffer): boolean {
  return bytes.readUInt32LE(0) === crc32(bytes.subarray(MAGIC_AT)) && bytes.subarray(MAGIC_AT, NUMBER_AT).equals(MAGIC)
}

async function guarded<T>(dataDir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new StorageFailedError(`the number of the last start in ${dataDir} cannot be read or written`, { cause })
  }
}
