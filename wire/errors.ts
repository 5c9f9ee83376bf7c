/**
 * The one registry of error codes: what each means, whether trying again can help and whether the operation took
 * effect. docs/PROTOCOL.md holds the same table (a test compares them).
 *
 * Codes never change their meaning; messages may. Never match an error by its text.
 */

/** Did it happen? `unknown` is the honest answer when a request was sent and no outcome came back. */
export type Outcome = 'not-applied' | 'applied' | 'unknown'

interface ErrorKind {
  readonly meaning: string
  readonly retryable: boolean
  /** The outcome unless the place that raises it knows better. */
  readonly outcome: Outcome
}

export const errorKinds = {
  Validation: { meaning: 'an argument or a name is not allowed', retryable: false, outcome: 'not-applied' },
  PayloadTooLarge: { meaning: 'a message is above the size limit', retryable: false, outcome: 'not-applied' },
  Protocol: { meaning: 'a frame could not be decoded', retryable: false, outcome: 'not-applied' },
  UnsupportedVersion: { meaning: 'the other side speaks no common version', retryable: false, outcome: 'not-applied' },
  Unauthorized: { meaning: 'the token, secret or origin is not accepted', retryable: false, outcome: 'not-applied' },
  NotFound: { meaning: 'no such queue, consumer or listener', retryable: false, outcome: 'not-applied' },
  Precondition: {
    meaning: 'it exists with other settings, or belongs to another session',
    retryable: false,
    outcome: 'not-applied',
  },
  LimitExceeded: { meaning: 'a named limit of the cluster is reached', retryable: false, outcome: 'not-applied' },
  QueueFull: { meaning: 'a queue holds as many messages as it may', retryable: true, outcome: 'not-applied' },
  DiskFull: { meaning: 'the cluster has no room on its disks', retryable: true, outcome: 'not-applied' },
  Overloaded: { meaning: 'a bounded buffer is full', retryable: true, outcome: 'not-applied' },
  NoQuorum: { meaning: 'no majority answered before the deadline', retryable: true, outcome: 'unknown' },
  NoResponders: { meaning: 'nobody responds to this topic', retryable: true, outcome: 'not-applied' },
  Timeout: { meaning: 'no answer before the deadline', retryable: true, outcome: 'unknown' },
  Connection: { meaning: 'no node could be reached, or the connection was lost', retryable: true, outcome: 'unknown' },
  Draining: {
    meaning: 'the node is about to stop and takes no new clients; another one serves',
    retryable: true,
    outcome: 'not-applied',
  },
  SessionLost: { meaning: 'the session expired or never existed here', retryable: false, outcome: 'unknown' },
  LeaseLost: { meaning: 'the delivery is no longer open for this consumer', retryable: false, outcome: 'unknown' },
  Cancelled: { meaning: 'the consumer was ended by the cluster', retryable: false, outcome: 'not-applied' },
  Aborted: { meaning: 'the caller aborted the call', retryable: false, outcome: 'unknown' },
  Closed: { meaning: 'the client is closed', retryable: false, outcome: 'not-applied' },
  Remote: { meaning: 'the responder failed; its message is in `cause`', retryable: false, outcome: 'applied' },
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof errorKinds

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorKinds, code)
}

/** What every failed operation of the SDK, the CLI and the node's API rejects with. */
export class MeshError extends Error {
  override readonly name = 'MeshError'
  readonly code: ErrorCode
  /** Whether the same call may succeed later. */
  readonly retryable: boolean
  readonly outcome: Outcome

  constructor(code: ErrorCode, message: string, options: { outcome?: Outcome; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = errorKinds[code].retryable
    this.outcome = options.outcome ?? errorKinds[code].outcome
  }
}
