/**
 * Settle frames: what became of deliveries, in runs of delivery numbers. Not sequenced: an item names the consumer's
 * incarnation and the deliveries, so it is idempotent (trap 40); `sequence` in the header is a tag that the answer repeats.
 *
 *     header | count × (f64 consumer, f64 first delivery, u32 deliveries, u8 outcome, 3 × u8 0, u32 milliseconds, u32 0)
 */
import { FrameKind, LOG_FRAME_VERSION, LOG_HEADER_BYTES, logHeader, viewOf, writeLogHeader } from './frame.ts'
import { limits } from './limits.ts'

const SETTLE_ITEM_BYTES = 32

/** Never renumber. */
export const SettleOutcome = {
  /** Done with (ack). */
  accepted: 1,
  /** Back to its place in the queue, after `ms` (nack). */
  released: 2,
  /** Never to be delivered again (reject). */
  rejected: 3,
  /** Not settled: stays open for `ms` more from this entry's time. */
  extended: 4,
} as const
export type SettleOutcome = (typeof SettleOutcome)[keyof typeof SettleOutcome]

export interface SettleItem {
  /** The consumer's incarnation, minted by the log. */
  readonly consumer: number
  readonly firstDelivery: number
  /** Deliveries in the run: firstDelivery … firstDelivery + count - 1. */
  readonly count: number
  readonly outcome: SettleOutcome
  /** Delay of a release, or the extension; 0 otherwise. */
  readonly ms: number
}

export function encodeSettleFrame(
  stamp: { group: number; session: number; epoch: number; tag: number; seen: number },
  items: readonly SettleItem[],
): Uint8Array {
  const length = LOG_HEADER_BYTES + SETTLE_ITEM_BYTES * items.length
  const frame = new Uint8Array(length)
  const view = viewOf(frame)
  const { tag, ...rest } = stamp
  const header = { kind: FrameKind.settle, ...rest, sequence: tag, count: items.length, tableBytes: 0 }
  writeLogHeader(view, 0, header, length)
  let at = LOG_HEADER_BYTES
  for (const item of items) {
    view.setFloat64(at, item.consumer, true)
    view.setFloat64(at + 8, item.firstDelivery, true)
    view.setUint32(at + 16, item.count, true)
    view.setUint8(at + 20, item.outcome)
    view.setUint32(at + 24, item.ms, true)
    at += SETTLE_ITEM_BYTES
  }
  return frame
}

/** How many items the frame at `at` holds, or undefined if it is not whole. Total. */
export function settleItemCount(view: DataView, at: number, length: number): number | undefined {
  if (length < LOG_HEADER_BYTES || at + length > view.byteLength) return undefined
  if (logHeader.version(view, at) !== LOG_FRAME_VERSION || logHeader.length(view, at) !== length) return undefined
  const count = logHeader.count(view, at)
  if (count > limits.frameSettlesMax || length !== LOG_HEADER_BYTES + SETTLE_ITEM_BYTES * count) return undefined
  return count
}

/** Item `i` of a frame whose count was read before. Its values are not judged. */
export function readSettleItem(view: DataView, at: number, i: number): SettleItem {
  const offset = at + LOG_HEADER_BYTES + SETTLE_ITEM_BYTES * i
  return {
    consumer: view.getFloat64(offset, true),
    firstDelivery: view.getFloat64(offset + 8, true),
    count: view.getUint32(offset + 16, true),
    outcome: view.getUint8(offset + 20) as SettleOutcome,
    ms: view.getUint32(offset + 24, true),
  }
}
