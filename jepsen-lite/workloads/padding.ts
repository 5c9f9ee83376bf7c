/**
 * Bodies that are larger than their ids: what pads one follows from its id and its size, so that whoever is handed it can tell whether it is
 * what was published, without asking anybody.
 */
import { fields } from '../check/operations.ts'
import type { Json } from '../history.ts'

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'

/** A body with so many characters beside its id. */
export function padded(id: Json, size: number): { readonly [key: string]: Json } {
  return { id, size, padding: paddingOf(id, size) }
}

/** Whether a body that says how it is padded is padded otherwise. What says nothing of it is not corrupt. */
export function isCorrupt(body: Json): boolean {
  const { id, size, padding } = fields(body)
  if (size === undefined && padding === undefined) return false
  return typeof size !== 'number' || padding !== paddingOf(id ?? null, size)
}

/** Another letter for another message: a mix of two is seen. */
function paddingOf(id: Json, size: number): string {
  return LETTERS.charAt(Number(id) % LETTERS.length).repeat(size)
}
