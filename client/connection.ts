/**
 * One live socket to one of the servers, again and again: handshake, liveness in both directions, reconnect with full jitter
 * over the server list, and a move to another server before the node at the other end stops (move.ts). It speaks of hello, welcome,
 * goodbye, fault and heartbeat; all other frames are its user's.
 *
 * Never: anything that outlives a socket but the server list and why each server failed last.
 */
import { type ErrorCode, MeshError } from '../wire/errors.ts'
import { FrameKind, PROTOCOL_VERSION } from '../wire/frame.ts'
import type { Fault, Goodbye, Hello, Welcome } from '../wire/session-frames.ts'
import { decodeSessionFrame, encodeSessionFrame, heartbeatFrame } from '../wire/session-frames.ts'
import type { Clock } from './clock.ts'
import { meshErrorOf } from './errors.ts'
import { Line, type LineUser } from './line.ts'
import { Move } from './move.ts'
import type { Settings } from './options.ts'
import type { OpenSocket } from './socket.ts'
import type { StatusFeed } from './status.ts'

/** From the start of an attempt to its welcome, milliseconds: an election fits into it. */
const ATTEMPT_MS = 5_000
/** A connection that lived shorter than this did not end a row of failures, milliseconds. */
const STABLE_MS = 2_000
/** Halves of a heartbeat interval without a sign of life after which the node is given up. */
const SILENT_TICKS_MAX = 5
/** A node that asks for more would have its clients do nothing else, milliseconds. */
const HEARTBEAT_MS_MIN = 10
/** How long a socket that the client has moved away from is listened to, if its node does not close it, milliseconds. */
const FORMER_MS = 10_000
/** They are about the socket that they come on; on a former one they tell nothing. */
const LINE_FRAMES: readonly number[] = [
  FrameKind.heartbeat,
  FrameKind.fault,
  FrameKind.welcome,
  FrameKind.goodbye,
  FrameKind.parted,
]
/** Faults that no other attempt will mend. */
const FATAL: readonly ErrorCode[] = ['Unauthorized', 'UnsupportedVersion']

/** What the connection asks and tells its user. */
export interface ConnectionUser {
  /** What to say on a socket that has just opened. */
  hello(): Hello
  /** May throw MeshError Protocol; the socket is then given up. */
  attached(welcome: Welcome): void
  /**
   * A frame on an attached socket. `isFormer`: the one that the client has moved away from. Whatever it throws ends the socket,
   * not the client.
   */
  receive(frame: Uint8Array, isFormer: boolean): void
  /** Nothing more may be sent; calls back when what only this attachment can answer is answered. */
  silence(done: () => void): void
  /** Takes that back. `inDoubt`: another node may have taken the session over. */
  speak(inDoubt: boolean): void
  /** Asks for nothing new; calls back when all that the node owes the client, and the client owes through it, is done. */
  rest(done: () => void): void
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
  /** The socket that is being opened or attached. */
  #line: Line | undefined
  /** Moved away from; its node may still have something for this client. */
  #former: Line | undefined
  #cancelFormer = () => {}
  #move: Move | undefined
  /** The node stops, and there is no other one. */
  #isLeaving = false
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
    this.#server = this.#anyOf(settings.servers.length)
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
    this.#line!.send(frame)
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
    this.#endMove()
    this.#endFormer()
    this.#drop('close')
    this.#state = 'closed'
  }

  #open(): void {
    this.#state = 'opening'
    try {
      this.#line = this.#dial(this.#server, this.#hearing())
    } catch (error) {
      return this.#giveUp(error as MeshError)
    }
    this.#limitAttempt()
  }

  #dial(server: number, user: LineUser): Line {
    return new Line(server, this.#settings.servers[server]!, this.#openSocket, user)
  }

  /** What is done about the socket that is the client's. */
  #hearing(): LineUser {
    return {
      onOpen: () => this.#greet(),
      onFrame: (frame) => this.#receive(frame),
      onClose: (error) => this.#lost(error, 'none'),
    }
  }

  #limitAttempt(): void {
    const { url } = this.#line!
    this.#cancelTimer = this.#clock.setTimer(ATTEMPT_MS, () => {
      const problem = `${url}: no welcome within ${ATTEMPT_MS} ms`
      this.#lost(new MeshError('NoQuorum', problem, { outcome: 'not-applied' }), 'terminate')
    })
  }

  #greet(): void {
    const hello = this.#user.hello()
    this.#resuming = hello.session !== undefined
    this.#line!.send(encodeSessionFrame(FrameKind.hello, hello))
  }

  #receive(frame: Uint8Array): void {
    this.#heard = true
    try {
      switch (frame[0]) {
        case FrameKind.heartbeat:
          return
        case FrameKind.fault:
          return this.#fault(decodeSessionFrame(frame) as Fault)
        case FrameKind.welcome: {
          if (this.#state !== 'opening') throw new MeshError('Protocol', 'a second welcome')
          return this.#welcome(decodeSessionFrame(frame) as Welcome)
        }
        case FrameKind.goodbye:
          return this.#goodbye(decodeSessionFrame(frame) as Goodbye)
        case FrameKind.parted:
          return this.#parted()
        default:
          if (this.#state === 'attached') this.#user.receive(frame, false)
      }
    } catch (error) {
      const problem = new MeshError('Protocol', 'the node sent what cannot be read', { cause: error })
      this.#settings.logger.error(problem.message, { error })
      this.#lost(problem, 'terminate')
    }
  }

  #welcome(welcome: Welcome): void {
    if (welcome.version !== PROTOCOL_VERSION) throw new MeshError('Protocol', `version ${welcome.version} in welcome`)
    if (!(welcome.heartbeatMs >= HEARTBEAT_MS_MIN)) throw new MeshError('Protocol', 'a welcome without a heartbeat')
    this.#cancelTimer()
    this.#user.attached(welcome)
    this.#state = 'attached'
    this.#everAttached = true
    this.#attachedMs = this.#clock.now()
    this.#failures.clear()
    this.#watch(welcome.heartbeatMs / 2)
    const { url } = this.#line!
    this.#feed.tell({ type: 'connected', server: url, node: welcome.node, session: welcome.session })
  }

  #fault({ code, message }: Fault): void {
    const error = meshErrorOf(code, `${this.#line!.url}: ${message}`)
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

  /** The node stops soon: the client goes elsewhere, from one of the other servers on, so that not all go to the same. */
  #goodbye({ graceMs }: Goodbye): void {
    if (this.#state !== 'attached' || this.#move !== undefined || this.#isLeaving) return
    const { servers, logger } = this.#settings
    logger.info('the node stops', { server: this.#line!.url, graceMs })
    const first = this.#anyOf(servers.length - 1)
    const others = servers.slice(1).map((_, i) => {
      return (this.#server + 1 + ((first + i) % (servers.length - 1))) % servers.length
    })
    const user = this.#user
    this.#move = new Move(others, this.#clock, {
      dial: (server, lineUser) => this.#dial(server, lineUser),
      silence: (done) => user.silence(done),
      speak: (inDoubt) => user.speak(inDoubt),
      leave: () => this.send(encodeSessionFrame(FrameKind.leave, { ends: false })),
      hello: () => user.hello(),
      arrived: (line, welcome) => this.#arrived(line, welcome),
      failed: (server, error) => this.#failures.set(server, error),
      stranded: () => this.#stranded(),
    })
    this.#move.start()
  }

  #parted(): void {
    this.#move?.parted()
    const line = this.#line
    if (!this.#isLeaving) return
    this.#user.rest(() => {
      const error = new MeshError('Connection', `${line!.url}: the node stops`)
      if (this.#isLeaving && this.#line === line) this.#lost(error, 'close')
    })
  }

  #arrived(line: Line, welcome: Uint8Array): void {
    this.#cancelTimer()
    this.#endFormer()
    const former = this.#line!
    this.#former = former
    former.handTo({ onOpen() {}, onFrame: (frame) => this.#late(frame), onClose: () => this.#endFormer() })
    this.#cancelFormer = this.#clock.setTimer(FORMER_MS, () => this.#endFormer())
    this.#take(line)
    this.#receive(welcome)
  }

  #take(line: Line): void {
    this.#move = undefined
    this.#state = 'opening'
    this.#line = line
    this.#server = line.server
    this.#resuming = true
    line.handTo(this.#hearing())
  }

  /** What the node that the client has left had still to say. */
  #late(frame: Uint8Array): void {
    if (LINE_FRAMES.includes(frame[0]!)) return
    try {
      this.#user.receive(frame, true)
    } catch (error) {
      this.#settings.logger.error('the former node sent what cannot be read', { error })
      this.#endFormer()
    }
  }

  /** Nobody else serves: the client is done with what is under way, then waits for the servers to come back. */
  #stranded(): void {
    this.#move = undefined
    // Without reconnects the end of the socket is the end of the client: it stays for as long as it can.
    if (this.#settings.reconnect === false) return
    this.#isLeaving = true
    this.send(encodeSessionFrame(FrameKind.leave, { ends: true }))
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
        return this.#lost(new MeshError('Connection', `${this.#line!.url} has gone silent`), 'terminate')
      }
      if (!this.#spoke) this.#line!.send(heartbeatFrame)
      this.#heard = false
      this.#spoke = false
      this.#cancelTimer = this.#clock.setTimer(tickMs, tick)
    }
    this.#cancelTimer = this.#clock.setTimer(tickMs, tick)
  }

  #lost(error: MeshError, how: 'close' | 'terminate' | 'none'): void {
    const wasAttached = this.#state === 'attached'
    this.#failures.set(this.#server, error)
    const next = this.#move?.release()
    this.#drop(how)
    if (wasAttached) {
      if (this.#clock.now() - this.#attachedMs >= STABLE_MS) this.#attempts = 0
      this.#feed.tell({ type: 'disconnected', server: this.#settings.servers[this.#server]!, error })
      this.#user.detached()
    }
    // The user may have closed the client in answer to what it was just told.
    if (this.#state === 'closed') return next?.line.drop('close')
    if (next === undefined) return this.#retry(wasAttached, error)
    this.#take(next.line)
    this.#limitAttempt()
    if (next.stage === 'silent') this.#greet()
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
    // A node that stops knows that others serve; once they all say so there is no hurry.
    const isAtOnce = error.code === 'Draining' && this.#attempts % servers.length !== 0
    // Full jitter: clients that lost the same node do not come back in step.
    const delayMs = isAtOnce ? 0 : this.#clock.random() * Math.min(maxMs, initialMs * 2 ** round)
    this.#state = 'waiting'
    this.#feed.tell({ type: 'reconnecting', attempt: this.#attempts, delayMs, error })
    this.#cancelTimer = this.#clock.setTimer(delayMs, () => this.#open())
  }

  #giveUp(error: MeshError): void {
    this.#failures.set(this.#server, error)
    this.close()
    this.#user.gaveUp(error)
  }

  /** From here on neither the socket nor a timer is heard. */
  /** Which of so many servers comes first: any, so that clients that start or move together spread over them. */
  #anyOf(count: number): number {
    return this.#settings.serverOrder === 'listed' ? 0 : Math.floor(this.#clock.random() * count)
  }

  #drop(how: 'close' | 'terminate' | 'none'): void {
    this.#cancelTimer()
    this.#cancelTimer = () => {}
    this.#move = undefined
    this.#isLeaving = false
    this.#line?.drop(how)
    this.#line = undefined
    this.#state = 'waiting'
  }

  #endMove(): void {
    this.#move?.release()?.line.drop('close')
    this.#move = undefined
  }

  #endFormer(): void {
    this.#cancelFormer()
    this.#former?.drop('close')
    this.#former = undefined
  }
}
