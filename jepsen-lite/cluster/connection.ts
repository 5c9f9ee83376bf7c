/**
 * One socket that somebody has opened through a proxy, and the one that leads on to the target.
 *
 * While a direction is blackholed no connection comes to be: the dialer's SYN, or its answer, would be lost. Its socket is open here all the
 * same, since a proxy cannot leave a SYN unanswered; what it sends is lost, and it is reset when the blackhole ends.
 */
import { connect, type Socket } from 'node:net'
import { Pipe } from './pipe.ts'
import { resetSocket } from './reset.ts'
import type { Target } from './target.ts'
import type { Traveller, Way } from './way.ts'

export class Connection implements Traveller {
  readonly #client: Socket
  readonly #up: Way
  readonly #down: Way
  readonly #onClose: () => void
  #server: Socket | undefined
  #pipes: readonly [Pipe, Pipe] | undefined
  #closed = false

  /** `up` is the way of the bytes that the dialer sends, `down` of those that it gets. */
  constructor(client: Socket, target: Target, up: Way, down: Way, onClose: (connection: Connection) => void) {
    this.#client = client
    this.#up = up
    this.#down = down
    this.#onClose = () => onClose(this)
    client.on('close', () => this.#settle())
    up.join(this)
    down.join(this)
    if (up.resetting || down.resetting) this.#refuse()
    else if (up.blackholed || down.blackholed) this.#swallow()
    else this.#lead(target)
  }

  wayChanged(): void {
    if (this.#closed) return
    if (this.#up.resetting || this.#down.resetting) return this.#refuse()
    for (const pipe of this.#pipes ?? []) pipe.pump()
    const hasLost = this.#pipes?.some(({ lost }) => lost) ?? true
    if (hasLost && !this.#up.blackholed && !this.#down.blackholed) this.reset()
  }

  /** Both ends learn at once that it is over. */
  reset(): void {
    resetSocket(this.#client)
    if (this.#server !== undefined) resetSocket(this.#server)
    this.#close()
  }

  #refuse(): void {
    for (const way of [this.#up, this.#down]) if (way.resetting) way.countReset()
    this.reset()
  }

  #swallow(): void {
    this.#client.on('error', () => {})
    this.#client.on('data', (bytes) => (this.#up.blackholed ? this.#up : this.#down).countDropped(bytes.length))
  }

  #lead(target: Target): void {
    const server = connect({ host: '127.0.0.1', port: target.port, allowHalfOpen: true, noDelay: true })
    this.#server = server
    server.on('close', () => this.#settle())
    // Whoever dials again the moment that its socket ends must find the listener closed if the target is dead: the target is looked at first.
    const look = () => target.check()
    this.#pipes = [new Pipe(this.#client, server, this.#up), new Pipe(server, this.#client, this.#down, look)]
  }

  /** Over when both sockets are. */
  #settle(): void {
    if (this.#client.destroyed && (this.#server?.destroyed ?? true)) this.#close()
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const pipe of this.#pipes ?? []) pipe.close()
    this.#up.leave(this)
    this.#down.leave(this)
    this.#onClose()
  }
}
