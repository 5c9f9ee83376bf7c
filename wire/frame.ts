/**
 * The kinds of frames between a client and a node, and the header that every log frame starts with. docs/PROTOCOL.md has the
 * same layouts as pictures. All numbers are little-endian; f64 holds integers below 2^53.
 *
 * A *log frame* (publish, settle, control) becomes part of a log entry as it is: gateway and leader pass its bytes on
 * undecoded (docs/ARCHITECTURE.md, idea 1). All other frames go no further than the node at the other end of the socket.
 */

/** Version of the client protocol; the first thing that hello and welcome say. */
export const PROTOCOL_VERSION = 1

/** Never renumber: log frames are on disk. */
export const FrameKind = {
  // log frames, client → node
  publish: 1,
  settle: 2,
  control: 3,
  /** Log frame that a node proposes itself: sessions and time. A client may not send it. */
  node: 16,
  /** Log frame that a leader proposes in place of a publish frame which it cannot store. A client may not send it. */
  refusedPublish: 17,
  // client → node
  hello: 32,
  request: 33,
  reply: 34,
  query: 35,
  leave: 36,
  // node → client
  welcome: 64,
  confirm: 65,
  outcome: 66,
  settled: 67,
  deliver: 68,
  requested: 69,
  replied: 70,
  answer: 71,
  cancelled: 73,
  fault: 74,
  goodbye: 75,
  parted: 76,
  resumed: 77,
  received: 78,
  // both ways
  heartbeat: 96,
} as const
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind]

/** Version of the log frames' layout, in each of them since they are stored. */
export const LOG_FRAME_VERSION = 1

/**
 * The header of a log frame:
 *
 *      0 u8  kind        1 u8  version      2 u16 group       4 u32 length of the frame, header included
 *      8 f64 session    16 f64 epoch of the attachment       24 f64 first sequence (publish, control) or tag (settle)
 *     32 f64 seen: the client knows all outcomes up to it    40 u32 count    44 u32 bytes of the table behind the header
 */
export const LOG_HEADER_BYTES = 48

/** The header's fields at their offsets, read in place: no object is made for a frame on its way. */
export const logHeader = {
  kind: (view: DataView, at: number) => view.getUint8(at),
  version: (view: DataView, at: number) => view.getUint8(at + 1),
  group: (view: DataView, at: number) => view.getUint16(at + 2, true),
  length: (view: DataView, at: number) => view.getUint32(at + 4, true),
  session: (view: DataView, at: number) => view.getFloat64(at + 8, true),
  epoch: (view: DataView, at: number) => view.getFloat64(at + 16, true),
  sequence: (view: DataView, at: number) => view.getFloat64(at + 24, true),
  seen: (view: DataView, at: number) => view.getFloat64(at + 32, true),
  count: (view: DataView, at: number) => view.getUint32(at + 40, true),
  tableBytes: (view: DataView, at: number) => view.getUint32(at + 44, true),
} as const

export interface LogHeader {
  readonly kind: FrameKind
  readonly group: number
  readonly session: number
  readonly epoch: number
  readonly sequence: number
  readonly seen: number
  readonly count: number
  readonly tableBytes: number
}

/** Writes the header at `at`; `length` is that of the whole frame. */
export function writeLogHeader(view: DataView, at: number, header: LogHeader, length: number): void {
  view.setUint8(at, header.kind)
  view.setUint8(at + 1, LOG_FRAME_VERSION)
  view.setUint16(at + 2, header.group, true)
  view.setUint32(at + 4, length, true)
  view.setFloat64(at + 8, header.session, true)
  view.setFloat64(at + 16, header.epoch, true)
  view.setFloat64(at + 24, header.sequence, true)
  view.setFloat64(at + 32, header.seen, true)
  view.setUint32(at + 40, header.count, true)
  view.setUint32(at + 44, header.tableBytes, true)
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A copy of a log frame for another attachment of its session: the same content under the same sequences. */
export function restampLogFrame(frame: Uint8Array, epoch: number, seen: number): Uint8Array {
  const copy = new Uint8Array(frame)
  const view = viewOf(copy)
  view.setFloat64(16, epoch, true)
  view.setFloat64(32, seen, true)
  return copy
}
