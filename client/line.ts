/**
 * One socket to one of the servers, from its opening to its end. A client mostly has one; while it moves from a node that stops to
 * another one it has two.
 *
 * Never: the meaning of a frame (connection.ts, move.ts).
 */
import { MeshError } from '../wire/errors.ts'
import type { OpenSocket, Socket } from './socket.ts'

export interface LineUser {
  onOpen(): void
  onFrame(frame: Uint8Array): void
  /** It ended without this side's doing. */
  onClose(error: MeshError): void
}

export class Line {
  /** Number of the server in the client's list. */
  readonly server: number
  readonly url: string
  readonly #socket: Socket
  #user: LineUser | undefined

  /** Throws MeshError when the address cannot be opened at all. */
  constructor(server: number, url: string, openSocket: OpenSocket, user: LineUser) {
    this.server = server
    this.url = url
    this.#user = user
    try {
      this.#socket = openSocket(url, {
        onOpen: () => this.#user?.onOpen(),
        onFrame: (frame) => this.#user?.onFrame(frame),
        onClose: (reason) => this.#user?.onClose(new MeshError('Connection', `${url}: ${reason}`)),
      })
    } catch (error) {
      if (error instanceof MeshError) throw error
      throw new MeshError('Connection', `${url} cannot be opened`, { cause: error })
    }
  }

  /** From here on another one hears it. */
  handTo(user: LineUser): void {
    this.#user = user
  }

  send(frame: Uint8Array): void {
    this.#socket.send(frame)
  }

  /** From here on nobody hears it. */
  drop(how: 'close' | 'terminate' | 'none'): void {
    this.#user = undefined
    if (how !== 'none') this.#socket[how]()
  }
}
