/**
 * The sole import of msgpackr. Plain maps, no records (stateful, and with decode bugs of their own) and no extension
 * types, so that any MessagePack library can speak the protocol (trap 49).
 *
 * `decode` copies nothing: byte strings in its result are views of the input.
 */
import { Packr, RESERVE_START_SPACE } from 'msgpackr'

const packr = new Packr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number', moreTypes: false })

export function encode(value: unknown): Uint8Array {
  return packr.pack(value)
}

/**
 * The same with `reserved` bytes (at most 255, of no defined content) in front: room for a header without a copy. The result
 * may share its buffer with the results of other calls.
 */
export function encodeBehind(reserved: number, value: unknown): Uint8Array {
  return packr.pack(value, RESERVE_START_SPACE + reserved)
}

/** Throws on bytes that are not one whole MessagePack value. */
export function decode(bytes: Uint8Array): unknown {
  return packr.unpack(bytes)
}
