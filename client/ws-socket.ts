/** The client's socket on the ws package: Node. */
import type { Socket as NetSocket } from 'node:net'
import { type RawData, WebSocket } from 'ws'
import { clientUrl } from './options.ts'
import type { Socket, SocketHandlers } from './socket.ts'

/** A deliver frame of one full message is the largest that a node sends: body, topic, header. */
const FRAME_BYTES_MAX = 4 * 1024 * 1024
/** Time for the node to answer a close, milliseconds. */
const CLOSE_MS = 1_000

export function openWebSocket(url: string, handlers: SocketHandlers): Socket {
  const socket = new WebSocket(clientUrl(url), { perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX })
  let net: NetSocket | undefined
  let corked = false
  let reason = ''
  socket.on('upgrade', (response) => {
    net = response.socket
    net.setNoDelay(true)
  })
  socket.on('open', () => handlers.onOpen())
  socket.on('message', (data: RawData) => handlers.onFrame(data as Buffer))
  // Always followed by close; without a listener it would end the process.
  socket.on('error', (error) => {
    reason = error.message
  })
  socket.on('close', (code, text) => handlers.onClose(reason || text.toString() || `closed with code ${code}`))
  return {
    send(frame) {
      if (socket.readyState !== WebSocket.OPEN) return
      // Frames of one turn leave in one write.
      if (net !== undefined && !corked) {
        corked = true
        net.cork()
        process.nextTick(() => {
          corked = false
          net!.uncork()
        })
      }
      socket.send(frame)
    },
    close() {
      socket.close(1000)
      setTimeout(() => socket.terminate(), CLOSE_MS).unref()
    },
    terminate: () => socket.terminate(),
  }
}
