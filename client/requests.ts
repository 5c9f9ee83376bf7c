/** Requests and queries under way: each gets one answer, or fails at its deadline. Requests of one turn travel in one frame. */
import { MeshError } from '../wire/errors.ts'
import { FrameKind } from '../wire/frame.ts'
import { inFrames } from '../wire/in-frames.ts'
import {
  type Answer,
  encodeSessionFrame,
  type Query,
  type RepliedItem,
  type RequestItem,
} from '../wire/session-frames.ts'
import type { Clock } from './clock.ts'
import { Deadlines } from './deadlines.ts'
import { meshErrorOf } from './errors.ts'
import { KnownTopics } from './known-topics.ts'
import { type Message, VolatileMessage } from './message.ts'
import { positive } from './options.ts'
import { aborted, encodeChecked, type PublisherHost } from './publisher.ts'

/** Requests without an answer; as many as a node keeps for one session. */
const REQUESTS_MAX = 65_536
/** Requests that are over and still in the queue of the unsent, at least. */
const UNSENT_OVER_MAX = 1024

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly correlationId?: string
  readonly signal?: AbortSignal
  /** Instead of the client's `requestTimeoutMs`. */
  readonly timeoutMs?: number
}

interface Waiting {
  readonly what: string
  /** Of a request. */
  readonly topic: string
  readonly deadlineMs: number
  isSent: boolean
  readonly resolve: (value: never) => void
  readonly reject: (error: MeshError) => void
}

export class Requests {
  readonly #timeoutMs: number
  readonly #clock: Clock
  readonly #host: PublisherHost
  readonly #deadlines: Deadlines
  readonly #topics = new KnownTopics()
  readonly #waiting = new Map<number, Waiting>()
  /** Queries change nothing: they are asked again on each new attachment. */
  readonly #queries = new Map<number, Query>()
  #unsentRequests: RequestItem[] = []
  #unsentQueries: Query[] = []
  /** Nothing is asked on this attachment any more. */
  #isHeld = false
  #onRest: (() => void)[] = []
  #lastNumber = 0
  #closed: MeshError | undefined

  constructor(timeoutMs: number, clock: Clock, host: PublisherHost) {
    this.#timeoutMs = timeoutMs
    this.#clock = clock
    this.#host = host
    this.#deadlines = new Deadlines(clock, (nowMs) => this.#expire(nowMs))
  }

  request(topic: string, body: unknown, options: RequestOptions | undefined): Promise<Message> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    const { signal } = options ?? {}
    let timeoutMs: number
    let message: Uint8Array
    try {
      this.#topics.check(topic)
      message = encodeChecked(body, options)
      timeoutMs = positive('timeoutMs', options?.timeoutMs, this.#timeoutMs)
      if (this.#waiting.size >= REQUESTS_MAX) throw new MeshError('Overloaded', 'too many requests wait for replies')
      if (signal?.aborted) throw aborted(signal, 'not-applied')
    } catch (error) {
      return Promise.reject(error)
    }
    const number = ++this.#lastNumber
    this.#pushUnsent([number, topic, timeoutMs, message])
    const replied = this.#wait<Message>(number, `request to '${topic}'`, topic, timeoutMs)
    return signal === undefined ? replied : this.#abortable(number, replied, signal)
  }

  /** Resolves with the answer's value. */
  query(what: Query['what'], options: { name?: string; consistent?: boolean }): Promise<unknown> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    const query: Query = { id: ++this.#lastNumber, what, ...options }
    this.#queries.set(query.id, query)
    this.#unsentQueries.push(query)
    const name = options.name === undefined ? '' : ` '${options.name}'`
    return this.#wait(query.id, `query of ${what}${name}`, '', this.#timeoutMs)
  }

  /** Only while attached. */
  flush(send: (frame: Uint8Array) => void): void {
    if (this.#isHeld) return
    const queries = this.#unsentQueries
    this.#unsentQueries = []
    for (const query of queries) if (this.#markSent(query.id)) send(encodeSessionFrame(FrameKind.query, query))
    if (this.#unsentRequests.length === 0) return
    const requests = this.#unsentRequests
    this.#unsentRequests = []
    for (const rows of inFrames(requests, (request) => request[3].length)) {
      const waiting = rows.filter(([number]) => this.#markSent(number))
      if (waiting.length > 0) send(encodeSessionFrame(FrameKind.request, waiting))
    }
  }

  /** Asks nothing more until the next attachment. */
  hold(): void {
    this.#isHeld = true
  }

  /** Resolves when no request that was sent waits for its reply; queries are asked again anyway. */
  async rested(): Promise<void> {
    if (this.#awaitsReply()) await new Promise<void>((resolve) => this.#onRest.push(resolve))
  }

  attached(): void {
    this.#isHeld = false
    this.#unsentQueries = [...this.#queries.values()]
  }

  replied(items: readonly RepliedItem[]): void {
    for (const [number, bytes, code, text] of items) {
      const waiting = this.#take(number)
      if (waiting === undefined) continue
      if (bytes === null) {
        const error = code ?? 'Remote'
        // What the responder said is the cause; all else is the cluster's own words.
        const cause = error === 'Remote' ? new Error(text) : undefined
        waiting.reject(meshErrorOf(error, `${waiting.what}: ${text ?? error}`, { cause }))
      } else {
        const fields = { id: `reply-${number}`, topic: waiting.topic, wallMs: this.#clock.wallMs(), bytes }
        waiting.resolve(new VolatileMessage(fields) as never)
      }
    }
  }

  answered({ id, code, message, value }: Answer): void {
    const waiting = this.#take(id)
    if (code === undefined) waiting?.resolve(value as never)
    else waiting?.reject(meshErrorOf(code, message))
  }

  /** Replies find their way by the session: without it they are lost. */
  sessionLost(error: MeshError): void {
    for (const [number, { isSent }] of this.#waiting) {
      if (isSent && !this.#queries.has(number)) this.#take(number)?.reject(error)
    }
  }

  close(error: (isSent: boolean) => MeshError): void {
    this.#closed ??= error(false)
    this.#deadlines.stop()
    for (const [number, { isSent }] of this.#waiting) this.#take(number)?.reject(error(isSent))
  }

  #pushUnsent(row: RequestItem): void {
    // Those that are over are skipped when they are sent, which may be never: they must not pile up in a long outage.
    if (this.#unsentRequests.length > 2 * this.#waiting.size + UNSENT_OVER_MAX) {
      this.#unsentRequests = this.#unsentRequests.filter(([number]) => this.#waiting.has(number))
    }
    this.#unsentRequests.push(row)
  }

  #wait<T>(number: number, what: string, topic: string, timeoutMs: number): Promise<T> {
    const deadlineMs = this.#host.wake() + timeoutMs
    this.#deadlines.add(deadlineMs)
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(number, {
        what,
        topic,
        deadlineMs,
        isSent: false,
        resolve: resolve as Waiting['resolve'],
        reject,
      })
    })
  }

  #abortable(number: number, replied: Promise<Message>, signal: AbortSignal): Promise<Message> {
    const onAbort = () => {
      const waiting = this.#take(number)
      waiting?.reject(aborted(signal, waiting.isSent ? 'unknown' : 'not-applied'))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    return replied.finally(() => signal.removeEventListener('abort', onAbort))
  }

  #markSent(number: number): boolean {
    const waiting = this.#waiting.get(number)
    if (waiting === undefined) return false
    waiting.isSent = true
    return true
  }

  #take(number: number): Waiting | undefined {
    const waiting = this.#waiting.get(number)
    this.#waiting.delete(number)
    this.#queries.delete(number)
    if (this.#onRest.length > 0 && !this.#awaitsReply()) for (const tell of this.#onRest.splice(0)) tell()
    return waiting
  }

  #awaitsReply(): boolean {
    for (const [number, { isSent }] of this.#waiting) if (isSent && !this.#queries.has(number)) return true
    return false
  }

  #expire(nowMs: number): number {
    let earliestMs = Number.POSITIVE_INFINITY
    for (const [number, { what, deadlineMs, isSent, reject }] of this.#waiting) {
      if (deadlineMs > nowMs) {
        if (deadlineMs < earliestMs) earliestMs = deadlineMs
        continue
      }
      const isQuery = this.#queries.has(number)
      this.#take(number)
      const { code, message } = this.#host.problem()
      if (isSent) {
        reject(new MeshError('Timeout', `${what}: no answer in time`, { outcome: isQuery ? 'not-applied' : 'unknown' }))
      } else reject(new MeshError(code, `${what}: not sent in time; ${message}`, { outcome: 'not-applied' }))
    }
    return earliestMs
  }
}
