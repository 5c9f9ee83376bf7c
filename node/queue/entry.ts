/**
 * The data of one command entry: a header with the leader's stamps, the ends of the frames, the frames as they came from their
 * clients (docs/ARCHITECTURE.md, idea 1).
 *
 *     0 u8 version   1 u8 0   2 u16 frames   4 u32 0   8 f64 timeMs   16 f64 wallMs   24 u32[frames] end of each frame | frames
 *
 * Ends count from the entry's first byte. A frame's number is its place in the entry; with the log index it names what
 * the frame mints (session, consumer, epoch: `mintId`), and with a message's place in the frame it names a message.
 *
 * Never: a throw on bad bytes.
 */
import { LOG_HEADER_BYTES, logHeader, viewOf } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'

const ENTRY_VERSION = 1
const HEADER_BYTES = 24

export interface EntryStamp {
  /** The machine's own time: last stamp + the leader's monotonic elapsed milliseconds. */
  readonly timeMs: number
  /** Wall clock of the leader, never going back; for timestamps of messages alone. */
  readonly wallMs: number
}

export function encodeEntry(stamp: EntryStamp, frames: readonly Uint8Array[]): Uint8Array {
  let end = HEADER_BYTES + 4 * frames.length
  let length = end
  for (const frame of frames) length += frame.length
  const entry = new Uint8Array(length)
  const view = viewOf(entry)
  view.setUint8(0, ENTRY_VERSION)
  view.setUint16(2, frames.length, true)
  view.setFloat64(8, stamp.timeMs, true)
  view.setFloat64(16, stamp.wallMs, true)
  for (let i = 0; i < frames.length; i++) {
    const frame = frames[i]!
    entry.set(frame, end)
    end += frame.length
    view.setUint32(HEADER_BYTES + 4 * i, end, true)
  }
  return entry
}

/** Stamps and frame bounds, checked; undefined when the bytes are no entry. Frames themselves are not judged. */
export interface EntryReader {
  readonly view: DataView
  readonly stamp: EntryStamp
  readonly frames: number
  /** Where frame `i` starts. */
  start(i: number): number
  /** Where frame `i` ends. */
  end(i: number): number
}

export function readEntry(data: Uint8Array): EntryReader | undefined {
  if (data.length < HEADER_BYTES) return undefined
  const view = viewOf(data)
  const frames = view.getUint16(2, true)
  const first = HEADER_BYTES + 4 * frames
  if (view.getUint8(0) !== ENTRY_VERSION || frames > limits.entryFramesMax || first > data.length) return undefined
  const end = (i: number) => view.getUint32(HEADER_BYTES + 4 * i, true)
  const start = (i: number) => (i === 0 ? first : end(i - 1))
  for (let i = 0; i < frames; i++) {
    if (end(i) < start(i) + LOG_HEADER_BYTES || end(i) > data.length) return undefined
    if (logHeader.length(view, start(i)) !== end(i) - start(i)) return undefined
  }
  if (frames > 0 && end(frames - 1) !== data.length) return undefined
  const stamp = { timeMs: view.getFloat64(8, true), wallMs: view.getFloat64(16, true) }
  if (!Number.isFinite(stamp.timeMs) || !Number.isFinite(stamp.wallMs)) return undefined
  return { view, stamp, frames, start, end }
}

/** Start of frame `frame` in an entry that was checked before: one read, for bodies that are fetched one by one. */
export function frameStart(view: DataView, frame: number): number {
  return frame === 0 ? HEADER_BYTES + 4 * view.getUint16(2, true) : view.getUint32(HEADER_BYTES + 4 * (frame - 1), true)
}

/** Stamp of an entry that was checked before. */
export function entryWallMs(view: DataView): number {
  return view.getFloat64(16, true)
}

/** An id minted by frame `frame` of the entry at `index`: unique, rising, exact below index 2^41. */
export function mintId(index: number, frame: number): number {
  return index * limits.entryFramesMax + frame
}

/** The index of the entry that minted an id. */
export function mintedAt(id: number): number {
  return Math.floor(id / limits.entryFramesMax)
}

/** A message's place in its entry, as one u32: frame number and number in the frame. */
export function messagePosition(frame: number, message: number): number {
  return frame * 2 ** 20 + message
}

export function positionFrame(position: number): number {
  return Math.floor(position / 2 ** 20)
}

export function positionMessage(position: number): number {
  return position % 2 ** 20
}
