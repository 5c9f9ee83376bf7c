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
import type { Boot, Effect } from '../queue/index.ts'
import { encodeNodeCommand } from '../queue/index.ts'
import type { Router } from '../router.ts'
import type { FrameSocket } from '../socket.ts'
import { ClientSession, type SessionOptions } from './client-session.ts'
import { readHello } from './hello.ts'

export interface GatewayOptions extends Omit<SessionOptions, 'bufferBytesMax'> {
  readonly config: NodeConfig
  readonly boot: Boot
  readonly router: Router
}

/** A client that said hello and waits for its session. */
interface Greeting {
  readonly socket: FrameSocket
  readonly hello: Hello
}

export class Gateway {
  readonly #options: GatewayOptions
  readonly #sockets = new Set<FrameSocket>()
  readonly #sessions = new Map<number, ClientSession>()
  readonly #greetings = new Map<number, Greeting>()
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
      socket.watch(3 * config.clientHeartbeatMs)
      socket.receive = () => {
        throw new MeshError('Protocol', 'nothing may follow hello before welcome')
      }
      this.#attach({ socket, hello })
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

  #isOwn({ node, bootId }: { readonly node: string; readonly bootId: number }): boolean {
    return node === this.#options.boot.node && bootId === this.#options.boot.bootId
  }

  #attach(greeting: Greeting): void {
    const { boot, config, group, router } = this.#options
    const { name = '', session, connection, held = [] } = greeting.hello
    const nonce = ++this.#nonces
    this.#greetings.set(nonce, greeting)
    greeting.socket.onClose(() => {
      // Still waiting: the command may take effect all the same; `#attached` then finds no greeting and detaches.
      if (this.#greetings.delete(nonce)) router.done(`nonce ${nonce}`)
    })
    const { sessionLeaseMs: leaseMs, detachGraceMs } = config
    router.submitCommand(
      `nonce ${nonce}`,
      session === undefined
        ? encodeNodeCommand(group, { type: 'openSession', ...boot, nonce, connection, leaseMs, detachGraceMs, name })
        : encodeNodeCommand(group, { type: 'attach', ...boot, nonce, session, connection, held }),
    )
  }

  #attached(effect: Extract<Effect, { type: 'attached' }>): void {
    const { router, config } = this.#options
    const { session, epoch } = effect.to
    router.done(`nonce ${effect.nonce}`)
    const greeting = this.#greetings.get(effect.nonce)
    this.#greetings.delete(effect.nonce)
    const current = this.#sessions.get(session)
    if (current?.attachment.epoch === epoch) return
    if (greeting === undefined) return this.#detach(session, epoch)
    const { socket } = greeting
    const client = new ClientSession(effect.to, effect.lastSequence, socket, {
      ...this.#options,
      bufferBytesMax: config.clientBufferBytesMax,
    })
    if (current !== undefined) fault(current.socket, 'Connection', 'the session moved to another connection')
    this.#sessions.set(session, client)
    router.open(session, epoch)
    socket.receive = (frame) => client.receive(frame)
    socket.onClose(() => {
      // Not when the machine has detached it before: such a command would have no effect to wait for.
      if (this.#sessions.get(session) === client) this.#detach(session, epoch)
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
  }

  #refused(nonce: number, code: ErrorCode, message: string): void {
    this.#options.router.done(`nonce ${nonce}`)
    const greeting = this.#greetings.get(nonce)
    if (greeting !== undefined) fault(greeting.socket, code, message)
  }

  /** Asks the machine to detach a session that has no socket here (any more). */
  #detach(session: number, epoch: number): void {
    const { group, router } = this.#options
    if (this.#sessions.get(session)?.attachment.epoch === epoch) this.#sessions.delete(session)
    router.submitCommand(detachKey(session, epoch), encodeNodeCommand(group, { type: 'detach', session, epoch }))
  }

  #detached(effect: Extract<Effect, { type: 'detached' }>): void {
    const { session, epoch } = effect.to
    this.#options.router.done(detachKey(session, epoch))
    const current = this.#sessions.get(session)
    if (current !== undefined && current.attachment.epoch !== epoch) return
    this.#options.router.close(session)
    if (current === undefined) return
    this.#sessions.delete(session)
    if (effect.reason === 'closed') current.socket.close(1000, 'session closed')
    else fault(current.socket, 'Connection', `the session was detached: ${effect.reason}`)
  }

  #heartbeat(): void {
    for (const session of this.#sessions.values()) session.heartbeat()
  }
}

function detachKey(session: number, epoch: number): string {
  return `detach ${session} ${epoch}`
}

/** Says why, then closes: after this nothing from the socket is heard. */
function fault(socket: FrameSocket, code: ErrorCode, message: string): void {
  socket.receive = () => {}
  socket.send(encodeSessionFrame(FrameKind.fault, { code, message }))
  socket.close(code === 'Protocol' ? 1002 : 1008, code)
}
