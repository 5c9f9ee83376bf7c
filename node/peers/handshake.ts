/**
 * How two nodes make sure of each other before a link carries anything: both prove that they know the cluster's secret by
 * an HMAC over both sides' fresh nonces and names, so that neither a replay nor a reflection passes. The secret itself never
 * travels. Two that know different clusters have nothing to say to each other, whatever their secret: their logs would mix.
 *
 *     acceptor → dialer   { version, nonce }
 *     dialer → acceptor   { version, cluster, nonce, node, to, incarnation, bootId, clusterId | nil, joined, proof }
 *     acceptor → dialer   { node, incarnation, bootId, clusterId | nil, joined, proof }
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { decode, encode } from '../../wire/msgpack.ts'
import { PEER_VERSION } from './parcel.ts'

/** No handshake frame is longer: what is, is not from a peer. */
export const HANDSHAKE_BYTES_MAX = 4096

export interface PeerIdentity {
  readonly node: string
  readonly incarnation: string
  readonly bootId: number
  /** Of the cluster that the directory belongs to; undefined while it knows none. */
  readonly clusterId: string | undefined
  /** The directory was a member of its cluster once, and may be still. */
  readonly joined: boolean
}

export interface HandshakeOptions {
  readonly cluster: string
  readonly secret: string
  /** Read anew at each handshake: a directory comes to know its cluster while its node runs. */
  readonly self: PeerIdentity
}

/** This node's side, as its directory knows it at each moment. */
export function selfOf(
  directory: Pick<PeerIdentity, 'incarnation' | 'bootId' | 'clusterId' | 'joined'> & { readonly nodeId: string },
): PeerIdentity {
  return {
    node: directory.nodeId,
    incarnation: directory.incarnation,
    bootId: directory.bootId,
    get clusterId() {
      return directory.clusterId
    },
    get joined() {
      return directory.joined
    },
  }
}

/** Whether both know their cluster, and it is not the same. */
export function isOfAnotherCluster(own: PeerIdentity, peer: PeerIdentity): boolean {
  return own.clusterId !== undefined && peer.clusterId !== undefined && own.clusterId !== peer.clusterId
}

/** The acceptor's side, two steps. */
export class Acceptance {
  readonly #options: HandshakeOptions
  readonly #nonce = randomBytes(16).toString('hex')

  constructor(options: HandshakeOptions) {
    this.#options = options
  }

  challenge(): Uint8Array {
    return encode({ version: PEER_VERSION, nonce: this.#nonce })
  }

  /** Judges the dialer's answer: who it is, and what to send back. Throws an Error that says what is wrong. */
  accept(answer: Uint8Array): { peer: PeerIdentity; reply: Uint8Array } {
    const { cluster, secret } = this.#options
    const self = { ...this.#options.self }
    const said = fields(answer)
    if (said.version !== PEER_VERSION) throw new Error(`peer version ${String(said.version)} is not ${PEER_VERSION}`)
    if (said.cluster !== cluster) throw new Error(`peer belongs to cluster '${String(said.cluster)}'`)
    if (said.to !== self.node) throw new Error(`peer was looking for node '${String(said.to)}', this is '${self.node}'`)
    const peer = identity(said)
    const nonces = [this.#nonce, String(said.nonce)]
    verify(said.proof, proof(secret, 'dialer', cluster, nonces, peer, self.node))
    checkCluster(self, peer)
    const own = proof(secret, 'acceptor', cluster, nonces, self, peer.node)
    return { peer, reply: encode({ ...spoken(self), proof: own }) }
  }
}

/** The dialer's side, two steps. */
export class Dialing {
  readonly #options: HandshakeOptions
  readonly #to: string
  readonly #nonce = randomBytes(16).toString('hex')
  #nonces: readonly string[] = []

  constructor(options: HandshakeOptions, to: string) {
    this.#options = options
    this.#to = to
  }

  answer(challenge: Uint8Array): Uint8Array {
    const { cluster, secret } = this.#options
    const self = { ...this.#options.self }
    const said = fields(challenge)
    if (said.version !== PEER_VERSION) throw new Error(`peer version ${String(said.version)} is not ${PEER_VERSION}`)
    this.#nonces = [String(said.nonce), this.#nonce]
    const own = proof(secret, 'dialer', cluster, this.#nonces, self, this.#to)
    return encode({ version: PEER_VERSION, cluster, nonce: this.#nonce, to: this.#to, ...spoken(self), proof: own })
  }

  /** Who answered. Throws an Error that says what is wrong. */
  complete(reply: Uint8Array): PeerIdentity {
    const { cluster, secret, self } = this.#options
    const said = fields(reply)
    const peer = identity(said)
    if (peer.node !== this.#to) throw new Error(`dialed '${this.#to}' but '${peer.node}' answered`)
    verify(said.proof, proof(secret, 'acceptor', cluster, this.#nonces, peer, self.node))
    checkCluster(self, peer)
    return peer
  }
}

function proof(
  secret: string,
  side: 'dialer' | 'acceptor',
  cluster: string,
  nonces: readonly string[],
  speaker: PeerIdentity,
  listener: string,
): string {
  const { node, incarnation, bootId, clusterId = null, joined } = speaker
  const said = [side, cluster, ...nonces, node, incarnation, bootId, clusterId, joined, listener]
  return createHmac('sha256', secret).update(JSON.stringify(said)).digest('hex')
}

/** As it travels: MessagePack has a nil, and no undefined. */
function spoken(self: PeerIdentity): object {
  return { ...self, clusterId: self.clusterId ?? null }
}

function checkCluster(own: PeerIdentity, peer: PeerIdentity): void {
  if (!isOfAnotherCluster(own, peer)) return
  const { node, clusterId } = peer
  throw new Error(`peer '${node}' belongs to another cluster of this name: ${clusterId}, and not ${own.clusterId}`)
}

function verify(said: unknown, expected: string): void {
  const given = Buffer.from(typeof said === 'string' ? said : '')
  const wanted = Buffer.from(expected)
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
    throw new Error('peer does not know the cluster secret')
  }
}

function identity(said: Record<string, unknown>): PeerIdentity {
  const { node, incarnation, bootId, clusterId, joined } = said
  if (
    typeof node !== 'string' ||
    typeof incarnation !== 'string' ||
    !Number.isSafeInteger(bootId) ||
    (clusterId !== null && typeof clusterId !== 'string') ||
    typeof joined !== 'boolean'
  ) {
    throw new Error('peer does not say who it is')
  }
  return { node, incarnation, bootId: bootId as number, clusterId: clusterId ?? undefined, joined }
}

function fields(frame: Uint8Array): Record<string, unknown> {
  if (frame.length > HANDSHAKE_BYTES_MAX) throw new Error('handshake frame too large')
  const value = decode(frame)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not a handshake frame')
  return value as Record<string, unknown>
}
