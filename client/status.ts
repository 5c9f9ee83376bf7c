/**
 * What happens to a client beside its promises: a feed that anybody may follow, or nobody. Nothing here ever throws at a
 * listener that does not exist.
 */
import type { MeshError } from '../wire/errors.ts'

export type Status =
  /** A session is attached (again) through this server. Without `disconnected` before it: the client has moved, since its node stops. */
  | { readonly type: 'connected'; readonly server: string; readonly node: string; readonly session: number }
  | { readonly type: 'disconnected'; readonly server: string; readonly error: MeshError }
  /** The next attempt starts in `delayMs`; `error` is why the last one failed. */
  | { readonly type: 'reconnecting'; readonly attempt: number; readonly delayMs: number; readonly error: MeshError }
  /** What was sent and had no outcome has failed with SessionLost; subscriptions and responders are being made anew. */
  | { readonly type: 'sessionLost' }
  /** Held by this client no longer, though it had not settled it: its handler's signal is aborted. */
  | { readonly type: 'leaseLost'; readonly topic: string; readonly id: string }
  /** A consumer got nothing for a minute although its queue had messages for it; the client attaches anew. */
  | { readonly type: 'stalled'; readonly queue: string }
  /** A subscription that delivers no more. */
  | { readonly type: 'subscriptionEnded'; readonly pattern: string; readonly error: MeshError }
  /** A responder that is asked no more. */
  | { readonly type: 'responderEnded'; readonly pattern: string; readonly error: MeshError }
  /** The last one. Without `error`: the client was closed by its user. */
  | { readonly type: 'closed'; readonly error?: MeshError }

/** Statuses that a slow follower may be behind; beyond them it misses the oldest. */
const BACKLOG_MAX = 256

export class StatusFeed {
  readonly #followers = new Set<Follower>()
  #last: Status | undefined

  tell(status: Status): void {
    if (this.#last?.type === 'closed') return
    this.#last = status
    for (const follower of this.#followers) follower.push(status)
  }

  /** From now on, until the client is closed or the loop is left. Several may follow independently. */
  follow(): AsyncIterableIterator<Status> {
    const follower = new Follower(() => this.#followers.delete(follower))
    this.#followers.add(follower)
    if (this.#last?.type === 'closed') follower.push(this.#last)
    return follower
  }
}

class Follower implements AsyncIterableIterator<Status> {
  readonly #leave: () => void
  readonly #backlog: Status[] = []
  #waiting: ((result: IteratorResult<Status>) => void)[] = []
  #over = false

  constructor(leave: () => void) {
    this.#leave = leave
  }

  push(status: Status): void {
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) waiting({ done: false, value: status })
    else if (this.#backlog.push(status) > BACKLOG_MAX) this.#backlog.shift()
    if (status.type === 'closed') this.#end()
  }

  next(): Promise<IteratorResult<Status>> {
    const status = this.#backlog.shift()
    if (status !== undefined) return Promise.resolve({ done: false, value: status })
    if (this.#over) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  return(): Promise<IteratorResult<Status>> {
    this.#backlog.length = 0
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #end(): void {
    this.#over = true
    this.#leave()
    for (const waiting of this.#waiting) waiting({ done: true, value: undefined })
    this.#waiting = []
  }
}
