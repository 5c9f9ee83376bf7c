/**
 * The small records of the store: plain JSON with the version of its format in it. (Their checksum is the store's.)
 *
 * Never: meaning; each record's own file knows it.
 */
import { IdentityError } from './errors.ts'
import type { Store } from './store.ts'

/** undefined: there is none. Rejects with DamagedValueError, or IdentityError when a later version of the program wrote it. */
export async function readRecord<T>(store: Store, key: string, format: number): Promise<T | undefined> {
  const bytes = await store.get(key)
  if (bytes === undefined) return undefined
  const { format: found, ...record } = JSON.parse(new TextDecoder().decode(bytes)) as { format: number }
  if (found === format) return record as T
  throw new IdentityError('UnknownFormat', `'${key}' in the store has format ${found}, this program knows ${format}`)
}

/** What a change of the store takes as a put. */
export function recordPut(key: string, format: number, record: object): readonly [string, Uint8Array] {
  return [key, new TextEncoder().encode(JSON.stringify({ format, ...record }))]
}
