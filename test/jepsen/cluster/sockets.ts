/** Plain TCP servers and clients, for tests of what is between them. */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { eventually } from '../../support/eventually.ts'

/** One end of a connection, and what became of it. */
export class End {
  readonly socket: Socket
  readonly chunks: { readonly bytes: Buffer; readonly atMs: number }[] = []
  /** How it ended: by the other side's end, by a reset, by another error's code. */
  ending: string | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes) => this.chunks.push({ bytes, atMs: performance.now() }))
    socket.on('end', () => (this.ending ??= 'end'))
    socket.on('error', (error: NodeJS.ErrnoException) => (this.ending ??= error.code))
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks.map(({ bytes }) => bytes))
  }

  get text(): string {
    return this.received.toString()
  }

  /** Resolves when so much has come. */
  async has(text: string): Promise<void> {
    await eventually(() => this.text === text, { what: `'${text.slice(0, 50)}' has come` })
  }

  async endsWith(ending: string): Promise<void> {
    await eventually(() => this.ending === ending, { what: `the socket ends with ${ending}` })
  }
}

/** Resolves with the connected end; rejects with the error of the dial. */
export async function dial(port: number): Promise<End> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
  await once(socket, 'connect')
  return new End(socket)
}

/** A server that remembers who came. */
export class Peer {
  readonly port: number
  readonly ends: End[] = []
  #server: Server | undefined

  constructor(port: number) {
    this.port = port
  }

  async listen(): Promise<void> {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.ends.push(new End(socket)))
    this.#server.listen(this.port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  /** The end of whoever has said this. */
  heard(text: string): Promise<End> {
    return eventually(() => this.ends.find((end) => end.text === text), { what: `somebody says '${text}'` })
  }

  /** As a killed process: no listener, no sockets. */
  die(): void {
    this.#server?.close()
    for (const { socket } of this.ends) socket.destroy()
    this.ends.length = 0
  }
}
