/** The client's door for Node. */
import type { Client } from './client.ts'
import { connectByUrl } from './connect.ts'
import type { ConnectOptions } from './options.ts'
import { openWebSocket } from './ws-socket.ts'

export * from './surface.ts'

/**
 * Connects to a cluster by any of its nodes. Rejects with MeshError: Validation, Unauthorized, UnsupportedVersion, Aborted; at
 * `connectTimeoutMs` with NoQuorum or Connection.
 */
export function connect(options: string | readonly string[] | ConnectOptions): Promise<Client> {
  return connectByUrl(openWebSocket, options)
}
