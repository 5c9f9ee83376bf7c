/**
 * The socket as the client sees it: whole binary frames, an open and a close. Adapters: the ws package (ws-socket.ts), a
 * browser's WebSocket (browser-socket.ts), a node in the same process.
 */

export interface Socket {
  /** Never throws; after the close it does nothing. The frame's bytes belong to the socket from then on. */
  send(frame: Uint8Array): void
  /** Orderly: what was sent still leaves. `onClose` follows. */
  close(): void
  /** At once, for an other end that no longer answers. `onClose` follows. */
  terminate(): void
}

export interface SocketHandlers {
  onOpen(): void
  /** Never before `onOpen`. The bytes stay as they are for as long as somebody holds them. */
  onFrame(frame: Uint8Array): void
  /** Once, after all else, also when it never opened. */
  onClose(reason: string): void
}

/** Starts to open a socket. Handlers are called later, never from within the call. */
export type OpenSocket = (url: string, handlers: SocketHandlers) => Socket
