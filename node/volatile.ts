/**
 * Request-reply that never touches the log: the asker's node picks a responder from its own replica, sends the request to
 * the responder's node, and the reply comes back the same way. At most once; nothing is kept but who waits until when.
 *
 * That nobody responds is said only after a ReadIndex barrier and a second look: the replica may simply be behind.
 */
import type { Clock } from '../raft/index.ts'
import type { ErrorCode } from '../wire/errors.ts'
import { limits } from '../wire/limits.ts'
import { topicProblem } from '../wire/names.ts'
import type { ReplyItem, RequestItem } from '../wire/session-frames.ts'
import type { ClientSession } from './gateway/client-session.ts'
import type { VolatileReply, VolatileRequest } from './peers/volatile-codec.ts'
import type { Listener, Machine } from './queue/index.ts'

/** Requests that one session may have waiting at a time; more are refused as Overloaded. */
const REQUESTS_PER_SESSION_MAX = 65_536
/** How long a node remembers an unanswered request at most, milliseconds. */
const REQUEST_MS_MAX = 10 * 60_000
/** Waiting requests are looked through for expired ones this often, milliseconds. */
const SWEEP_MS = 1_000
/** How many responders are tried when the first one has just gone. */
const ATTEMPTS_MAX = 2

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

interface Waiting {
  readonly topic: string
  readonly message: Uint8Array
  readonly expiresMs: number
  /** The node that the request went to; '' while none was picked. */
  node: string
  attempts: number
}

export class Volatile {
  readonly #options: VolatileOptions
  /** By asker, then by the asker's request number. */
  readonly #waiting = new Map<number, Map<number, Waiting>>()
  /** For fairness among the responders of a topic: rises with each pick. */
  #picks = 0
  #requestsOut = new Map<string, VolatileRequest[]>()
  #repliesOut = new Map<string, VolatileReply[]>()
  #scheduled = false
  readonly #sweeper: NodeJS.Timeout

  constructor(options: VolatileOptions) {
    this.#options = options
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS)
  }

  stop(): void {
    clearInterval(this.#sweeper)
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
      const waiting = { topic, message, expiresMs, node: '', attempts: 0 }
      this.#of(asker).set(request, waiting)
      if (!this.#tryResponder(asker, request, waiting)) this.#lookAgain(asker, request, waiting)
    }
  }

  /** Answers of a client of this node. */
  answer(items: readonly ReplyItem[]): void {
    for (const [token, message, error] of items) {
      const to = readToken(token)
      if (to === undefined) continue
      const reply: VolatileReply =
        message !== null
          ? { asker: to.asker, request: to.request, message }
          : { asker: to.asker, request: to.request, message: null, code: 'Remote', error: error ?? '' }
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
    for (const [asker, requests] of this.#waiting) {
      for (const [request, waiting] of requests) {
        if (waiting.node !== node) continue
        this.#finish(asker, request, null, 'Connection', `node ${node}, where the responder was, cannot be reached`)
      }
    }
  }

  #problem(session: ClientSession, [, topic, timeoutMs, message]: RequestItem): [ErrorCode, string] | undefined {
    if (!(timeoutMs > 0)) return ['Validation', 'a timeout must be above 0']
    if (message.length > limits.messageBytesMax) return ['PayloadTooLarge', 'a request is above the size limit']
    const nameProblem = topicProblem(topic)
    if (nameProblem !== undefined) return ['Validation', nameProblem]
    if (session.congested) return ['Overloaded', 'the client does not read what was sent to it']
    if ((this.#waiting.get(session.attachment.session)?.size ?? 0) >= REQUESTS_PER_SESSION_MAX) {
      return ['Overloaded', 'too many requests are waiting for replies']
    }
    return undefined
  }

  /** Picks a responder and sends; false when this replica knows of none. */
  #tryResponder(asker: number, request: number, waiting: Waiting): boolean {
    const { machine, node } = this.#options
    const responders = machine.listeners(waiting.topic)
    if (responders.length === 0) return false
    const { to }: Listener = responders[this.#picks++ % responders.length]!
    waiting.node = to.node
    waiting.attempts++
    const sent = { asker, request, responder: to.session, topic: waiting.topic, message: waiting.message }
    if (to.node === node) this.#handOver(node, sent)
    else gather(this.#requestsOut, to.node, sent)
    this.#schedule()
    return true
  }

  #lookAgain(asker: number, request: number, waiting: Waiting): void {
    const noOne = () => this.#finish(asker, request, null, 'NoResponders', `nobody responds to '${waiting.topic}'`)
    this.#options.barrier().then(
      () => {
        if (this.#waiting.get(asker)?.get(request) !== waiting) return
        if (!this.#tryResponder(asker, request, waiting)) noOne()
      },
      // Without a quorum nobody can tell whether someone responds: the asker's own deadline decides.
      () => {},
    )
  }

  /** Gives a request to its responder if that is attached here. */
  #handOver(from: string, { asker, request, responder, topic, message }: VolatileRequest): void {
    const session = this.#options.session(responder)
    if (session === undefined || session.congested) {
      this.#reply(from, { asker, request, message: null, unseen: true })
      return
    }
    session.requested([writeToken(from, asker, request), topic, message])
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
    const waiting = this.#waiting.get(asker)?.get(request)
    if (reply.unseen) {
      if (waiting === undefined) return
      const again = waiting.attempts < ATTEMPTS_MAX && this.#tryResponder(asker, request, waiting)
      if (!again) this.#finish(asker, request, null, 'NoResponders', `the responders to '${waiting.topic}' are gone`)
      return
    }
    if (this.#options.session(asker) !== undefined) {
      this.#finish(asker, request, reply.message, reply.code, reply.error)
      return
    }
    // The asker has moved while it waited: its new node is told, once.
    this.#waiting.get(asker)?.delete(request)
    const to = this.#options.machine.session(asker)?.attachment?.node
    if (to !== undefined && to !== this.#options.node && !reply.forwarded)
      this.#reply(to, { ...reply, forwarded: true })
  }

  #finish(asker: number, request: number, message: Uint8Array | null, code?: ErrorCode, error?: string): void {
    this.#waiting.get(asker)?.delete(request)
    const session = this.#options.session(asker)
    if (code === undefined) session?.replied([request, message])
    else session?.replied([request, null, code, error])
  }

  #of(asker: number): Map<number, Waiting> {
    let requests = this.#waiting.get(asker)
    if (requests === undefined) {
      requests = new Map()
      this.#waiting.set(asker, requests)
    }
    return requests
  }

  /** Forgets what nobody waits for any more: the asker's own timer has told its caller. */
  #sweep(): void {
    const nowMs = this.#options.clock.now()
    for (const [asker, requests] of this.#waiting) {
      for (const [request, { expiresMs }] of requests) if (expiresMs <= nowMs) requests.delete(request)
      if (requests.size === 0) this.#waiting.delete(asker)
    }
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
      for (const [node, requests] of requestsOut) {
        if (this.#options.sendRequests(node, requests)) continue
        for (const { asker, request } of requests) this.#receive({ asker, request, message: null, unseen: true })
      }
      // Replies that find no way are lost, as volatile messages may be: the asker's deadline tells.
      for (const [node, replies] of repliesOut) this.#options.sendReplies(node, replies)
    })
  }
}

function gather<T>(out: Map<string, T[]>, node: string, item: T): void {
  const items = out.get(node)
  if (items === undefined) out.set(node, [item])
  else items.push(item)
}

/** Opaque to clients: where the reply goes. */
function writeToken(node: string, asker: number, request: number): string {
  return `${asker}:${request}:${node}`
}

function readToken(token: string): { node: string; asker: number; request: number } | undefined {
  const [asker, request, node] = token.split(':')
  if (node === undefined) return undefined
  return { node, asker: Number(asker), request: Number(request) }
}
