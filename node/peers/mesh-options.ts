/**
 * What the mesh and its two kinds of links are told.
 */
import type { GroupId } from '../../raft/index.ts'
import type { Logger } from '../logger.ts'
import type { HandshakeOptions } from './handshake.ts'

export interface MeshOptions extends HandshakeOptions {
  readonly group: GroupId
  /** id → ws URL of every other member. */
  readonly peers: ReadonlyMap<string, string>
  readonly logger: Logger
  /** Bulk beyond this many unsent bytes per peer is dropped. */
  readonly bufferBytesMax: number
  readonly handshakeTimeoutMs: number
  /** A link that is silent for twice this long is dead. */
  readonly pingIntervalMs: number
}
