/**
 * Request-reply that never touches the log: the asker's node picks a responder from its own replica, sends the request to
 * the responder's node, and the reply comes back the same way. At most once; nothing is kept but who waits until when.
 *
 * That nobody responds is said only after a ReadIndex barrier and a second look: the replica may simply be behind.
 */
import type { Clock } from '../raft/index.ts'
import type { ErrorCode } from '../wire/errors.ts'
import { inFrames } from '../wire/in-frames.ts'
import { limits } from '../wire/limits.ts'
import { topicProblem } from '../wire/names.ts'
import type { ReplyItem, RequestItem } from '../wire/session-frames.ts'
import { every } from './clock.ts'
import type { ClientSession } from './gateway/client-session.ts'
import { Nonces } from './gateway/nonces.ts'
import { readToken, writeToken } from './gateway/request-token.ts'
import { Waiting, WaitingRequests } from './gateway/waiting-requests.ts'
import type { VolatileReply, VolatileRequest } from './peers/volatile-codec.ts'
import type { Listener, Machine } from './queue/index.ts'

/** How long a node remembers an unanswered request at most, milliseconds. */
const REQUEST_MS_MAX = 10 * 60_000
/** Waiting requests are looked through for expired ones this often, milliseconds. */
const SWEEP_MS = 1_000
/** How many responders are tried when the first one has just gone. */
const ATTEMPTS_MAX = 2
/** What a row between nodes takes beside its message and its texts, bytes. */
const ROW_BYTES = 64

export interface VolatileOptions {
  readonly node: string
  readonly machine: Machine
  readonly clock: Clock
  /** Resolves when this replica holds all that was committed at the call. Rejects when there is no quorum. */
  readonly barrier: () => Promise<unknown>
  readonly session: (id: number) => ClientSession | undefined
  /** False: there is no way to the node. */
  readonly sendRequests: (node: string, requests: readonly VolatileRequest[]) => boolean
  readonly sendReplies: (node: string, replies: readonly VolatileReply[]) => boolean
}

export class Volatile {
  readonly #options: VolatileOptions
  readonly #waiting = new WaitingRequests()
  readonly #nonces = new Nonces()
  /** For fairness among the responders of a topic: rises with each pick. */
  #picks = 0
  #requestsOut = new Map<string, VolatileRequest[]>()
  #repliesOut = new Map<string, VolatileReply[]>()
  #scheduled = false
  readonly #endSweeps: () => void

  constructor(options: VolatileOptions) {
    this.#options = options
    const { clock } = options
    this.#endSweeps = every(clock, SWEEP_MS, () => this.#waiting.sweep(clock.now()))
  }

  stop(): void {
    this.#endSweeps()
  }

  /** Requests of a client of this node. */
  ask(session: ClientSession, items: readonly RequestItem[]): void {
    const asker = session.attachment.session
    for (const item of items) {
      const [request, topic, timeoutMs, message] = item
      const problem = this.#problem(session, item)
      if (problem !== undefined) {
        session.replied([request, null, ...problem])
        continue
      }
      const expiresMs = this.#options.clock.now() + Math.min(timeoutMs, REQUEST_MS_MAX)
      const waiting = new Waiting(topic, message, expiresMs)
      if (!this.#waiting.add(asker, request, waiting)) {
        session.replied([request, null, 'Overloaded', 'too many requests are waiting for replies'])
      } else if (!this.#tryResponder(asker, request, waiting)) this.#lookAgain(asker, request, waiting)
    }
  }

  /** Answers of a client of this node. */
  answer(items: readonly ReplyItem[]): void {
    for (const [token, message, error] of items) {
      const to = readToken(token)
      if (to === undefined) continue
      const { asker, request, nonce } = to
      const reply: VolatileReply =
        message !== null
          ? { asker, request, nonce, message }
          : { asker, request, nonce, message: null, code: 'Remote', error: error ?? '' }
      this.#reply(to.node, reply)
    }
  }

  /** Requests from another node for responders attached here. */
  onRequests(from: string, requests: readonly VolatileRequest[]): void {
    for (const request of requests) this.#handOver(from, request)
  }

  /** Replies from another node for askers attached here, or lately so. */
  onReplies(replies: readonly VolatileReply[]): void {
    for (const reply of replies) this.#receive(reply)
  }

  /** The node is out of reach: what was sent there may or may not have been seen. */
  onLost(node: string): void {
    for (const [asker, request] of this.#waiting.sentTo(node)) {
      this.#finish(asker, request, null, 'Connection', `node ${node}, where the responder was, cannot be reached`)
    }
  }

  #problem(session: ClientSession, [, topic, timeoutMs, message]: RequestItem): [ErrorCode, string] | undefined {
    if (!(timeoutMs > 0)) return ['Validation', 'a timeout must be above 0']
    if (message.length > limits.messageBytesMax) return ['PayloadTooLarge', 'a request is above the size limit']
    const nameProblem = topicProblem(topic)
    if (nameProblem !== undefined) return ['Validation', nameProblem]
    if (session.congested) return ['Overloaded', 'the client does not read what was sent to it']
    return undefined
  }

  /** Picks a responder and sends; false when this replica knows of none. */
  #tryResponder(asker: number, request: number, waiting: Waiting): boolean {
    const { machine, node } = this.#options
    const responders = machine.listeners(waiting.topic)
    const { message } = waiting
    if (responders.length === 0 || message === undefined) return false
    const { to }: Listener = responders[this.#picks++ % responders.length]!
    waiting.node = to.node
    waiting.attempts++
    waiting.nonce = this.#nonces.next()
    if (waiting.attempts === ATTEMPTS_MAX) this.#waiting.forgetMessage(asker, waiting)
    const sent = { asker, request, nonce: waiting.nonce, responder: to.session, topic: waiting.topic, message }
    if (to.node === node) this.#handOver(node, sent)
    else gather(this.#requestsOut, to.node, sent)
    this.#schedule()
    return true
  }

  #lookAgain(asker: number, request: number, waiting: Waiting): void {
    const noOne = () => this.#finish(asker, request, null, 'NoResponders', `nobody responds to '${waiting.topic}'`)
    this.#options.barrier().then(
      () => {
        if (this.#waiting.get(asker, request) !== waiting) return
        if (!this.#tryResponder(asker, request, waiting)) noOne()
      },
      // Without a quorum nobody can tell whether someone responds: the asker's own deadline decides.
      () => {},
    )
  }

  /** Gives a request to its responder if that is attached here. */
  #handOver(from: string, { asker, request, nonce, responder, topic, message }: VolatileRequest): void {
    const session = this.#options.session(responder)
    if (session === undefined || session.congested) {
      this.#reply(from, { asker, request, nonce, message: null, unseen: true })
      return
    }
    session.requested([writeToken({ node: from, asker, request, nonce }), topic, message])
  }

  #reply(node: string, reply: VolatileReply): void {
    if (node === this.#options.node) this.#receive(reply)
    else {
      gather(this.#repliesOut, node, reply)
      this.#schedule()
    }
  }

  #receive(reply: VolatileReply): void {
    const { asker, request } = reply
    const waiting = this.#waiting.get(asker, request)
    if (waiting === undefined) {
      // Whoever sent it on has checked it. Any other reply comes too late, or from someone who was not asked.
      if (reply.forwarded) this.#tell(asker, request, reply.message, reply.code, reply.error)
      return
    }
    if (reply.nonce !== waiting.nonce) return
    if (reply.unseen) {
      const again = waiting.attempts < ATTEMPTS_MAX && this.#tryResponder(asker, request, waiting)
      if (!again) this.#finish(asker, request, null, 'NoResponders', `the responders to '${waiting.topic}' are gone`)
      return
    }
    this.#finish(asker, request, reply.message, reply.code, reply.error)
    if (this.#options.session(asker) !== undefined) return
    // The asker has moved while it waited: its new node is told, once.
    const to = this.#options.machine.session(asker)?.attachment?.node
    if (to !== undefined && to !== this.#options.node) this.#reply(to, { ...reply, forwarded: true })
  }

  #finish(asker: number, request: number, message: Uint8Array | null, code?: ErrorCode, error?: string): void {
    this.#waiting.delete(asker, request)
    this.#tell(asker, request, message, code, error)
  }

  #tell(asker: number, request: number, message: Uint8Array | null, code?: ErrorCode, error?: string): void {
    const session = this.#options.session(asker)
    if (code === undefined) session?.replied([request, message])
    else session?.replied([request, null, code, error])
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(() => {
      this.#scheduled = false
      const requestsOut = this.#requestsOut
      const repliesOut = this.#repliesOut
      this.#requestsOut = new Map()
      this.#repliesOut = new Map()
      for (const [node, requests] of requestsOut) this.#sendRequests(node, requests)
      // Replies that find no way are lost, as volatile messages may be: the asker's deadline tells.
      for (const [node, replies] of repliesOut) {
        for (const rows of inFrames(replies, replyBytes)) this.#options.sendReplies(node, rows)
      }
    })
  }

  #sendRequests(node: string, requests: readonly VolatileRequest[]): void {
    for (const rows of inFrames(requests, requestBytes)) {
      if (this.#options.sendRequests(node, rows)) continue
      for (const { asker, request, nonce } of rows) {
        this.#receive({ asker, request, nonce, message: null, unseen: true })
      }
    }
  }
}

function requestBytes({ topic, message }: VolatileRequest): number {
  return ROW_BYTES + topic.length + message.length
}

function replyBytes({ message, error }: VolatileReply): number {
  return ROW_BYTES + (message?.length ?? 0) + (error?.length ?? 0)
}

function gather<T>(out: Map<string, T[]>, node: string, item: T): void {
  const items = out.get(node)
  if (items === undefined) out.set(node, [item])
  else items.push(item)
}
