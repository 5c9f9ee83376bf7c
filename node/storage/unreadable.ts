/**
 * What a disk does not give back any more: reads of a file that pass over places which fail with EIO, as a rotten sector makes them.
 *
 * Such a place reads as bytes that no record and no unused place holds, so that whoever checks what was read finds it damaged,
 * and nobody takes it for one that was never written (trap 30).
 *
 * Never: hides any other error, or a disk that fails in many places.
 */
import type { File } from './files.ts'

const CHUNK_BYTES = 256 * 1024
/** A page of the operating system: no less fails at a time. */
const PIECE_BYTES = 4096
/** Pieces of one file that may fail: a disk may try for seconds before it gives one up, and one that fails in more places is broken. */
const FAILED_PIECES_MAX = 64
const FILLER = 0xff

/** The system could not read this from the medium, and may well read what lies beside it. */
function isUnreadable(error: unknown): boolean {
  return (error as { readonly code?: unknown } | undefined)?.code === 'EIO'
}

/** Like `file.read`. Rejects with what the file port throws, when that is not EIO or too much is unreadable. */
export async function readAround(file: File, buffer: Uint8Array, position: number): Promise<number> {
  try {
    return await file.read(buffer, position)
  } catch (error) {
    if (!isUnreadable(error)) throw error
  }
  let failed = 0
  const readPieces = async (whole: Uint8Array, at: number, pieceBytes: number): Promise<number> => {
    for (let done = 0; done < whole.length; ) {
      const start = at + done
      const piece = whole.subarray(done, done + pieceBytes - (start % pieceBytes))
      let read = piece.length
      try {
        read = await file.read(piece, start)
      } catch (error) {
        if (!isUnreadable(error)) throw error
        if (pieceBytes > PIECE_BYTES) read = await readPieces(piece, start, PIECE_BYTES)
        else if (++failed > FAILED_PIECES_MAX) throw error
        else piece.fill(FILLER)
      }
      done += read
      if (read < piece.length) return done
    }
    return whole.length
  }
  return readPieces(buffer, position, CHUNK_BYTES)
}
