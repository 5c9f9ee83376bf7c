/**
 * Node commands: what nodes themselves ask of the machine, about sessions and time. They travel in frames of kind `node`
 * (wire/control-frame.ts has the layout), not sequenced, so each of them is harmless when it is applied twice.
 *
 * Client commands are `ControlCommand` of wire/control-frame.ts.
 */
import { encodeCommandFrame } from '../../wire/control-frame.ts'
import { FrameKind } from '../../wire/frame.ts'
import type { HeldDeliveries } from '../../wire/session-frames.ts'

/** A life of a node's process. Numbers rise with each start of the node (a synced counter). */
export interface Boot {
  readonly node: string
  readonly bootId: number
}

export type NodeCommand =
  /**
   * Mints a session and attaches it. `nonce` (of this boot) tells the asker which answer is its own. The same nonce again: the
   * session that it got first while that attachment is in force, else refused. Boots remember their latest openings.
   */
  | ({
      readonly type: 'openSession'
      readonly nonce: number
      readonly connection: number
      readonly leaseMs: number
      readonly detachGraceMs: number
      readonly name: string
    } & Boot)
  /**
   * Attaches a session to this boot under a new epoch. The same connection number again: the epoch it got first. A lower one, or
   * a boot below the node's latest: refused. Open deliveries that are not `held` return to their places at once.
   */
  | ({
      readonly type: 'attach'
      readonly nonce: number
      readonly session: number
      readonly connection: number
      readonly held: readonly HeldDeliveries[]
    } & Boot)
  /** The socket of this attachment is closed. Without effect when the epoch is no longer the session's. */
  | { readonly type: 'detach'; readonly session: number; readonly epoch: number }
  /** A new life: detaches every session still attached to a former boot of the node. */
  | ({ readonly type: 'nodeStarted' } & Boot)
  /** The leader lost sight of this life: detaches its sessions. */
  | ({ readonly type: 'nodeLost' } & Boot)
  /** Nothing but its stamp: lets due timers run. */
  | { readonly type: 'advance' }

export function encodeNodeCommand(group: number, command: NodeCommand): Uint8Array {
  const header = { kind: FrameKind.node, group, session: 0, epoch: 0, sequence: 0, seen: 0, count: 1, tableBytes: 0 }
  return encodeCommandFrame(header, command)
}
