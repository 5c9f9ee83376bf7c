/**
 * The way from a node that is about to stop to another one, while the old socket still serves, so that no call fails or stays
 * unknown:
 *
 * 1. A socket is opened elsewhere; all goes on as before.
 * 2. The client sends nothing more: its settles are answered, and `parted` tells that the old node has taken in all else.
 * 3. `hello` on the new socket names what is held. From here on nothing is handed out, since what still comes is not held.
 * 4. `welcome`: the new socket is the client's. The old one is listened to until its node closes it (connection.ts).
 *
 * A server that will not do is passed over; the old socket serves again meanwhile. Never: a second attempt at the same server.
 */
import { MeshError } from '../wire/errors.ts'
import { FrameKind } from '../wire/frame.ts'
import { decodeSessionFrame, encodeSessionFrame, type Fault, type Hello } from '../wire/session-frames.ts'
import type { Clock } from './clock.ts'
import { meshErrorOf } from './errors.ts'
import type { Line, LineUser } from './line.ts'

/** From the start of an attempt to its welcome, milliseconds. Short: there is a socket that serves, but not for long. */
const ATTEMPT_MS = 2_000
/**
 * For the cluster to answer what is under way, milliseconds. If it does not, an election say, the move goes on: the settles that are
 * not answered by then go out again.
 */
const SILENCE_MS = 1_000

export interface MoveHost {
  /** May throw MeshError. */
  dial(server: number, user: LineUser): Line
  /** Nothing more is to be sent; calls back when what needs the old node's answer has it. */
  silence(done: () => void): void
  /** The move has failed for now: the old socket serves on. `greeted`: another node may have taken the session over all the same. */
  speak(greeted: boolean): void
  /** On the old socket. */
  leave(): void
  hello(): Hello
  /** The new socket has got its welcome, the frame: from now on it is the client's. */
  arrived(line: Line, welcome: Uint8Array): void
  failed(server: number, error: MeshError): void
  /** No server would do. */
  stranded(): void
}

type Stage = 'opening' | 'silent' | 'greeted' | 'over'

export class Move {
  readonly #host: MoveHost
  readonly #clock: Clock
  /** In the order in which they are tried. */
  readonly #servers: number[]
  #line: Line | undefined
  #stage: Stage = 'over'
  #cancelAttempt = () => {}
  #cancelSilence = () => {}

  constructor(servers: readonly number[], clock: Clock, host: MoveHost) {
    this.#servers = [...servers]
    this.#clock = clock
    this.#host = host
  }

  start(): void {
    const server = this.#servers.shift()
    if (server === undefined) return this.#host.stranded()
    this.#stage = 'opening'
    this.#cancelAttempt = this.#clock.setTimer(ATTEMPT_MS, () => {
      this.#failed(new MeshError('NoQuorum', `no welcome within ${ATTEMPT_MS} ms`, { outcome: 'not-applied' }))
    })
    try {
      this.#line = this.#host.dial(server, {
        onOpen: () => this.#silence(),
        onFrame: (frame) => this.#receive(frame),
        onClose: (error) => this.#failed(error),
      })
    } catch (error) {
      this.#failed(error as MeshError)
    }
  }

  /** The old node has taken in all that was sent to it. */
  parted(): void {
    if (this.#stage === 'silent') this.#greet()
  }

  /** The old socket is gone: the new one, if there is one, is all that the client has. */
  release(): { readonly line: Line; readonly stage: Stage } | undefined {
    const { line, stage } = { line: this.#line, stage: this.#stage }
    this.#servers.length = 0
    this.#end()
    return line === undefined ? undefined : { line, stage }
  }

  #silence(): void {
    this.#stage = 'silent'
    this.#cancelSilence = this.#clock.setTimer(SILENCE_MS, () => this.#greet())
    const attempt = this.#line
    this.#host.silence(() => {
      if (this.#stage === 'silent' && this.#line === attempt) this.#host.leave()
    })
  }

  #greet(): void {
    this.#cancelSilence()
    this.#stage = 'greeted'
    this.#line!.send(encodeSessionFrame(FrameKind.hello, this.#host.hello()))
  }

  #receive(frame: Uint8Array): void {
    try {
      switch (frame[0]) {
        case FrameKind.welcome: {
          if (this.#stage !== 'greeted') throw new MeshError('Protocol', 'a welcome before hello')
          const line = this.#line!
          this.#end()
          return this.#host.arrived(line, frame)
        }
        case FrameKind.fault: {
          const { code, message } = decodeSessionFrame(frame) as Fault
          return this.#failed(meshErrorOf(code, `${this.#line!.url}: ${message}`))
        }
      }
    } catch (error) {
      this.#failed(new MeshError('Protocol', 'the node sent what cannot be read', { cause: error }))
    }
  }

  #failed(error: MeshError): void {
    const { stage, line } = { stage: this.#stage, line: this.#line }
    this.#end()
    line?.drop('close')
    if (line !== undefined) this.#host.failed(line.server, error)
    if (stage === 'silent' || stage === 'greeted') this.#host.speak(stage === 'greeted')
    this.start()
  }

  #end(): void {
    this.#cancelAttempt()
    this.#cancelSilence()
    this.#stage = 'over'
    this.#line = undefined
  }
}
