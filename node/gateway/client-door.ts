/**
 * The clients' door of a node: turns HTTP upgrades of /client into sockets for the gateway, and turns away who may not come in.
 */
import type { IncomingMessage } from 'node:http'
import { Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { limits } from '../../wire/limits.ts'
import { isLoopbackHost } from '../address.ts'
import type { NodeConfig } from '../config.ts'
import { refuseUpgrade, WebFrameSocket } from '../socket.ts'
import type { Gateway } from './gateway.ts'

/** Beside the largest log frame a client sends nothing larger: a full message with its envelope. */
const CLIENT_FRAME_BYTES_MAX = limits.frameBytesMax + 64 * 1024

export class ClientDoor {
  readonly #config: NodeConfig
  readonly #gateway: Gateway
  readonly #server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: CLIENT_FRAME_BYTES_MAX,
  })

  constructor(config: NodeConfig, gateway: Gateway) {
    this.#config = config
    this.#gateway = gateway
  }

  /** Takes an HTTP upgrade of /client over. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { connectionsMax, origins } = this.#config
    const { origin } = request.headers
    if (origin !== undefined && !isAllowedOrigin(origin, origins)) return refuseUpgrade(socket, '403 Forbidden')
    if (this.#gateway.connections >= connectionsMax) return refuseUpgrade(socket, '503 Service Unavailable')
    if (!(socket instanceof NetSocket)) return refuseUpgrade(socket, '400 Bad Request')
    this.#server.handleUpgrade(request, socket, head, (accepted) => {
      this.#gateway.adopt(new WebFrameSocket(accepted, socket))
    })
  }
}

/** Any web page can open a socket to a server on loopback, so a page must come from loopback or be listed. */
function isAllowedOrigin(origin: string, allowed: readonly string[]): boolean {
  if (allowed.includes(origin)) return true
  return URL.canParse(origin) && isLoopbackHost(new URL(origin).hostname)
}
