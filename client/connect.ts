/** From options to a client, on any socket. */
import { Client } from './client.ts'
import { type Clock, systemClock } from './clock.ts'
import { type ConnectOptions, clientUrl, readOptions } from './options.ts'
import type { OpenSocket } from './socket.ts'

/**
 * The same as `connect`, on sockets of another kind: a node in this process, a test. The addresses in `servers` are whatever
 * `openSocket` understands.
 */
export async function connectWith(
  openSocket: OpenSocket,
  options: string | readonly string[] | ConnectOptions,
  clock: Clock = systemClock,
): Promise<Client> {
  return Client.open(readOptions(options), openSocket, clock)
}

/** On WebSockets: an address that is none is refused at once, not when its turn comes. */
export async function connectByUrl(
  openSocket: OpenSocket,
  options: string | readonly string[] | ConnectOptions,
): Promise<Client> {
  const settings = readOptions(options)
  const servers = settings.servers.map(clientUrl)
  return Client.open({ ...settings, servers }, openSocket, systemClock)
}
