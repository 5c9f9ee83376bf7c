/**
 * The listener of one link: whoever dials its port is led to the target. It looks like the target: it listens while the target does, so that
 * a dead process refuses connections. Where a direction is blackholed it listens in any case, since a refusal would not get through; where a
 * firewall refuses, in no case.
 */
import { createServer, type Server } from 'node:net'
import { Connection } from './connection.ts'
import type { Target } from './target.ts'
import type { Way } from './way.ts'

/** While another process has the port, milliseconds. */
const LISTEN_AGAIN_MS = 50

/** Connections at a time; beyond it they are dropped as the kernel would. */
const CONNECTIONS_MAX = 4096

export class LinkProxy {
  readonly port: number
  readonly #target: Target
  readonly #up: Way
  readonly #down: Way
  readonly #connections = new Set<Connection>()
  #server: Server | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(port: number, target: Target, up: Way, down: Way) {
    this.port = port
    this.#target = target
    this.#up = up
    this.#down = down
    target.onChange(() => this.wayChanged())
    up.join(this)
    down.join(this)
    this.wayChanged()
  }

  get listening(): boolean {
    return this.#server?.listening === true
  }

  get connections(): number {
    return this.#connections.size
  }

  wayChanged(): void {
    const isLost = this.#up.blackholed || this.#down.blackholed
    const isRefused = this.#up.refusing || this.#down.refusing
    const wanted = !this.#closed && !isRefused && (this.#target.up || isLost)
    if (wanted && this.#server === undefined) this.#listen()
    if (!wanted) this.#unlisten()
  }

  /** Ends all connections with a reset. */
  close(): void {
    this.#closed = true
    this.#unlisten()
    for (const connection of [...this.#connections]) connection.reset()
    this.#up.leave(this)
    this.#down.leave(this)
  }

  #listen(): void {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const remove = (ended: Connection) => this.#connections.delete(ended)
      const connection = new Connection(socket, this.#target, this.#up, this.#down, remove)
      if (!socket.destroyed) this.#connections.add(connection)
    })
    server.maxConnections = CONNECTIONS_MAX
    server.on('error', () => {
      this.#unlisten()
      this.#timer = setTimeout(() => this.wayChanged(), LISTEN_AGAIN_MS)
    })
    server.listen(this.port, '127.0.0.1')
    this.#server = server
  }

  #unlisten(): void {
    clearTimeout(this.#timer)
    this.#server?.close()
    this.#server = undefined
  }
}
