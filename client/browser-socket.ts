/** The client's socket on the global WebSocket: browsers. */
import { clientUrl } from './options.ts'
import type { Socket, SocketHandlers } from './socket.ts'

export function openBrowserSocket(url: string, handlers: SocketHandlers): Socket {
  const socket = new WebSocket(clientUrl(url))
  socket.binaryType = 'arraybuffer'
  let over = false
  const end = (reason: string) => {
    if (over) return
    over = true
    handlers.onClose(reason)
  }
  socket.onopen = () => handlers.onOpen()
  socket.onmessage = ({ data }) => {
    if (!over) handlers.onFrame(new Uint8Array(data as ArrayBuffer))
  }
  // Always followed by close; some WebSockets outside browsers throw what nobody listens to.
  socket.onerror = () => {}
  socket.onclose = ({ code, reason }) => end(reason || `closed with code ${code}`)
  return {
    send(frame) {
      if (socket.readyState === WebSocket.OPEN) socket.send(frame as Uint8Array<ArrayBuffer>)
    },
    close: () => socket.close(1000),
    terminate() {
      // A page cannot cut a connection: it stops listening, and the browser gives up in its own time.
      socket.close(1000)
      queueMicrotask(() => end('terminated'))
    },
  }
}
