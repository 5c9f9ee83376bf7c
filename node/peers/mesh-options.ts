/**
 * What the mesh and its two kinds of links are told.
 */
import type { Clock, GroupId } from '../../raft/index.ts'
import type { Logger } from '../logger.ts'
import type { FrameSocket } from '../socket.ts'
import type { HandshakeOptions } from './handshake.ts'

/** What becomes of a dial. */
export interface DialHandlers {
  onOpen(socket: FrameSocket): void
  /** Nobody listens there. `onClose` follows. */
  onRefused(): void
  /** Once, after all else, also when it never opened. */
  onClose(): void
}

export interface MeshOptions extends HandshakeOptions {
  readonly group: GroupId
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  /** Calls its handlers later, never from within the call. Gives up after `timeoutMs` without an answer. */
  readonly dial: (url: string, timeoutMs: number, handlers: DialHandlers) => void
  /** id → ws URL of every other member. */
  readonly peers: ReadonlyMap<string, string>
  readonly logger: Logger
  /** Bulk beyond this many unsent bytes per peer is dropped. */
  readonly bufferBytesMax: number
  readonly handshakeTimeoutMs: number
  /** A link that is silent for twice this long is dead. */
  readonly pingIntervalMs: number
}
