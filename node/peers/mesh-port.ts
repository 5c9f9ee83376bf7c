/**
 * The mesh as the rest of a node sees it, and what the mesh tells the node; the simulator has a mesh of its own behind it.
 *
 * Never: implementations (mesh.ts).
 */
import type { Member, Message } from '../../raft/index.ts'
import type { FetchRequest, FetchResponse } from './fetch-codec.ts'
import type { PeerIdentity } from './handshake.ts'
import type { Replacement } from './replaced-codec.ts'
import type { VolatileNote, VolatileReply, VolatileRequest } from './volatile-codec.ts'

export interface MeshPort {
  start(): void
  stop(): void
  /** A link to the peer is open. */
  connected(peer: string): boolean
  /**
   * Who is at the other end of each open link to the peer, as it said when the link was made; control goes to the first. They differ
   * where two processes have one name.
   */
  identities(peer: string): readonly PeerIdentity[]
  /** This node has come to know its cluster: links to nodes of another one end. */
  clusterKnown(): void
  /** Whether the peer's process is known to be gone. */
  down(peer: string): boolean
  /** Dropped when there is no way now. */
  sendRaft(message: Message): void
  /** A log frame for the leader. Dropped when there is no way now; `onRoute` will tell of one. */
  forward(to: string, frame: Uint8Array): void
  /** False: there is no way to the node. */
  sendRequests(to: string, requests: readonly VolatileRequest[]): boolean
  sendReplies(to: string, replies: readonly VolatileReply[]): boolean
  /** To that directory alone. Dropped when there is no way now. */
  sendReplaced(to: Member, notice: Replacement): void
  sendNotes(to: string, notes: readonly VolatileNote[]): boolean
  /** False: there is no way to the node, or too much is on the way. So with the next. */
  sendFetchRequest(to: string, request: FetchRequest): boolean
  sendFetchResponse(to: string, response: FetchResponse): boolean
}

export interface MeshHandlers {
  onRaft(message: Message): void
  onForward(from: string, frame: Uint8Array): void
  onRequests(from: string, requests: VolatileRequest[]): void
  onReplies(from: string, replies: VolatileReply[]): void
  onNotes(from: string, notes: VolatileNote[]): void
  onReplaced(from: string, notice: Replacement): void
  onFetchRequest(from: string, request: FetchRequest): void
  onFetchResponse(from: string, response: FetchResponse): void
  /** The path of bulk to this peer is new: what was sent on the former one may be lost. */
  onRoute(peer: string): void
  /** No link to the peer is left. */
  onLost(peer: string): void
  /** `down`: its process is gone, as far as a refused redial can tell. Taken back when it answers again. */
  onEvidence(peer: string, down: boolean): void
}
