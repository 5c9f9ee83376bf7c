/**
 * One live socket to one of the servers, again and again: handshake, liveness in both directions, reconnect with full jitter
 * over the server list. It speaks of hello, welcome, fault and heartbeat; all other frames are its user's.
 *
 * Never: anything that outlives a socket but the server list and why each server failed last.
 */
import { type ErrorCode, MeshError } from '../wire/errors.ts'
import { FrameKind, PROTOCOL_VERSION } from '../wire/frame.ts'
import type { Fault, Hello, Welcome } from '../wire/session-frames.ts'
import { decodeSessionFrame, encodeSessionFrame, heartbeatFrame } from '../wire/session-frames.ts'
import type { Clock } from './clock.ts'
import { meshErrorOf } from './errors.ts'
import type { Settings } from './options.ts'
import type { OpenSocket, Socket } from './socket.ts'
import type { StatusFeed } from './status.ts'

/** From the start of an attempt to its welcome, milliseconds: an election fits into it. */
const ATTEMPT_MS = 5_000
/** A connection that lived shorter than this did not end a row of failures, milliseconds. */
const STABLE_MS = 2_000
/** Halves of a heartbeat interval without a sign of life after which the node is given up. */
const SILENT_TICKS_MAX = 5
/** A node that asks for more would have its clients do nothing else, milliseconds. */
const HEARTBEAT_MS_MIN = 10
/** Faults that no other attempt will mend. */
const FATAL: readonly ErrorCode[] = ['Unauthorized', 'UnsupportedVersion']

/** What the connection asks and tells its user. */
export interface ConnectionUser {
  /** What to say on a socket that has just opened. */
  hello(): Hello
  /** May throw MeshError Protocol; the socket is then given up. */
  attached(welcome: Welcome): void
  /** A frame on an attached socket. Whatever it throws ends the socket, not the client. */
  receive(frame: Uint8Array): void
  detached(): void
  /** The session of the last hello does not exist any more; the next hello will open another. */
  sessionLost(): void
  /** No attempt will follow. */
  gaveUp(error: MeshError): void
}

type State = 'idle' | 'waiting' | 'opening' | 'attached' | 'closed'

export class Connection {
  readonly #settings: Settings
  readonly #openSocket: OpenSocket
  readonly #clock: Clock
  readonly #feed: StatusFeed
  readonly #user: ConnectionUser
  #state: State = 'idle'
  #socket: Socket | undefined
  /** Rises with each socket, so that a former one is not heard any more. */
  #generation = 0
  #server = 0
  /** Attempts since the last stable connection. */
  #attempts = 0
  #everAttached = false
  #attachedMs = 0
  /** Why each server failed last; empty once attached. */
  readonly #failures = new Map<number, MeshError>()
  #cancelTimer = () => {}
  #heard = false
  #spoke = false
  /** Whether the last hello named a session. */
  #resuming = false

  constructor(settings: Settings, openSocket: OpenSocket, clock: Clock, feed: StatusFeed, user: ConnectionUser) {
    this.#settings = settings
    this.#openSocket = openSocket
    this.#clock = clock
    this.#feed = feed
    this.#user = user
    // Clients that start together spread over the servers.
    this.#server = Math.floor(clock.random() * settings.servers.length)
  }

  get attached(): boolean {
    return this.#state === 'attached'
  }

  start(): void {
    this.#open()
  }

  /** Only while attached. */
  send(frame: Uint8Array): void {
    this.#spoke = true
    this.#socket!.send(frame)
  }

  /** Why there is no connection: NoQuorum if a server said so since the last one, else the last failure. */
  get problem(): MeshError {
    for (const failure of this.#failures.values()) if (failure.code === 'NoQuorum') return failure
    return this.#failures.get(this.#server) ?? new MeshError('Connection', 'no server has answered yet')
  }

  /** Gives the socket up and goes to the next server. */
  reset(error: MeshError): void {
    if (this.#state !== 'closed' && this.#state !== 'waiting') this.#lost(error, 'terminate')
  }

  close(): void {
    this.#end()
    this.#socket?.close()
    this.#state = 'closed'
  }

  #open(): void {
    const server = this.#settings.servers[this.#server]!
    const generation = ++this.#generation
    const current = (): boolean => this.#generation === generation
    this.#state = 'opening'
    try {
      this.#socket = this.#openSocket(server, {
        onOpen: () => {
          if (current()) this.#greet()
        },
        onFrame: (frame) => {
          if (current()) this.#receive(frame)
        },
        onClose: (reason) => {
          if (current()) this.#lost(new MeshError('Connection', `${server}: ${reason}`), 'none')
        },
      })
    } catch (error) {
      this.#giveUp(
        error instanceof MeshError
          ? error
          : new MeshError('Connection', `${server} cannot be opened`, { cause: error }),
      )
      return
    }
    this.#cancelTimer = this.#clock.setTimer(ATTEMPT_MS, () => {
      const problem = `${server}: no welcome within ${ATTEMPT_MS} ms`
      this.#lost(new MeshError('NoQuorum', problem, { outcome: 'not-applied' }), 'terminate')
    })
  }

  #greet(): void {
    const hello = this.#user.hello()
    this.#resuming = hello.session !== undefined
    this.#socket!.send(encodeSessionFrame(FrameKind.hello, hello))
  }

  #receive(frame: Uint8Array): void {
    this.#heard = true
    try {
      switch (frame[0]) {
        case FrameKind.heartbeat:
          return
        case FrameKind.fault:
          return this.#fault(decodeSessionFrame(frame) as Fault)
        case FrameKind.welcome:
          return this.#welcome(decodeSessionFrame(frame) as Welcome)
        default:
          if (this.#state === 'attached') this.#user.receive(frame)
      }
    } catch (error) {
      const problem = new MeshError('Protocol', 'the node sent what cannot be read', { cause: error })
      this.#settings.logger.error(problem.message, { error })
      this.#lost(problem, 'terminate')
    }
  }

  #welcome(welcome: Welcome): void {
    if (this.#state !== 'opening') throw new MeshError('Protocol', 'a second welcome')
    if (welcome.version !== PROTOCOL_VERSION) throw new MeshError('Protocol', `version ${welcome.version} in welcome`)
    if (!(welcome.heartbeatMs >= HEARTBEAT_MS_MIN)) throw new MeshError('Protocol', 'a welcome without a heartbeat')
    this.#cancelTimer()
    this.#user.attached(welcome)
    this.#state = 'attached'
    this.#everAttached = true
    this.#attachedMs = this.#clock.now()
    this.#failures.clear()
    this.#watch(welcome.heartbeatMs / 2)
    const server = this.#settings.servers[this.#server]!
    this.#feed.tell({ type: 'connected', server, node: welcome.node, session: welcome.session })
  }

  #fault({ code, message }: Fault): void {
    const error = meshErrorOf(code, `${this.#settings.servers[this.#server]}: ${message}`)
    if (this.#state === 'opening' && this.#resuming && error.code === 'SessionLost') {
      this.#drop('close')
      this.#user.sessionLost()
      this.#feed.tell({ type: 'sessionLost' })
      this.#open()
    } else if (FATAL.includes(error.code) && !this.#everAttached) {
      this.#drop('close')
      this.#giveUp(error)
    } else this.#lost(error, 'close')
  }

  /**
   * Sends a heartbeat when nothing else was sent and gives up a silent node. It counts ticks and not time: after a stall of this
   * process one tick fires, and then what had arrived meanwhile is read (trap 46).
   */
  #watch(tickMs: number): void {
    let silentTicks = 0
    this.#heard = false
    this.#spoke = false
    const tick = () => {
      silentTicks = this.#heard ? 0 : silentTicks + 1
      if (silentTicks >= SILENT_TICKS_MAX) {
        const server = this.#settings.servers[this.#server]!
        return this.#lost(new MeshError('Connection', `${server} has gone silent`), 'terminate')
      }
      if (!this.#spoke) this.#socket!.send(heartbeatFrame)
      this.#heard = false
      this.#spoke = false
      this.#cancelTimer = this.#clock.setTimer(tickMs, tick)
    }
    this.#cancelTimer = this.#clock.setTimer(tickMs, tick)
  }

  #lost(error: MeshError, how: 'close' | 'terminate' | 'none'): void {
    const wasAttached = this.#state === 'attached'
    this.#failures.set(this.#server, error)
    this.#drop(how)
    if (wasAttached) {
      if (this.#clock.now() - this.#attachedMs >= STABLE_MS) this.#attempts = 0
      this.#feed.tell({ type: 'disconnected', server: this.#settings.servers[this.#server]!, error })
      this.#user.detached()
    }
    // The user may have closed the client in answer to what it was just told.
    if (this.#state !== 'closed') this.#retry(wasAttached, error)
  }

  #retry(wasAttached: boolean, error: MeshError): void {
    const { reconnect, servers } = this.#settings
    const round = Math.floor(this.#attempts / servers.length)
    if (reconnect === false && (wasAttached || this.#everAttached || this.#attempts + 1 >= servers.length)) {
      return this.#giveUp(error)
    }
    this.#attempts++
    this.#server = (this.#server + 1) % servers.length
    const { initialMs, maxMs } = reconnect === false ? { initialMs: 0, maxMs: 0 } : reconnect
    // Full jitter: clients that lost the same node do not come back in step.
    const delayMs = this.#clock.random() * Math.min(maxMs, initialMs * 2 ** round)
    this.#state = 'waiting'
    this.#feed.tell({ type: 'reconnecting', attempt: this.#attempts, delayMs, error })
    this.#cancelTimer = this.#clock.setTimer(delayMs, () => this.#open())
  }

  #giveUp(error: MeshError): void {
    this.#failures.set(this.#server, error)
    this.#end()
    this.#state = 'closed'
    this.#user.gaveUp(error)
  }

  #drop(how: 'close' | 'terminate' | 'none'): void {
    const socket = this.#socket
    this.#end()
    this.#state = 'waiting'
    this.#socket = undefined
    if (how !== 'none') socket?.[how]()
  }

  /** From here on neither the socket nor a timer is heard. */
  #end(): void {
    this.#generation++
    this.#cancelTimer()
    this.#cancelTimer = () => {}
  }
}
