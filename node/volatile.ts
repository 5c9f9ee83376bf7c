/**
 * Request-reply that never touches the log: the asker's node picks a responder from its own replica, sends the request to
 * the responder's node, and the reply comes back the same way. At most once; nothing is kept but who waits until when.
 *
 * A request is sent to another responder only if none has seen it: its node says so (`unseen`) before it hands it to a client, never
 * after. Sessions move while requests are under way: epochs tell which of two nodes knows the later attachment. One that is behind holds
 * the request until it has caught up; one that is ahead sends it on. What a session waits for moves with it (`waits`).
 *
 * That nobody responds is said only after a ReadIndex barrier and a second look: the replica may simply be behind.
 */
import type { Clock } from '../raft/index.ts'
import type { ErrorCode } from '../wire/errors.ts'
import { inFrames } from '../wire/in-frames.ts'
import { limits } from '../wire/limits.ts'
import { topicProblem } from '../wire/names.ts'
import type { ReplyItem, RequestedItem, RequestItem } from '../wire/session-frames.ts'
import { every } from './clock.ts'
import type { ClientSession } from './gateway/client-session.ts'
import { readToken, writeToken } from './gateway/request-token.ts'
import { Strays } from './gateway/strays.ts'
import { Waiting, WaitingRequests } from './gateway/waiting-requests.ts'
import { Parting } from './parting.ts'
import type { VolatileNote, VolatileReply, VolatileRequest } from './peers/volatile-codec.ts'
import { type Attachment, type Listener, type Machine, mintedAt } from './queue/index.ts'
import { rowBytes, VolatileOut } from './volatile-out.ts'

/** How long a node remembers an unanswered request at most, milliseconds. */
const REQUEST_MS_MAX = 10 * 60_000
/** Waiting requests are looked through for expired ones this often, milliseconds. */
const SWEEP_MS = 1_000
/** How many responders are tried when the first one has not seen the request. */
const ATTEMPTS_MAX = 2
/** How long a node that is behind holds a request for a responder that is said to be there, milliseconds. */
const BEHIND_MS = 500
/** How long a reply waits for an asker that is attached nowhere, milliseconds. */
const BETWEEN_NODES_MS = 10_000

export interface VolatileOptions {
  readonly node: string
  readonly machine: Machine
  readonly clock: Clock
  /** A safe integer that nobody can guess. */
  readonly mintNonce: () => number
  /** Resolves when this replica holds all that was committed at the call. Rejects when there is no quorum. */
  readonly barrier: () => Promise<unknown>
  /** Whether this replica holds at least all that was committed when this life of the node began. */
  readonly ready: () => boolean
  readonly session: (id: number) => ClientSession | undefined
  /** False: there is no way to the node. */
  readonly sendRequests: (node: string, requests: readonly VolatileRequest[]) => boolean
  readonly sendReplies: (node: string, replies: readonly VolatileReply[]) => boolean
  readonly sendNotes: (node: string, notes: readonly VolatileNote[]) => boolean
}

export class Volatile {
  readonly #options: VolatileOptions
  readonly #waiting = new WaitingRequests()
  readonly #strays: Strays
  readonly #parting: Parting
  /** For fairness among the responders of a topic: rises with each pick. */
  #picks = 0
  readonly #out: VolatileOut
  readonly #endSweeps: () => void

  constructor(options: VolatileOptions) {
    this.#options = options
    const { clock } = options
    this.#strays = new Strays(clock)
    this.#parting = new Parting({ clock, send: (node, note) => options.sendNotes(node, [note]) })
    this.#out = new VolatileOut({
      sendRequests: options.sendRequests,
      sendReplies: (node, replies) => this.#parting.stageOf(node) < 2 && options.sendReplies(node, replies),
      onUnsentRequest: ({ asker, request, nonce, origin }) => {
        this.#reply(origin || options.node, { asker, request, nonce, message: null, unseen: true })
      },
      onUnsentReply: (node, reply) => this.#unsent(node, reply),
    })
    this.#endSweeps = every(clock, SWEEP_MS, () => this.#waiting.sweep(clock.now()))
  }

  stop(): void {
    this.#endSweeps()
    this.#strays.stop()
  }

  /** Takes leave of the other nodes, once the sessions that were here are elsewhere. Never rejects; takes a second at most. */
  leave(nodes: readonly string[]): Promise<void> {
    this.#out.flush()
    return this.#parting.leave(nodes)
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

  /** Requests that were to be handed to a client of this node, whose socket is closed: it has not seen them. */
  unseen(items: readonly RequestedItem[]): void {
    for (const [token] of items) {
      const { node, asker, request, nonce } = readToken(token)!
      this.#reply(node, { asker, request, nonce, message: null, unseen: true })
    }
  }

  /** Requests from another node for responders attached here. */
  onRequests(from: string, requests: readonly VolatileRequest[]): void {
    for (const request of requests) this.#handOver(request.origin || from, request)
  }

  /** Replies from another node for askers attached here, or lately so. */
  onReplies(replies: readonly VolatileReply[]): void {
    for (const reply of replies) this.#receive(reply)
  }

  onNotes(from: string, notes: readonly VolatileNote[]): void {
    for (const note of notes) {
      if (note.type === 'waits') this.#takeOver(note)
      else if (note.type !== 'disk') this.#parting.receive(from, note, () => this.#out.flush())
    }
  }

  /** A session was attached, to whichever node; told after it can be found here. */
  attached(to: Attachment): void {
    if (to.node !== this.#options.node) this.#handWaiting(to)
    this.#strays.attached(to)
  }

  /** The machine has jumped: sessions may have been attached elsewhere unseen. */
  resync(): void {
    const { machine } = this.#options
    for (const session of new Set([...this.#waiting.askers(), ...this.#strays.sessions()])) {
      const to = machine.session(session)?.attachment
      if (to !== undefined) this.attached(to)
    }
  }

  /**
   * The node is out of reach. If it took its leave, its responders are elsewhere and will answer; otherwise what was sent there may or
   * may not have been seen.
   */
  onLost(node: string): void {
    const hasLeft = this.#parting.stageOf(node) > 0
    this.#parting.lost(node)
    for (const [asker, request, waiting] of this.#waiting.sentTo(node)) {
      const responder = this.#options.machine.session(waiting.responder)
      if (hasLeft && responder !== undefined) waiting.node = responder.attachment?.node ?? ''
      else {
        const problem = `node ${node}, where the responder was, cannot be reached`
        this.#finish({ asker, request, nonce: 0, message: null, code: 'Connection', error: problem })
      }
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
    const responders = this.#within(machine.listeners(waiting.topic))
    const { message } = waiting
    if (responders.length === 0 || message === undefined) return false
    const { to }: Listener = responders[this.#picks++ % responders.length]!
    waiting.node = to.node
    waiting.responder = to.session
    waiting.attempts++
    waiting.nonce = this.#options.mintNonce()
    if (waiting.attempts === ATTEMPTS_MAX) this.#waiting.forgetMessage(asker, waiting)
    const { nonce, topic } = waiting
    const sent = { asker, request, nonce, responder: to.session, epoch: to.epoch, origin: '', topic, message }
    if (to.node === node) this.#handOver(node, sent)
    else this.#out.request(to.node, sent)
    return true
  }

  /** Those that can be reached: a node that takes its leave is asked no more. Its responders are elsewhere, as this replica will know. */
  #within(responders: readonly Listener[]): readonly Listener[] {
    if (!this.#parting.isAnyone) return responders
    return responders.filter(({ to }) => this.#parting.stageOf(to.node) === 0)
  }

  #lookAgain(asker: number, request: number, waiting: Waiting): void {
    const error = `nobody responds to '${waiting.topic}'`
    this.#options.barrier().then(
      () => {
        if (this.#waiting.get(asker, request) !== waiting || this.#tryResponder(asker, request, waiting)) return
        this.#finish({ asker, request, nonce: 0, message: null, code: 'NoResponders', error })
      },
      // Without a quorum nobody can tell whether someone responds: the asker's own deadline decides.
      () => {},
    )
  }

  /** Gives a request to its responder if that is attached here. Until then none has seen it. */
  #handOver(origin: string, request: VolatileRequest): void {
    const { asker, nonce, responder, epoch, topic, message } = request
    const { clock, machine, node } = this.#options
    const session = this.#options.session(responder)
    if (session?.takesRequests) {
      session.requested([writeToken({ node: origin, asker, request: request.request, nonce }), topic, message])
      return
    }
    const refuse = () => this.#reply(origin, { asker, request: request.request, nonce, message: null, unseen: true })
    const at = machine.session(responder)?.attachment
    if (machine.appliedIndex < mintedAt(epoch)) {
      const expiresMs = clock.now() + BEHIND_MS
      const arrive = () => this.#handOver(origin, request)
      this.#strays.hold(responder, { bytes: message.length, expiresMs, arrive, expire: refuse })
    } else if (at !== undefined && at.epoch > epoch && at.node !== node) {
      this.#out.request(at.node, { ...request, origin, epoch: at.epoch })
    } else refuse()
  }

  #reply(node: string, reply: VolatileReply): void {
    if (node === this.#options.node) this.#receive(reply)
    else this.#out.reply(node, reply)
  }

  /** `untilMs`: how long it may wait here to find its way. */
  #receive(reply: VolatileReply, untilMs = this.#options.clock.now() + BETWEEN_NODES_MS): void {
    const { asker, request } = reply
    if (reply.checked) return this.#tell(reply, untilMs)
    const waiting = this.#waiting.get(asker, request)
    if (waiting === undefined) {
      // The asker has moved on; or this node has only just begun a new life, and will find out that it has.
      if (!this.#follow(reply) && !this.#options.ready()) this.#hold(reply, untilMs)
      return
    }
    // It comes too late, or from someone who was not asked.
    if (reply.nonce !== waiting.nonce) return
    if (!reply.unseen) return this.#finish(reply)
    if (waiting.attempts < ATTEMPTS_MAX) return this.#lookAgain(asker, request, waiting)
    const error = `the responders to '${waiting.topic}' are gone`
    this.#finish({ ...reply, unseen: false, code: 'NoResponders', error })
  }

  #finish(reply: VolatileReply): void {
    this.#waiting.delete(reply.asker, reply.request)
    this.#tell(reply, this.#options.clock.now() + BETWEEN_NODES_MS)
  }

  /** A reply that was checked: to its asker, wherever that is. */
  #tell(reply: VolatileReply, untilMs: number): void {
    const { asker, request, message, code, error } = reply
    const session = this.#options.session(asker)
    if (session?.socket.open) {
      if (code === undefined) session.replied([request, message])
      else session.replied([request, null, code, error])
      return
    }
    const checked = { ...reply, checked: true }
    if (!this.#follow(checked)) this.#hold(checked, untilMs)
  }

  /** Sends a reply after its asker, if that is known to have moved on. Nothing goes round: epochs only rise. */
  #follow(reply: VolatileReply): boolean {
    const { machine, node } = this.#options
    const at = machine.session(reply.asker)?.attachment
    if (at === undefined || at.node === node || at.epoch <= (reply.epoch ?? 0)) return false
    this.#out.reply(at.node, { ...reply, epoch: at.epoch })
    return true
  }

  /** Its asker is between two nodes, or will be found elsewhere once this node has caught up. */
  #hold(reply: VolatileReply, untilMs: number): void {
    this.#strays.hold(reply.asker, {
      bytes: reply.message?.length ?? 0,
      expiresMs: untilMs,
      arrive: ({ node, epoch }) => {
        if (node === this.#options.node) this.#receive(reply, untilMs)
        else this.#out.reply(node, { ...reply, epoch })
      },
      expire: () => {},
    })
  }

  /** The session waits there from now on. What cannot be told is still waited for here. */
  #handWaiting(to: Attachment): void {
    const nowMs = this.#options.clock.now()
    const notes: Extract<VolatileNote, { type: 'waits' }>[] = []
    for (const [request, waiting] of this.#waiting.of(to.session)) {
      const { topic, nonce, attempts, responder, node, message = null, expiresMs } = waiting
      const remainingMs = Math.max(0, expiresMs - nowMs)
      notes.push({
        type: 'waits',
        asker: to.session,
        request,
        nonce,
        topic,
        message,
        remainingMs,
        attempts,
        responder,
        node,
      })
    }
    for (const rows of inFrames(notes, rowBytes)) {
      if (!this.#options.sendNotes(to.node, rows)) return
      for (const { request } of rows) this.#waiting.delete(to.session, request)
    }
  }

  #takeOver(note: Extract<VolatileNote, { type: 'waits' }>): void {
    const { asker, request, nonce, topic, message, remainingMs, attempts, responder, node } = note
    const waiting = new Waiting(topic, message ?? undefined, this.#options.clock.now() + remainingMs)
    Object.assign(waiting, { nonce, attempts, responder, node })
    if (!this.#waiting.add(asker, request, waiting)) {
      const error = 'too many requests wait at the node that the asker has moved to'
      this.#finish({ asker, request, nonce, message: null, code: 'Connection', error })
    } else if (attempts === 0) this.#lookAgain(asker, request, waiting)
  }

  /** To where its asker is now, once that is known; a reply that was on its way there and finds none is lost, as volatile messages may be. */
  #unsent(gone: string, reply: VolatileReply): void {
    if (reply.epoch !== undefined) return
    const at = this.#options.machine.session(reply.asker)?.attachment
    if (at === undefined || at.node === gone) this.#hold(reply, this.#options.clock.now() + BETWEEN_NODES_MS)
    else this.#reply(at.node, { ...reply, epoch: at.epoch })
  }
}
