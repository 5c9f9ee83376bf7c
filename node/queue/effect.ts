/**
 * What an applied entry asks the nodes to do: values, computed alike on every replica. Each replica performs those of
 * the sessions that are attached to it and ignores the rest (docs/ARCHITECTURE.md, idea 4). An effect may be performed twice or, when a
 * node dies, never: whoever receives it can tell (sequences, delivery numbers, epochs).
 *
 * Never: functions, bodies, references into the machine's state.
 */
import type { OutcomeNotice, SettledNotice } from '../../wire/session-frames.ts'

/** Where a session's effects go: the attachment that was in force when the entry was applied. */
export interface Attachment {
  readonly session: number
  readonly node: string
  readonly bootId: number
  readonly epoch: number
}

export type Effect =
  /** Every publish of the session up to `upTo` is judged; outcomes tell which failed. Comes after the outcomes it covers. */
  | { readonly type: 'confirm'; readonly to: Attachment; readonly upTo: number }
  /** A rejection, or a control command's result (a control command always has one; its plain success has no `result`). */
  | { readonly type: 'outcome'; readonly to: Attachment; readonly outcome: OutcomeNotice }
  /** A frame began above last + 1 and was not applied: the gateway sends again from `expected`. */
  | { readonly type: 'gap'; readonly to: Attachment; readonly expected: number }
  /** A frame named an epoch that is not in force and was not applied. `session` is not attached as the sender believed. */
  | { readonly type: 'staleFrame'; readonly session: number; readonly epoch: number }
  | { readonly type: 'settled'; readonly to: Attachment; readonly notice: SettledNotice }
  /** Messages for a consumer; row i is delivery firstDelivery + i of the message at (indexes[i], positions[i]). */
  | {
      readonly type: 'deliver'
      readonly to: Attachment
      readonly consumer: number
      readonly firstDelivery: number
      readonly indexes: readonly number[]
      readonly positions: readonly number[]
      readonly attempts: readonly number[]
    }
  /**
   * What became of a receive: it has deliveries 1 to `count` of its consumer, and gets no more; or nothing was there while it could wait, and
   * the consumer is over.
   */
  | { readonly type: 'received'; readonly to: Attachment; readonly consumer: number; readonly count: number }
  /** The machine ended a consumer (its queue was deleted). */
  | { readonly type: 'cancelled'; readonly to: Attachment; readonly consumer: number; readonly reason: string }
  /** Answers openSession and attach. */
  | {
      readonly type: 'attached'
      readonly to: Attachment
      readonly nonce: number
      readonly connection: number
      readonly lastSequence: number
      readonly outcomes: readonly OutcomeNotice[]
      readonly consumers: readonly number[]
    }
  /**
   * Where a session stands whose attachment was in force all along: its node's machine was restored, so that the effects of the entries in
   * between were never performed here (`Machine.resume`). Its open deliveries follow, whether they were delivered before or not.
   */
  | {
      readonly type: 'resumed'
      readonly to: Attachment
      readonly lastSequence: number
      readonly outcomes: readonly OutcomeNotice[]
      readonly consumers: readonly number[]
    }
  | {
      readonly type: 'attachRefused'
      readonly node: string
      readonly bootId: number
      readonly nonce: number
      readonly code: 'SessionLost' | 'Precondition' | 'LimitExceeded' | 'Validation'
      readonly message: string
    }
  /** The attachment is over: moved, closed, lost or refused. Its socket, if there still is one, has no use. */
  | {
      readonly type: 'detached'
      readonly to: Attachment
      readonly reason: 'moved' | 'closed' | 'nodeLost' | 'socketClosed' | 'expired'
    }
  /** `nodeStarted` was below the node's latest boot: another process of the same id is the newer one. */
  | { readonly type: 'bootRefused'; readonly node: string; readonly bootId: number }
