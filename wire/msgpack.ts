/**
 * The sole import of msgpackr. Plain maps, no records (stateful, and with decode bugs of their own) and no extension
 * types, so that any MessagePack library can speak the protocol (trap 49).
 *
 * `decode` copies nothing: byte strings in its result are views of the input.
 */
import { Packr } from 'msgpackr'

const packr = new Packr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number', moreTypes: false })

export function encode(value: unknown): Uint8Array {
  return packr.pack(value)
}

/** Throws on bytes that are not one whole MessagePack value. */
export function decode(bytes: Uint8Array): unknown {
  return packr.unpack(bytes)
}
