/** The options of `connect`, checked once, with every default and every bound of the client in one place. */
import { MeshError } from '../wire/errors.ts'
import { limits } from '../wire/limits.ts'
import type { Logger } from './logger.ts'

/** All durations in milliseconds. */
export interface ConnectOptions {
  /** Nodes of one cluster, `ws://host:port` or `wss://…`; any of them serves. */
  readonly servers: string | readonly string[]
  /**
   * Where it begins, there and when a node that stops sends it on: anywhere, so that many clients spread over the nodes, or as `servers`
   * has them, the node next door first. A lost connection always goes on with the next. Default `random`.
   */
  readonly serverOrder?: 'random' | 'listed'
  /** Shown in listings and logs of the cluster. */
  readonly name?: string
  readonly token?: string
  /** Aborts the first connect; afterwards it has no effect. */
  readonly signal?: AbortSignal
  /** How long `connect` keeps trying. Default 10 000. */
  readonly connectTimeoutMs?: number
  /** When publishes, settles and declarations give up waiting. Default 30 000. */
  readonly publishTimeoutMs?: number
  /** When requests and queries give up waiting. Default 5 000. */
  readonly requestTimeoutMs?: number
  /**
   * Pauses between rounds over the servers: random up to `initialMs`, doubling up to `maxMs`. Default 50 and 5 000, for ever. False:
   * a lost connection closes the client.
   */
  readonly reconnect?: { readonly initialMs?: number; readonly maxMs?: number } | false
  /** Bytes of publishes without an outcome, sent or not; beyond it a publish fails as Overloaded. Default 64 MiB. */
  readonly maxBufferedBytes?: number
  /** Publishes sent and without an outcome; more wait. Default 16 384. */
  readonly maxInFlight?: number
  /** Hears what no promise tells: lost leases, failing handlers, reconnects. Default: nobody. */
  readonly logger?: Logger
}

export interface Settings {
  readonly servers: readonly string[]
  readonly serverOrder: 'random' | 'listed'
  readonly name: string | undefined
  readonly token: string | undefined
  readonly signal: AbortSignal | undefined
  readonly connectTimeoutMs: number
  readonly publishTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly reconnect: { readonly initialMs: number; readonly maxMs: number } | false
  readonly maxBufferedBytes: number
  readonly maxInFlight: number
  readonly logger: Logger
}

/** How long a message is kept by extension while it is handled, unless its user says otherwise, milliseconds. */
export const EXTEND_MAX_MS = 60 * 60_000

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** Throws MeshError Validation. */
export function readOptions(given: string | readonly string[] | ConnectOptions): Settings {
  const options: ConnectOptions = typeof given === 'string' || isList(given) ? { servers: given } : given
  const servers = typeof options.servers === 'string' ? [options.servers] : [...(options.servers ?? [])]
  if (servers.length === 0) throw new MeshError('Validation', 'no servers to connect to')
  const { reconnect = {} } = options
  return {
    servers,
    serverOrder: serverOrderOf(options.serverOrder),
    name: options.name,
    token: options.token,
    signal: options.signal,
    connectTimeoutMs: positive('connectTimeoutMs', options.connectTimeoutMs, 10_000),
    publishTimeoutMs: positive('publishTimeoutMs', options.publishTimeoutMs, 30_000),
    requestTimeoutMs: positive('requestTimeoutMs', options.requestTimeoutMs, 5_000),
    reconnect: reconnect && {
      initialMs: positive('reconnect.initialMs', reconnect.initialMs, 50),
      maxMs: positive('reconnect.maxMs', reconnect.maxMs, 5_000),
    },
    maxBufferedBytes: positive('maxBufferedBytes', options.maxBufferedBytes, 64 * 1024 * 1024),
    maxInFlight: integer('maxInFlight', options.maxInFlight, 16_384, Number.MAX_SAFE_INTEGER),
    logger: options.logger ?? silent,
  }
}

function isList(given: readonly string[] | ConnectOptions): given is readonly string[] {
  return Array.isArray(given)
}

function serverOrderOf(value: string | undefined): Settings['serverOrder'] {
  if (value === undefined) return 'random'
  if (value !== 'random' && value !== 'listed') {
    throw new MeshError('Validation', `serverOrder must be 'random' or 'listed'`)
  }
  return value
}

/** A number above 0, or the default. Throws MeshError Validation. */
export function positive(name: string, value: number | undefined, byDefault: number): number {
  if (value === undefined) return byDefault
  if (typeof value !== 'number' || !(value > 0)) throw new MeshError('Validation', `${name} must be a number above 0`)
  return value
}

/** A whole number from 1 to `max`, or the default. Throws MeshError Validation. */
export function integer(name: string, value: number | undefined, byDefault: number, max: number): number {
  if (value === undefined) return byDefault
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new MeshError('Validation', `${name} must be a whole number from 1 to ${max}`)
  }
  return value
}

/** Milliseconds from 0 to the cluster's longest delay, whole. Throws MeshError Validation. */
export function delay(name: string, value: number): number {
  if (typeof value !== 'number' || !(value >= 0) || value > limits.delayMsMax) {
    throw new MeshError('Validation', `${name} must be from 0 to ${limits.delayMsMax}`)
  }
  return Math.ceil(value)
}

/** The address of the clients' door: the path /client unless the user gave another. Throws MeshError Validation. */
export function clientUrl(server: string): string {
  if (!URL.canParse(server)) throw new MeshError('Validation', `'${server}' is not a WebSocket address`)
  const url = new URL(server)
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') {
    throw new MeshError('Validation', `'${server}' is not a ws:// or wss:// address`)
  }
  if (url.pathname === '/') url.pathname = '/client'
  return url.href
}
