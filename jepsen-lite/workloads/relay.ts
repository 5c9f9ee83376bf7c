/**
 * The way from one client to the servers, inside its own process, to be cut at a chosen byte: in the middle of a frame that goes up, between
 * the last byte of a request and the first of its answer, in the middle of an answer. To the SDK it looks like a network that breaks.
 *
 * Never: bytes changed, held back or reordered.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Ends the connection once so many bytes more have gone this way; none of what follows passes. */
export interface Cut {
  readonly way: 'up' | 'down'
  readonly afterBytes: number
}

export class Relay {
  /** Addresses for the client, one for each server. */
  readonly urls: readonly string[]
  readonly #doors: readonly Server[]
  readonly #sockets = new Set<Socket>()
  readonly #onCut: (cut: Cut) => void
  /** The first is armed. */
  #cuts: Cut[] = []
  #passed = 0
  #isClosed = false

  private constructor(doors: readonly Server[], onCut: (cut: Cut) => void) {
    this.#doors = doors
    this.#onCut = onCut
    this.urls = doors.map((door) => `ws://127.0.0.1:${(door.address() as AddressInfo).port}`)
  }

  /** `onCut`: told of each cut that was made. */
  static async open(servers: readonly string[], onCut: (cut: Cut) => void): Promise<Relay> {
    const doors = servers.map(() => createServer())
    await Promise.all(doors.map((door) => once(door.listen(0, '127.0.0.1'), 'listening')))
    const relay = new Relay(doors, onCut)
    for (const [i, server] of servers.entries()) {
      const { hostname, port } = new URL(server)
      doors[i]!.on('connection', (socket) => relay.#join(socket, connect(Number(port), hostname)))
    }
    return relay
  }

  /** To be made one after the other, each on whatever connection there is then. In place of those that were not made. */
  arm(cuts: readonly Cut[]): void {
    this.#cuts = [...cuts]
    this.#passed = 0
  }

  /** Ends all connections now, and those that are made within so many milliseconds. */
  sever(forMs = 0): void {
    for (const socket of this.#sockets) socket.destroy()
    if (forMs === 0) return
    this.#isClosed = true
    setTimeout(() => {
      this.#isClosed = false
    }, forMs)
  }

  close(): void {
    for (const door of this.#doors) door.close()
    this.sever()
  }

  #join(client: Socket, server: Socket): void {
    if (this.#isClosed) {
      client.destroy()
      server.destroy()
      return
    }
    this.#pass('up', client, server)
    this.#pass('down', server, client)
  }

  #pass(way: Cut['way'], from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.setNoDelay(true)
    // Always followed by close; without a listener it would end the process.
    from.on('error', () => {})
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroySoon()
    })
    from.on('data', (bytes: Buffer) => {
      const cut = this.#cuts[0]
      if (cut === undefined || cut.way !== way || this.#passed + bytes.length <= cut.afterBytes) {
        if (cut?.way === way) this.#passed += bytes.length
        to.write(bytes)
        return
      }
      // What is before the cut still arrives: the other end sees a frame that begins and does not end.
      to.end(bytes.subarray(0, cut.afterBytes - this.#passed))
      this.#cuts.shift()
      this.#passed = 0
      from.destroy()
      this.#onCut(cut)
    })
  }
}
