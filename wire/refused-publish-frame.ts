/**
 * Refused publish frames: what the leader proposes in place of a publish frame that the cluster cannot store now. The messages'
 * sequences are consumed, their bodies never reach the log, and each of them has the code as its outcome.
 *
 *     header | u8 code
 *
 * The header is the publish frame's own but for kind, length and `tableBytes`, which is 0. Only a leader makes such frames.
 */
import {
  FrameKind,
  LOG_FRAME_VERSION,
  LOG_HEADER_BYTES,
  type LogHeader,
  logHeader,
  viewOf,
  writeLogHeader,
} from './frame.ts'
import { limits } from './limits.ts'

const FRAME_BYTES = LOG_HEADER_BYTES + 1

/** Why a publish is refused, by number. Never renumber: log frames are on disk. */
const codeNumbers = { DiskFull: 1 } as const
export type RefusedPublishCode = keyof typeof codeNumbers
const codes: ReadonlyMap<number, RefusedPublishCode> = new Map(
  Object.entries(codeNumbers).map(([code, number]) => [number, code as RefusedPublishCode]),
)

/** What is proposed in place of a publish frame, whose header must be whole; its content is not looked at. */
export function refusePublishFrame(frame: Uint8Array, code: RefusedPublishCode): Uint8Array {
  const view = viewOf(frame)
  const header: LogHeader = {
    kind: FrameKind.refusedPublish,
    group: logHeader.group(view, 0),
    session: logHeader.session(view, 0),
    epoch: logHeader.epoch(view, 0),
    sequence: logHeader.sequence(view, 0),
    seen: logHeader.seen(view, 0),
    count: logHeader.count(view, 0),
    tableBytes: 0,
  }
  const refused = new Uint8Array(FRAME_BYTES)
  writeLogHeader(viewOf(refused), 0, header, FRAME_BYTES)
  refused[LOG_HEADER_BYTES] = codeNumbers[code]
  return refused
}

/** How many messages are refused, and why; undefined when the frame at `at`, of `length` bytes, is not whole. Total. */
export function readRefusedPublishFrame(
  view: DataView,
  at: number,
  length: number,
): { readonly count: number; readonly code: RefusedPublishCode } | undefined {
  if (length !== FRAME_BYTES || at + length > view.byteLength) return undefined
  if (logHeader.version(view, at) !== LOG_FRAME_VERSION || logHeader.length(view, at) !== length) return undefined
  const count = logHeader.count(view, at)
  const code = codes.get(view.getUint8(at + LOG_HEADER_BYTES))
  if (code === undefined || count === 0 || count > limits.frameMessagesMax) return undefined
  return logHeader.tableBytes(view, at) === 0 ? { count, code } : undefined
}
