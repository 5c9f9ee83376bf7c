/**
 * Host and port as people write them, and whether an address stays on this machine: what decides which secrets a node must
 * have before it starts (node/config.ts).
 *
 * Never: name resolution. A host name other than `localhost` counts as beyond loopback, whatever it may resolve to.
 */
import { BlockList, isIP } from 'node:net'

export interface HostPort {
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  /** 0: any free port. */
  readonly port: number
}

const hostName = /^(?!-)[A-Za-z0-9._-]{1,253}$/

/** `host:port`, with an IPv6 host in brackets. Undefined when it is not of this form. */
export function parseHostPort(text: string): HostPort | undefined {
  const parts = /^(?:\[(?<v6>[^\]]+)\]|(?<host>[^:[\]]+)):(?<port>\d{1,5})$/.exec(text)?.groups
  if (parts === undefined) return undefined
  const port = Number(parts.port)
  if (port > 65_535) return undefined
  if (parts.v6 !== undefined) return isIP(parts.v6) === 6 ? { host: parts.v6, port } : undefined
  return hostName.test(parts.host!) ? { host: parts.host!, port } : undefined
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')
loopback.addSubnet('::ffff:127.0.0.0', 104, 'ipv6')

/** The wildcard addresses (`0.0.0.0`, `::`) listen beyond loopback and are not on it. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  const version = isIP(bare)
  if (version === 0) return bare.toLowerCase() === 'localhost'
  return loopback.check(bare, version === 4 ? 'ipv4' : 'ipv6')
}
