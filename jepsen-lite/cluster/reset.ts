/** Ends a socket so that its other end sees a reset. */
import type { Socket } from 'node:net'

/**
 * NB: in the moment in which its own end is on the way to the kernel, Node cannot reset a socket; asked to, it does not even close it, and the
 * handle that is left keeps the process alive. Such a socket is closed, and the other end sees an end.
 */
export function resetSocket(socket: Socket): void {
  const isEnding = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0
  if (isEnding) socket.destroy()
  else socket.resetAndDestroy()
}
