/**
 * What the leader tells a directory that was a member once and comes back though another one has its place, as MessagePack: [index, by].
 *
 * Never: the decision (membership-keeper.ts), and what follows from it (core.ts).
 */
import { decode, encode } from '../../wire/msgpack.ts'

export interface Replacement {
  /** Of a committed membership that lists the id, and not that directory. */
  readonly index: number
  /** The incarnation that has its place. */
  readonly by: string
}

export function encodeReplacement({ index, by }: Replacement): Uint8Array {
  return encode([index, by])
}

/** Throws Error on anything else; so do bytes that are no MessagePack. */
export function decodeReplacement(payload: Uint8Array): Replacement {
  const said = decode(payload)
  const [index, by] = Array.isArray(said) ? said : []
  if (!Number.isSafeInteger(index) || typeof by !== 'string') throw new Error('not a notice of a replacement')
  return { index, by }
}
