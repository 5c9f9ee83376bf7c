/**
 * Bodies that are larger than their ids: what pads one follows from its id and its size, so that whoever is handed it can tell whether it is
 * what was published, without asking anybody.
 */
import { fields } from '../check/operations.ts'
import type { Json } from '../history.ts'

/** Where a workload does not say how large: most are small. As many as no number of slots is a multiple of, so that each slot has all. */
const SIZES = [0, 0, 30, 0, 200, 0, 2_000]
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'

/** A body with so many characters beside its id. */
export function padded(id: Json, size: number): { readonly [key: string]: Json } {
  return { id, size, padding: paddingOf(id, size) }
}

/** A body whose size follows from its id. */
export function paddedById(id: Json): { readonly [key: string]: Json } {
  return padded(id, SIZES[Number(id) % SIZES.length] ?? 0)
}

/** Whether a body is padded otherwise than it says, or does not say how. */
export function isCorrupt(body: Json): boolean {
  const { id, size, padding } = fields(body)
  return typeof size !== 'number' || padding !== paddingOf(id ?? null, size)
}

/** What is told of a body: nothing where it is right. */
export function corruptionOf(body: Json): { readonly [key: string]: Json } {
  return isCorrupt(body) ? { corrupt: true } : {}
}

/** Another letter for another message: a mix of two is seen. */
function paddingOf(id: Json, size: number): string {
  return LETTERS.charAt(Number(id) % LETTERS.length).repeat(size)
}
