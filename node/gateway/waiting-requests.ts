/**
 * The requests that a node's clients wait for, bounded by number and by the memory that they hold, per session and in all.
 *
 * Never: who responds, or what the asker is told (volatile.ts).
 */
/** Requests that one session may have waiting at a time. */
export const REQUESTS_PER_SESSION_MAX = 65_536
/** Memory that the waiting requests of one session, and of all sessions of the node, may hold, bytes. */
export const SESSION_BYTES_MAX = 32 * 1024 * 1024
export const NODE_BYTES_MAX = 256 * 1024 * 1024
/** What a waiting request takes beside its message, bytes. */
const WAITING_BYTES = 256

export class Waiting {
  readonly topic: string
  readonly expiresMs: number
  /** The node that the request went to; '' while none was picked. */
  node = ''
  /** The session that it went to; 0 while none was picked. */
  responder = 0
  attempts = 0
  /** Known to the responder of the current attempt alone: a reply without it is none. */
  nonce = 0
  #message: Uint8Array | undefined

  constructor(topic: string, message: Uint8Array | undefined, expiresMs: number) {
    this.topic = topic
    this.expiresMs = expiresMs
    this.#message = message
  }

  /** Undefined once it was taken for the last attempt. */
  get message(): Uint8Array | undefined {
    return this.#message
  }

  get bytes(): number {
    return WAITING_BYTES + (this.#message?.length ?? 0)
  }

  forgetMessage(): void {
    this.#message = undefined
  }

  /** A message is a view of the frame that it came in, which may be a thousand times as large. Most are gone before this matters. */
  ownMessage(): void {
    const message = this.#message
    if (message !== undefined && message.buffer.byteLength > message.length) this.#message = new Uint8Array(message)
  }
}

interface Asker {
  readonly requests: Map<number, Waiting>
  bytes: number
}

const none: ReadonlyMap<number, Waiting> = new Map()

export class WaitingRequests {
  /** By session, then by the asker's request number. */
  readonly #askers = new Map<number, Asker>()
  #bytes = 0

  /** Memory that is held, bytes. */
  get bytes(): number {
    return this.#bytes
  }

  get(asker: number, request: number): Waiting | undefined {
    return this.#askers.get(asker)?.requests.get(request)
  }

  /** Takes the place of an older request of the same number. False: there is no room, and nothing has changed. */
  add(asker: number, request: number, waiting: Waiting): boolean {
    const known = this.#askers.get(asker)
    const more = waiting.bytes
    if (this.#bytes + more > NODE_BYTES_MAX) return false
    if (known !== undefined) {
      if (known.requests.size >= REQUESTS_PER_SESSION_MAX || known.bytes + more > SESSION_BYTES_MAX) return false
      if (known.requests.has(request)) this.delete(asker, request)
    }
    const { requests } = this.#charge(asker, more)
    requests.set(request, waiting)
    return true
  }

  delete(asker: number, request: number): void {
    const waiting = this.get(asker, request)
    if (waiting === undefined) return
    this.#askers.get(asker)!.requests.delete(request)
    this.#charge(asker, -waiting.bytes)
  }

  /** No further attempt is possible: the message is not needed any more. */
  forgetMessage(asker: number, waiting: Waiting): void {
    const before = waiting.bytes
    waiting.forgetMessage()
    this.#charge(asker, waiting.bytes - before)
  }

  /** Forgets what has expired, and frees the frames that the others came in. */
  sweep(nowMs: number): void {
    for (const [asker, { requests }] of this.#askers) {
      for (const [request, waiting] of requests) {
        if (waiting.expiresMs <= nowMs) this.delete(asker, request)
        else waiting.ownMessage()
      }
      if (requests.size === 0) this.#askers.delete(asker)
    }
  }

  /** All that went to this node. */
  sentTo(node: string): [asker: number, request: number, waiting: Waiting][] {
    const found: [number, number, Waiting][] = []
    for (const [asker, { requests }] of this.#askers) {
      for (const [request, waiting] of requests) if (waiting.node === node) found.push([asker, request, waiting])
    }
    return found
  }

  /** Sessions that wait, or have lately waited. */
  askers(): Iterable<number> {
    return this.#askers.keys()
  }

  /** All that one session waits for. */
  of(asker: number): ReadonlyMap<number, Waiting> {
    return this.#askers.get(asker)?.requests ?? none
  }

  #charge(asker: number, bytes: number): Asker {
    let charged = this.#askers.get(asker)
    if (charged === undefined) {
      charged = { requests: new Map(), bytes: 0 }
      this.#askers.set(asker, charged)
    }
    charged.bytes += bytes
    this.#bytes += bytes
    return charged
  }
}
