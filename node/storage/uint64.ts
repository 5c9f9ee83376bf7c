/**
 * Whole numbers in 8 little-endian bytes. BigInt would allocate for every field of every record, and no counter of ours
 * passes 2^53.
 */
const TWO_32 = 0x1_0000_0000

export function writeUint64(target: Buffer, at: number, value: number): void {
  target.writeUInt32LE(value % TWO_32, at)
  target.writeUInt32LE(Math.floor(value / TWO_32), at + 4)
}

/** Gives a number above 2^53, hence not exact, only for bytes that `writeUint64` never wrote. */
export function readUint64(source: Buffer, at: number): number {
  return source.readUInt32LE(at) + source.readUInt32LE(at + 4) * TWO_32
}
