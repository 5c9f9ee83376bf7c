/**
 * The full mesh: two sockets per pair of nodes, one per direction of dialing. Bulk (appends, forwarded frames,
 * volatile messages) goes out on the socket that this node accepted, because a server's frames are not masked; control
 * (votes, heartbeats, answers) goes out on the one that it dialed, so that bulk never delays a heartbeat (trap 45). While one
 * of the two is missing the other carries both.
 *
 * It is also the witness of dead processes: a closed link whose redial is refused (see `onEvidence`).
 *
 * Never: retries of messages; Raft and the router repeat what matters.
 */
import type { Member, Message } from '../../raft/index.ts'
import type { FrameSocket } from '../socket.ts'
import { Dialer } from './dialer.ts'
import {
  decodeFetchRequest,
  decodeFetchResponse,
  encodeFetchRequest,
  encodeFetchResponse,
  type FetchRequest,
  type FetchResponse,
} from './fetch-codec.ts'
import { isOfAnotherCluster, type PeerIdentity } from './handshake.ts'
import type { Link } from './link.ts'
import { Listener } from './listener.ts'
import type { MeshOptions } from './mesh-options.ts'
import type { MeshHandlers, MeshPort } from './mesh-port.ts'
import { ParcelKind, readParcels } from './parcel.ts'
import { readRaftMessage, writeRaftMessage } from './raft-codec.ts'
import { decodeReplacement, encodeReplacement, type Replacement } from './replaced-codec.ts'
import {
  decodeNotes,
  decodeReplies,
  decodeRequests,
  encodeNotes,
  encodeReplies,
  encodeRequests,
  type VolatileNote,
  type VolatileReply,
  type VolatileRequest,
} from './volatile-codec.ts'

interface Peer {
  readonly id: string
  readonly dialer: Dialer
  dialed: Link | undefined
  accepted: Link | undefined
  /** Its process is gone, as far as a refused redial can tell. */
  down: boolean
}

const CONTROL = new Set<Message['type']>([
  'voteRequest',
  'voteResponse',
  'appendResponse',
  'heartbeat',
  'heartbeatResponse',
  'readRequest',
  'readResponse',
  'installRequest',
  'timeoutNow',
])

/** Chunks and bodies for a peer beyond this many unsent bytes are dropped: those who install ask again, appends go first. */
const FETCH_BUFFER_BYTES_MAX = 2 * 1024 * 1024

export class Mesh implements MeshPort {
  readonly #options: MeshOptions
  readonly #handlers: MeshHandlers
  readonly #peers = new Map<string, Peer>()
  readonly #listener: Listener

  constructor(options: MeshOptions, handlers: MeshHandlers) {
    this.#options = options
    this.#handlers = handlers
    this.#listener = new Listener(options, (link) => this.#adopt(link, 'accepted'))
    for (const [id, url] of options.peers) {
      const dialer = new Dialer(options, id, url, {
        onLink: (link) => this.#adopt(link, 'dialed'),
        onRefused: () => this.#refused(id),
      })
      this.#peers.set(id, { id, dialer, dialed: undefined, accepted: undefined, down: false })
    }
  }

  start(): void {
    for (const { dialer } of this.#peers.values()) dialer.start()
  }

  stop(): void {
    this.#listener.stop()
    for (const { dialer, dialed, accepted } of this.#peers.values()) {
      dialer.stop()
      dialed?.close()
      accepted?.close()
    }
  }

  /** A socket on which another node has dialed this one. */
  accept(socket: FrameSocket): void {
    this.#listener.accept(socket)
  }

  connected(peer: string): boolean {
    const { dialed, accepted } = this.#peers.get(peer) ?? {}
    return (dialed ?? accepted) !== undefined
  }

  identities(peer: string): readonly PeerIdentity[] {
    return this.#links(peer).map((link) => link.peer)
  }

  clusterKnown(): void {
    const { self } = this.#options
    for (const id of this.#peers.keys()) {
      for (const link of this.#links(id)) if (isOfAnotherCluster(self, link.peer)) link.close()
    }
  }

  /** Control's first. */
  #links(peer: string): Link[] {
    const { dialed, accepted } = this.#peers.get(peer) ?? {}
    return [dialed, accepted].filter((link) => link !== undefined)
  }

  down(peer: string): boolean {
    return this.#peers.get(peer)?.down === true
  }

  sendRaft(message: Message): void {
    const peer = this.#peers.get(message.to)
    if (peer === undefined) return
    const link = CONTROL.has(message.type) ? (peer.dialed ?? peer.accepted) : this.#bulk(peer)
    if (link === undefined) return
    // The directory behind the link is not the one that the message is meant for: it would be dropped there.
    if (message.toIncarnation !== '' && message.toIncarnation !== link.peer.incarnation) return
    link.write((writer) => writeRaftMessage(writer, this.#options.group, message))
  }

  forward(to: string, frame: Uint8Array): void {
    this.#sendBulk(to, ParcelKind.forward, frame)
  }

  sendRequests(to: string, requests: readonly VolatileRequest[]): boolean {
    return this.#sendBulk(to, ParcelKind.volatileRequests, encodeRequests(requests))
  }

  sendReplies(to: string, replies: readonly VolatileReply[]): boolean {
    return this.#sendBulk(to, ParcelKind.volatileReplies, encodeReplies(replies))
  }

  sendNotes(to: string, notes: readonly VolatileNote[]): boolean {
    return this.#sendBulk(to, ParcelKind.volatileNotes, encodeNotes(notes))
  }

  sendFetchRequest(to: string, request: FetchRequest): boolean {
    return this.#sendBulk(to, ParcelKind.fetchRequest, encodeFetchRequest(request))
  }

  sendFetchResponse(to: string, response: FetchResponse): boolean {
    const bytesMax = Math.min(FETCH_BUFFER_BYTES_MAX, this.#options.bufferBytesMax)
    return this.#sendBulk(to, ParcelKind.fetchResponse, encodeFetchResponse(response), bytesMax)
  }

  sendReplaced(to: Member, notice: Replacement): void {
    const link = this.#links(to.id).find(({ peer }) => peer.incarnation === to.incarnation)
    const { id: group, incarnation: groupIncarnation } = this.#options.group
    const head = { kind: ParcelKind.replaced, flags: 0, group, groupIncarnation }
    link?.write((writer) => writer.add(head, encodeReplacement(notice)))
  }

  #sendBulk(to: string, kind: number, payload: Uint8Array | readonly Uint8Array[], bytesMax?: number): boolean {
    const peer = this.#peers.get(to)
    const link = peer && this.#bulk(peer, bytesMax)
    if (link === undefined) return false
    const { id, incarnation } = this.#options.group
    const parts = payload instanceof Uint8Array ? [payload] : payload
    link.write((writer) => writer.add({ kind, flags: 0, group: id, groupIncarnation: incarnation }, ...parts))
    return true
  }

  #bulk(peer: Peer, bytesMax = this.#options.bufferBytesMax): Link | undefined {
    const link = peer.accepted ?? peer.dialed
    return link !== undefined && link.bufferedBytes <= bytesMax ? link : undefined
  }

  #adopt(link: Link, way: 'dialed' | 'accepted'): void {
    const peer = this.#peers.get(link.peer.node)
    if (peer === undefined) {
      this.#options.logger.warn('refused a peer that is no member', { peer: link.peer.node })
      link.close()
      return
    }
    // The newer connection wins: the older one is a leftover that has not noticed its end yet.
    peer[way]?.close()
    peer[way] = link
    link.onClose(() => {
      if (peer[way] !== link) return
      peer[way] = undefined
      if (way === 'dialed') peer.dialer.redial()
      if (this.connected(peer.id)) this.#handlers.onRoute(peer.id)
      else this.#handlers.onLost(peer.id)
    })
    link.onMessage((message) => this.#receive(message, link.peer))
    this.#options.logger.debug('peer link open', { peer: peer.id, way })
    peer.down = false
    this.#handlers.onEvidence(peer.id, false)
    this.#handlers.onRoute(peer.id)
  }

  #refused(id: string): void {
    // A link that is still open contradicts the refusal (the process may just have closed its listener).
    const peer = this.#peers.get(id)!
    if (this.connected(id) || peer.down) return
    peer.down = true
    this.#handlers.onEvidence(id, true)
  }

  /** Throws on bytes that are no peer message; the link then closes. */
  #receive(message: Uint8Array, peer: PeerIdentity): void {
    const { group, self } = this.#options
    const ends = {
      from: peer.node,
      fromIncarnation: peer.incarnation,
      to: self.node,
      toIncarnation: self.incarnation,
    }
    readParcels(message, (parcel) => {
      if (parcel.group !== group.id || parcel.groupIncarnation !== group.incarnation) return
      switch (parcel.kind) {
        case ParcelKind.forward:
          return this.#handlers.onForward(peer.node, parcel.payload)
        case ParcelKind.volatileRequests:
          return this.#handlers.onRequests(peer.node, decodeRequests(parcel.payload))
        case ParcelKind.volatileReplies:
          return this.#handlers.onReplies(peer.node, decodeReplies(parcel.payload))
        case ParcelKind.volatileNotes:
          return this.#handlers.onNotes(peer.node, decodeNotes(parcel.payload))
        case ParcelKind.replaced:
          return this.#handlers.onReplaced(peer.node, decodeReplacement(parcel.payload))
        case ParcelKind.fetchRequest:
          return this.#handlers.onFetchRequest(peer.node, decodeFetchRequest(parcel.payload))
        case ParcelKind.fetchResponse:
          return this.#handlers.onFetchResponse(peer.node, decodeFetchResponse(parcel.payload))
        default: {
          const raftMessage = readRaftMessage(parcel, ends)
          if (raftMessage !== undefined) this.#handlers.onRaft(raftMessage)
        }
      }
    })
  }
}
