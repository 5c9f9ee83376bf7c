/**
 * What a node does for its clients: greets their sockets, attaches their sessions through the log, performs the effects of
 * the sessions whose sockets it holds (idea 4 of docs/ARCHITECTURE.md), detaches them when a socket closes.
 *
 * A socket closes for its own faults alone: bad input gets a coded fault frame and harms nobody else.
 *
 * Never: HTTP or WebSockets (client-door.ts).
 */
import { type ErrorCode, MeshError } from '../../wire/errors.ts'
import { FrameKind, PROTOCOL_VERSION } from '../../wire/frame.ts'
import { encodeSessionFrame, type Hello } from '../../wire/session-frames.ts'
import { every } from '../clock.ts'
import type { NodeConfig } from '../config.ts'
import type { Attachment, Boot, Effect } from '../queue/index.ts'
import { encodeNodeCommand } from '../queue/index.ts'
import type { Router } from '../router.ts'
import type { FrameSocket } from '../socket.ts'
import { ClientSession, type SessionOptions } from './client-session.ts'
import { readHello } from './hello.ts'

export interface GatewayOptions extends Omit<SessionOptions, 'bufferBytesMax'> {
  readonly config: NodeConfig
  readonly boot: Boot
  readonly router: Router
  /** What an attached session has been given and has not settled. */
  readonly owed: (session: number) => Iterable<Effect>
}

/** What clients that wait for their sessions may have sent, bytes: a hello lists all deliveries that its client holds. */
export const GREETING_BYTES_MAX = 64 * 1024 * 1024

/** A client that said hello and waits for its session. */
interface Greeting {
  readonly socket: FrameSocket
  readonly hello: Hello
  /** Of the hello. */
  readonly bytes: number
}

export class Gateway {
  readonly #options: GatewayOptions
  readonly #sockets = new Set<FrameSocket>()
  readonly #sessions = new Map<number, ClientSession>()
  readonly #greetings = new Map<number, Greeting>()
  #greetingBytes = 0
  /** Detaches that the log does not have yet, by key: at most one for each attachment that it believes to be here. */
  readonly #detaching = new Map<string, Attachment>()
  /** Attached here according to a machine that jumped, without a socket; a greeting may still turn out to be theirs. */
  #unclaimed: { readonly upToNonce: number; readonly attachments: readonly Attachment[] } | undefined
  /** Set while the node takes leave of its clients. */
  #leaving: { readonly untilMs: number; readonly done: () => void } | undefined
  readonly #endHeartbeats: () => void
  #nonces = 0
  #full = false
  /** Why nobody is let in now; undefined: the door is open. */
  #closed: { code: ErrorCode; message: string } | undefined

  constructor(options: GatewayOptions) {
    this.#options = options
    this.#endHeartbeats = every(options.clock, options.config.clientHeartbeatMs, () => this.#heartbeat())
  }

  /** Sockets of clients, attached or not. */
  get connections(): number {
    return this.#sockets.size
  }

  /** Sessions attached here. */
  get sessions(): number {
    return this.#sessions.size
  }

  session(id: number): ClientSession | undefined {
    return this.#sessions.get(id)
  }

  /** A socket of a client that has just opened: waits for its hello. */
  adopt(socket: FrameSocket): void {
    const { clock, config } = this.#options
    this.#sockets.add(socket)
    const tooLate = () => fault(socket, 'Timeout', 'no hello came')
    const cancelTimer = clock.setTimer(config.handshakeTimeoutMs, tooLate)
    socket.onClose(() => {
      cancelTimer()
      this.#sockets.delete(socket)
    })
    socket.fail = (error) => {
      const known = error instanceof MeshError
      fault(socket, known ? error.code : 'Protocol', known ? error.message : String(error))
    }
    socket.receive = (frame) => {
      const hello = readHello(frame, config.tokens)
      cancelTimer()
      // It may have opened before the node began to take leave.
      if (this.#closed !== undefined) return fault(socket, this.#closed.code, this.#closed.message)
      socket.watch(3 * config.clientHeartbeatMs)
      socket.receive = () => {
        throw new MeshError('Protocol', 'nothing may follow hello before welcome')
      }
      if (this.#greetingBytes + frame.length > GREETING_BYTES_MAX) {
        return fault(socket, 'Overloaded', 'too many clients wait for their sessions')
      }
      this.#attach({ socket, hello, bytes: frame.length })
    }
    // Last, since it takes the socket's ear away: a hello that is already on its way must not open a session.
    if (this.#closed !== undefined) fault(socket, this.#closed.code, this.#closed.message)
  }

  /** Lets clients in (again). */
  open(): void {
    this.#closed = undefined
  }

  /** Sends all clients elsewhere and keeps new ones out until `open`. */
  shut(code: ErrorCode, message: string): void {
    this.#closed = { code, message }
    for (const socket of this.#sockets) fault(socket, code, message)
  }

  /**
   * Asks all clients to go elsewhere while their sockets still serve, and lets no new ones in. Resolves when nobody is attached here
   * any more, as far as the log knows, at the latest after `graceMs`. `shut` is to follow.
   */
  drain(graceMs: number): Promise<void> {
    const { clock } = this.#options
    this.#closed = { code: 'Draining', message: 'the node is about to stop' }
    return new Promise((resolve) => {
      const cancel = clock.setTimer(graceMs, () => this.#leaving?.done())
      const done = () => {
        cancel()
        this.#leaving = undefined
        resolve()
      }
      this.#leaving = { untilMs: clock.now() + graceMs, done }
      for (const session of this.#sessions.values()) session.goodbye(graceMs)
      this.#lookForRest()
    })
  }

  /** Whoever is still here will not get away. */
  endDrain(): void {
    this.#leaving?.done()
  }

  /** After `shut`: resolves when every socket is closed, in an orderly way or, after a moment, at once. */
  async stop(): Promise<void> {
    this.#endHeartbeats()
    await Promise.all([...this.#sockets].map((socket) => new Promise<void>((closed) => socket.onClose(closed))))
  }

  /** While the router is full, clients are not read: their own buffers, then their callers, wait. */
  throttle(full: boolean): void {
    this.#full = full
    for (const { socket } of this.#sessions.values()) full ? socket.pause() : socket.resume()
  }

  /** Performs an effect if it belongs to this boot of this node. */
  perform(effect: Effect): void {
    switch (effect.type) {
      case 'attachRefused':
        if (this.#isOwn(effect)) this.#refused(effect.nonce, effect.code, effect.message)
        return
      case 'staleFrame':
      case 'bootRefused':
        return
      case 'attached':
        if (this.#isOwn(effect.to)) this.#attached(effect)
        return
      case 'detached':
        if (this.#isOwn(effect.to)) this.#detached(effect)
        return
      case 'resumed':
        if (this.#isOwn(effect.to)) this.#resumed(effect)
        return
      default: {
        const session = this.#sessions.get(effect.to.session)
        if (session?.attachment.epoch !== effect.to.epoch) return
        // The machine could not read the frame, nor will it ever: what came behind it has nothing to follow.
        if (effect.type === 'outcome' && effect.outcome.code === 'Protocol') {
          fault(session.socket, 'Protocol', effect.outcome.message ?? 'a frame does not decode')
        } else session.perform(effect)
      }
    }
  }

  /**
   * The machine has jumped to a later state, and these effects say where the sessions attached to this boot stand in it
   * (`Machine.resume`). All others are attached here no more.
   */
  resync(effects: Iterable<Effect>): void {
    const all = [...effects]
    const epochs = new Map<number, number>()
    const unclaimed: Attachment[] = []
    for (const effect of all) {
      if (effect.type !== 'resumed') continue
      const { to } = effect
      epochs.set(to.session, to.epoch)
      if (this.#sessions.get(to.session)?.attachment.epoch !== to.epoch) unclaimed.push(to)
    }
    for (const [session, { attachment }] of this.#sessions) {
      if (epochs.get(session) !== attachment.epoch)
        this.#detached({ type: 'detached', to: attachment, reason: 'moved' })
    }
    for (const to of this.#detaching.values()) {
      if (epochs.get(to.session) !== to.epoch) this.#detached({ type: 'detached', to, reason: 'moved' })
    }
    this.#unclaimed = { upToNonce: this.#nonces, attachments: unclaimed }
    for (const effect of all) this.perform(effect)
    this.#lookForRest()
  }

  #isOwn({ node, bootId }: { readonly node: string; readonly bootId: number }): boolean {
    return node === this.#options.boot.node && bootId === this.#options.boot.bootId
  }

  #attach(greeting: Greeting): void {
    const { boot, config, group, router } = this.#options
    const { name = '', session, connection, held = [] } = greeting.hello
    const nonce = ++this.#nonces
    this.#greetings.set(nonce, greeting)
    this.#greetingBytes += greeting.bytes
    greeting.socket.onClose(() => {
      // Still waiting: the command may take effect all the same; `#attached` then finds no greeting and detaches.
      if (this.#takeGreeting(nonce) !== undefined) router.done(`nonce ${nonce}`)
      this.#lookForRest()
    })
    const { sessionLeaseMs: leaseMs, detachGraceMs } = config
    router.submitCommand(
      `nonce ${nonce}`,
      session === undefined
        ? encodeNodeCommand(group, { type: 'openSession', ...boot, nonce, connection, leaseMs, detachGraceMs, name })
        : encodeNodeCommand(group, { type: 'attach', ...boot, nonce, session, connection, held }),
    )
  }

  #takeGreeting(nonce: number): Greeting | undefined {
    const greeting = this.#greetings.get(nonce)
    if (greeting !== undefined) this.#greetingBytes -= greeting.bytes
    this.#greetings.delete(nonce)
    return greeting
  }

  #attached(effect: Extract<Effect, { type: 'attached' }>): void {
    const { router, config } = this.#options
    const { session, epoch } = effect.to
    router.done(`nonce ${effect.nonce}`)
    const greeting = this.#takeGreeting(effect.nonce)
    const current = this.#sessions.get(session)
    if (current?.attachment.epoch === epoch) return
    if (greeting === undefined) return this.#detach(effect.to)
    const { socket } = greeting
    const client = new ClientSession(effect.to, effect.lastSequence, socket, {
      ...this.#options,
      bufferBytesMax: config.clientBufferBytesMax,
    })
    if (current !== undefined) dismiss(current, 'the session moved to another connection')
    this.#sessions.set(session, client)
    router.open(session, epoch)
    socket.receive = (frame) => client.receive(frame)
    socket.onClose(() => {
      // Not when the machine has detached it before: such a command would have no effect to wait for.
      if (this.#sessions.get(session) === client) this.#detach(effect.to)
    })
    if (this.#full) socket.pause()
    socket.send(
      encodeSessionFrame(FrameKind.welcome, {
        version: PROTOCOL_VERSION,
        node: this.#options.boot.node,
        session,
        epoch,
        lastSequence: effect.lastSequence,
        outcomes: effect.outcomes,
        consumers: effect.consumers,
        heartbeatMs: config.clientHeartbeatMs,
      }),
    )
    // The machine jumped over the first answer, and what the session was given since then met no socket.
    if (this.#isUnclaimed(effect.to)) for (const owed of this.#options.owed(session)) client.perform(owed)
    if (this.#leaving !== undefined) client.goodbye(Math.max(0, this.#leaving.untilMs - this.#options.clock.now()))
  }

  #isUnclaimed({ session, epoch }: Attachment): boolean {
    const { attachments = [] } = this.#unclaimed ?? {}
    return attachments.some((each) => each.session === session && each.epoch === epoch)
  }

  #refused(nonce: number, code: ErrorCode, message: string): void {
    this.#options.router.done(`nonce ${nonce}`)
    const greeting = this.#greetings.get(nonce)
    if (greeting !== undefined) fault(greeting.socket, code, message)
  }

  /** Asks the machine to detach a session that has no socket here (any more). */
  #detach(to: Attachment): void {
    const { group, router } = this.#options
    const { session, epoch } = to
    if (this.#sessions.get(session)?.attachment.epoch === epoch) this.#sessions.delete(session)
    this.#detaching.set(detachKey(to), to)
    router.submitCommand(detachKey(to), encodeNodeCommand(group, { type: 'detach', session, epoch }))
  }

  #detached(effect: Extract<Effect, { type: 'detached' }>): void {
    const { session, epoch } = effect.to
    this.#detaching.delete(detachKey(effect.to))
    this.#options.router.done(detachKey(effect.to))
    const current = this.#sessions.get(session)
    if (current === undefined || current.attachment.epoch === epoch) {
      this.#options.router.close(session)
      this.#sessions.delete(session)
      if (effect.reason === 'closed') current?.socket.close(1000, 'session closed')
      else if (current !== undefined) dismiss(current, `the session was detached: ${effect.reason}`)
    }
    this.#lookForRest()
  }

  #resumed({ to, lastSequence, outcomes, consumers }: Extract<Effect, { type: 'resumed' }>): void {
    const session = this.#sessions.get(to.session)
    if (session?.attachment.epoch === to.epoch) session.resumed({ lastSequence, outcomes, consumers })
  }

  /** Something has ended: whoever waits for that goes on. */
  #lookForRest(): void {
    const [oldestNonce = Number.POSITIVE_INFINITY] = this.#greetings.keys()
    if (this.#unclaimed !== undefined && oldestNonce > this.#unclaimed.upToNonce) {
      const { attachments } = this.#unclaimed
      this.#unclaimed = undefined
      for (const to of attachments) if (!this.#sessions.has(to.session)) this.#detach(to)
    }
    if (this.#sessions.size + this.#greetings.size + this.#detaching.size === 0) this.#leaving?.done()
  }

  #heartbeat(): void {
    for (const session of this.#sessions.values()) session.heartbeat()
  }
}

function detachKey({ session, epoch }: Attachment): string {
  return `detach ${session} ${epoch}`
}

/** A session is not this socket's any more: what there is for the client still leaves. */
function dismiss(session: ClientSession, message: string): void {
  session.flush()
  fault(session.socket, 'Connection', message)
}

/** Says why, then closes: after this nothing from the socket is heard. */
function fault(socket: FrameSocket, code: ErrorCode, message: string): void {
  socket.receive = () => {}
  socket.send(encodeSessionFrame(FrameKind.fault, { code, message }))
  socket.close(code === 'Protocol' ? 1002 : 1008, code)
}
