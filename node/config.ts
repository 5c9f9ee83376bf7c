/**
 * What a node can be told at its start: the options, their defaults, and the rules that make them safe together. Bounds that
 * only one node reads are here; those that the replicated machine reads are constants (wire/limits.ts), because no local
 * setting may make two replicas differ (trap 31).
 *
 * Never: files, environment, arguments. The CLI reads those and hands over an object.
 */
import { z } from 'zod'
import { MeshError } from '../wire/errors.ts'
import { defaults, limits } from '../wire/limits.ts'
import { type HostPort, isLoopbackHost, parseHostPort } from './address.ts'
import { jsonLogger, type Logger, type LogLevel, logLevels, silentLogger } from './logger.ts'

/** What `startNode` takes. Every number is checked; an unknown option is refused rather than ignored. */
export interface NodeOptions {
  /** Name of this node, unique in the cluster; a key of `cluster`. */
  readonly id: string
  /** `host:port` of the one listening socket (clients, peers, HTTP). Port 0: any free one. */
  readonly listen: string
  /** Holds the log and the checkpoints of this node alone. Made when absent. */
  readonly dataDir: string
  /** Every member's id and the URL under which its peers reach it (`ws://host:port`), this node's own included. */
  readonly cluster: Readonly<Record<string, string>>
  /** Peers and clients of another cluster name are refused. Default `meshmq`. */
  readonly clusterName?: string
  /** Shared by all members. Needed beyond loopback; on loopback a default serves. */
  readonly secret?: string
  /** Clients must show one of them, printable ASCII without spaces. Needed beyond loopback; on loopback none are asked for unless given. */
  readonly tokens?: readonly string[]
  /** Browser origins (`https://app.example.com`) whose pages may connect, besides those served from loopback. */
  readonly origins?: readonly string[]
  /** A logger, the lowest level to log as JSON on standard output, or false for silence. Default `warn`. */
  readonly logger?: Logger | LogLevel | false

  /** How often a leader makes itself heard, milliseconds. Default 100. */
  readonly heartbeatMs?: number
  /** Shortest silence of a leader that starts an election, milliseconds; the longest is twice as much. Default 600. */
  readonly electionTimeoutMs?: number
  /** Resolution of Raft's clock, milliseconds. Default 10. */
  readonly tickMs?: number
  /** How long a node may be out of sight before its sessions are detached, milliseconds. Default 10,000. */
  readonly nodeGraceMs?: number
  /** How long a detached session lives on, milliseconds. Default 60,000. */
  readonly sessionLeaseMs?: number
  /** How long open deliveries of a detached session wait for it before they return to their queues. Default 1,000. */
  readonly detachGraceMs?: number
  /** Node and client each send at least this often; three times as much silence closes the socket. Default 5,000. */
  readonly clientHeartbeatMs?: number
  /** How long a node that stops waits for its clients to go elsewhere before it closes their sockets, milliseconds. Default 5,000. */
  readonly drainMs?: number
  /** A node that has had no leader for so long closes its clients' sockets, so that they go elsewhere. Default 5,000. */
  readonly leaderlessCloseMs?: number

  /** Time for a new socket to introduce itself, milliseconds. Default 5,000. */
  readonly handshakeTimeoutMs?: number
  /** Clients' sockets at a time. Default 10,000. */
  readonly connectionsMax?: number
  /** Unsent bytes for one client, above which its consumers get nothing more until it reads. Default 16 MiB. */
  readonly clientBufferBytesMax?: number
  /** Bytes of clients' frames that this node holds until they are applied; beyond it clients are not read. Default 64 MiB. */
  readonly gatewayPendingBytesMax?: number
  /** Unsent bytes on one link to a peer, above which messages are dropped (Raft sends them again). Default 64 MiB. */
  readonly peerBufferBytesMax?: number
  /** Bytes of recent log entries kept in memory, so that fresh messages are delivered without a read. Default 64 MiB. */
  readonly entryCacheBytes?: number

  /** Log bytes applied since the last checkpoint that call for the next one, at the least. Default 64 MiB. */
  readonly checkpointBytes?: number
  /** Log bytes that a leader keeps for followers that lack them; beyond it they get a checkpoint. Default 256 MiB. */
  readonly trailingLogBytesMax?: number
  /** Size of one file of the log. 2 MiB to 1 GiB; default 32 MiB. */
  readonly segmentBytes?: number
  /**
   * Free space of the disk below which a leader refuses publishes with `DiskFull`; 0: never. At least what goes on meanwhile takes
   * (`diskReserveBytesMin`); default 256 MiB, or four segments if that is more. A large checkpoint adds to it by itself.
   */
  readonly diskReserveBytes?: number
}

/** The options with every default filled in. */
export interface NodeConfig extends Required<Omit<NodeOptions, 'listen' | 'logger'>> {
  readonly listen: HostPort
  readonly logger: Logger
  /** Nothing of this cluster is reachable from another machine. */
  readonly loopbackOnly: boolean
}

/** Members of one cluster. Each of them costs the leader a copy of every entry. */
export const MEMBERS_MAX = 9

const MIB = 1024 * 1024

/** A segment holds at least one entry of full size, with the headers around it. */
const SEGMENT_BYTES_MIN = 2 * MIB
/** Places in a segment are 32 bits; a start reads a segment at a time into memory. */
const SEGMENT_BYTES_MAX = 1024 * MIB

/** What the store takes for its log and its tables while it rewrites them, with the values that are always there. */
const STORE_BYTES = 8 * MIB

/**
 * What a node that refuses publishes still writes: the log moves on by two segments, which are prepared whole, and the store rewrites
 * its tables and the checkpoint, which is there twice until the former one is gone.
 */
export function diskReserveBytesMin(segmentBytes: number, checkpointBytes = 0): number {
  return 2 * segmentBytes + STORE_BYTES + 2 * checkpointBytes
}

/** What peers on loopback show each other when no secret is given: any program on the machine may join them anyway. */
const LOOPBACK_SECRET = 'meshmq-loopback'

const name = (what: string) =>
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, `must be a ${what}: letters, digits, - and _, at most 63`)
const milliseconds = (least: number, most: number) => z.int().min(least).max(most)
const bytes = (least: number) => z.int().min(least)
const credential = z.string().min(1).max(1024)
/** It must fit an `Authorization` header. */
const token = credential.regex(/^[\x21-\x7e]+$/, 'must be of printable ASCII without spaces')
const hourMs = 3_600_000

const isLogger = (value: unknown): value is Logger =>
  typeof value === 'object' &&
  value !== null &&
  logLevels.every((level) => typeof (value as Record<string, unknown>)[level] === 'function')

const schema = z.strictObject({
  id: name('node id'),
  listen: z.string().transform((text, context) => {
    const address = parseHostPort(text)
    if (address !== undefined) return address
    context.addIssue("must be host:port, an IPv6 host in brackets, such as '127.0.0.1:7101' or '[::1]:7101'")
    return z.NEVER
  }),
  dataDir: z.string().min(1),
  cluster: z.record(name('node id'), z.string().transform(memberUrl)),
  clusterName: name('cluster name').default('meshmq'),
  secret: credential.optional(),
  tokens: z.array(token).max(1024).default([]),
  origins: z
    .array(z.string().refine(isOrigin, 'must be an origin such as https://app.example.com'))
    .max(1024)
    .default([]),
  logger: z
    .union([z.custom<Logger>(isLogger), z.enum(logLevels), z.literal(false)], {
      error: `must be a logger, one of ${logLevels.join(', ')}, or false`,
    })
    .default('warn'),
  heartbeatMs: milliseconds(1, 60_000).default(100),
  electionTimeoutMs: milliseconds(2, hourMs).default(600),
  tickMs: milliseconds(1, 1_000).default(10),
  nodeGraceMs: milliseconds(1, hourMs).default(10_000),
  sessionLeaseMs: milliseconds(1, limits.delayMsMax).default(defaults.sessionLeaseMs),
  detachGraceMs: milliseconds(0, hourMs).default(defaults.detachGraceMs),
  clientHeartbeatMs: milliseconds(10, hourMs).default(5_000),
  drainMs: milliseconds(0, hourMs).default(5_000),
  leaderlessCloseMs: milliseconds(1, hourMs).default(5_000),
  handshakeTimeoutMs: milliseconds(1, hourMs).default(5_000),
  connectionsMax: z.int().min(1).max(limits.sessionsMax).default(10_000),
  clientBufferBytesMax: bytes(limits.frameBytesMax).default(16 * MIB),
  gatewayPendingBytesMax: bytes(limits.frameBytesMax).default(64 * MIB),
  peerBufferBytesMax: bytes(limits.frameBytesMax).default(64 * MIB),
  entryCacheBytes: bytes(0).default(64 * MIB),
  checkpointBytes: bytes(4096).default(64 * MIB),
  trailingLogBytesMax: bytes(0).default(256 * MIB),
  segmentBytes: bytes(SEGMENT_BYTES_MIN)
    .max(SEGMENT_BYTES_MAX)
    .default(32 * MIB),
  diskReserveBytes: bytes(0).optional(),
})

/** Fills in the defaults. Throws MeshError `Validation` that names every field it refuses. */
export function parseNodeOptions(input: unknown): NodeConfig {
  const parsed = schema.safeParse(input)
  if (!parsed.success) throw new MeshError('Validation', describeIssues(parsed.error.issues))
  const options = parsed.data
  const loopbackOnly = isLoopbackHost(options.listen.host) && Object.values(options.cluster).every(isLoopbackUrl)
  const diskReserveBytes = options.diskReserveBytes ?? Math.max(256 * MIB, 4 * options.segmentBytes)
  const problem =
    memberProblem(options.id, options.listen, options.cluster) ??
    timingProblem(options) ??
    reserveProblem(diskReserveBytes, options.segmentBytes)
  if (problem !== undefined) throw new MeshError('Validation', problem)
  if (!loopbackOnly) refuseOpenDoors(options)
  const secret = options.secret ?? LOOPBACK_SECRET
  return { ...options, diskReserveBytes, secret, logger: resolveLogger(options.logger), loopbackOnly }
}

function describeIssues(issues: readonly z.core.$ZodIssue[]): string {
  return issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`)).join('; ')
}

/** The URL without a trailing slash, so that two spellings of it compare equal. */
function memberUrl(text: string, context: z.core.$RefinementCtx<string>): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const plain = url !== undefined && ['ws:', 'wss:'].includes(url.protocol) && `${url.origin}/` === url.href
  if (plain) return url.origin
  context.addIssue('must be ws://host:port, without a path')
  return z.NEVER
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text
}

function isLoopbackUrl(url: string): boolean {
  return isLoopbackHost(new URL(url).hostname)
}

function memberProblem(id: string, listen: HostPort, cluster: Readonly<Record<string, string>>): string | undefined {
  const ids = Object.keys(cluster)
  if (ids.length > MEMBERS_MAX) return `cluster: has ${ids.length} members, more than ${MEMBERS_MAX}`
  if (!Object.hasOwn(cluster, id)) return `cluster: lacks this node's own id '${id}'`
  if (new Set(Object.values(cluster)).size < ids.length) return 'cluster: two members have the same URL'
  for (const [member, url] of Object.entries(cluster)) {
    // Only a node that nobody dials may leave its port to the system.
    const dialed = member !== id || ids.length > 1 || listen.port !== 0
    if (dialed && new URL(url).port === '0') return `cluster.${member}: port 0 cannot be dialed`
  }
  return undefined
}

function timingProblem(options: {
  tickMs: number
  heartbeatMs: number
  electionTimeoutMs: number
}): string | undefined {
  if (options.tickMs > options.heartbeatMs) return 'tickMs: must not be above heartbeatMs'
  // One late heartbeat must not cost a leader its office.
  if (options.electionTimeoutMs < 2 * options.heartbeatMs) {
    return 'electionTimeoutMs: must be at least twice heartbeatMs'
  }
  return undefined
}

function reserveProblem(diskReserveBytes: number, segmentBytes: number): string | undefined {
  const least = diskReserveBytesMin(segmentBytes)
  if (diskReserveBytes === 0 || diskReserveBytes >= least) return undefined
  return `diskReserveBytes: must be 0 or at least ${least}: two files of the log (segmentBytes) and ${STORE_BYTES} for the store`
}

/** Beyond loopback strangers can knock: nothing is open by default. */
function refuseOpenDoors(options: { secret?: string | undefined; tokens: readonly string[] }): void {
  const why = 'because this node listens, or has members, beyond loopback'
  if (options.secret === undefined) throw new MeshError('Validation', `secret: must be given, ${why}`)
  if (options.secret === LOOPBACK_SECRET)
    throw new MeshError('Validation', `secret: must not be the public one, ${why}`)
  if (options.tokens.length === 0) throw new MeshError('Validation', `tokens: must hold at least one, ${why}`)
}

function resolveLogger(choice: Logger | LogLevel | false): Logger {
  if (choice === false) return silentLogger
  return typeof choice === 'string' ? jsonLogger(choice) : choice
}
