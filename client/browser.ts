/** The client's door for browsers: the same surface on the page's own WebSocket. */
import { openBrowserSocket } from './browser-socket.ts'
import type { Client } from './client.ts'
import { connectByUrl } from './connect.ts'
import type { ConnectOptions } from './options.ts'

export * from './surface.ts'

/** See client/index.ts. */
export function connect(options: string | readonly string[] | ConnectOptions): Promise<Client> {
  return connectByUrl(openBrowserSocket, options)
}
