/** Frames as the tests think of them, and their bytes. */
import { encodeEntry, encodeNodeCommand, type NodeCommand } from '../../node/queue/index.ts'
import { type ControlCommand, encodeControlFrame } from '../../wire/control-frame.ts'
import { PublishFrameBuilder } from '../../wire/publish-frame.ts'
import { refusePublishFrame } from '../../wire/refused-publish-frame.ts'
import { encodeSettleFrame, type SettleItem } from '../../wire/settle-frame.ts'

/** Who sends a frame, under which attachment. */
export interface Sender {
  readonly session: number
  readonly epoch: number
}

interface Published extends Sender {
  readonly sequence: number
  readonly seen: number
  readonly topics: readonly string[]
}

export type TestFrame =
  | ({ readonly kind: 'publish' } & Published)
  /** What a leader makes of a publish frame when the disks are full. */
  | ({ readonly kind: 'refused' } & Published)
  | ({
      readonly kind: 'control'
      readonly sequence: number
      readonly seen: number
      readonly command: ControlCommand
    } & Sender)
  | ({
      readonly kind: 'settle'
      readonly tag: number
      readonly seen: number
      readonly items: readonly SettleItem[]
    } & Sender)
  | { readonly kind: 'node'; readonly command: NodeCommand }

const message = Uint8Array.of(0, 1)

export function encodeFrame(frame: TestFrame, group = 0): Uint8Array {
  if (frame.kind === 'node') return encodeNodeCommand(group, frame.command)
  const { session, epoch, seen } = frame
  switch (frame.kind) {
    case 'publish':
    case 'refused': {
      const builder = new PublishFrameBuilder()
      for (const topic of frame.topics) builder.add(topic, message)
      const published = builder.finish({ group, session, epoch, sequence: frame.sequence, seen })
      return frame.kind === 'publish' ? published : refusePublishFrame(published, 'DiskFull')
    }
    case 'control':
      return encodeControlFrame({ group, session, epoch, sequence: frame.sequence, seen }, frame.command)
    case 'settle':
      return encodeSettleFrame({ group, session, epoch, tag: frame.tag, seen }, frame.items)
  }
}

/** The wall clock of the tests runs a fixed time ahead of the machine's. */
export const WALL_AHEAD_MS = 1_700_000_000_000

export function entryOf(timeMs: number, frames: readonly Uint8Array[]): Uint8Array {
  return encodeEntry({ timeMs, wallMs: timeMs + WALL_AHEAD_MS }, frames)
}
