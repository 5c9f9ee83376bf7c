/** Answers requests: hands each to a responder whose pattern matches and sends what it returns, the answers of a turn together. */
import { MeshError } from '../wire/errors.ts'
import { FrameKind } from '../wire/frame.ts'
import { inFrames } from '../wire/in-frames.ts'
import { patternProblem } from '../wire/names.ts'
import { encodeSessionFrame, type ReplyItem, type RequestedItem } from '../wire/session-frames.ts'
import type { ClaimHost } from './claim.ts'
import type { Clock } from './clock.ts'
import { VolatileMessage } from './message.ts'
import { encodeChecked } from './publisher.ts'
import { Standing } from './standing.ts'
import type { CloseOptions, Handler, Subscription } from './subscription.ts'
import { topicMatches } from './topic-match.ts'
import { isThenable, within } from './within.ts'

/** Requests that are being answered at a time; more are refused, so that askers hear of it at once. */
const RUNNING_MAX = 16_384
const CLOSE_TIMEOUT_MS = 30_000
/** For the cluster to forget a responder, milliseconds. */
const UNLISTEN_TIMEOUT_MS = 2_000

export interface RespondersHost extends Omit<ClaimHost, 'enroll' | 'dismiss'> {
  readonly clock: Clock
  wake(): number
  /** It cannot be made again after its session was lost. */
  ended(pattern: string, error: MeshError): void
  handlerFailed(pattern: string, error: unknown): void
}

export class Responders {
  readonly #host: RespondersHost
  readonly #responders: Responder[] = []
  #replies: ReplyItem[] = []
  readonly #running = new Set<VolatileMessage>()
  #turn = 0
  #onRest: (() => void)[] = []

  constructor(host: RespondersHost) {
    this.#host = host
  }

  async respond(pattern: string, handler: Handler): Promise<Subscription> {
    const problem = patternProblem(pattern)
    if (problem !== undefined) throw new MeshError('Validation', problem)
    const responder = new Responder(pattern, handler, this)
    this.#responders.push(responder)
    try {
      await responder.standing.make()
    } catch (error) {
      this.#remove(responder)
      throw error
    }
    return responder
  }

  /** A request that was sent to this client. */
  requested([token, topic, bytes]: RequestedItem): void {
    const responder = this.#responderFor(topic)
    if (responder === undefined) return this.#reply([token, null, `no responder for '${topic}' here`])
    if (this.#running.size >= RUNNING_MAX) return this.#reply([token, null, 'the responder is overloaded'])
    const message = new VolatileMessage({ id: token, topic, wallMs: this.#host.clock.wallMs(), bytes })
    this.#running.add(message)
    try {
      const returned = responder.handler(message)
      if (!isThenable(returned)) return this.#answered(message, returned)
      returned.then(
        (body) => this.#answered(message, body),
        (error: unknown) => this.#failed(message, responder.pattern, error),
      )
    } catch (error) {
      this.#failed(message, responder.pattern, error)
    }
  }

  /** Only while attached. */
  flush(send: (frame: Uint8Array) => void): void {
    if (this.#replies.length === 0) return
    const replies = this.#replies
    this.#replies = []
    for (const rows of inFrames(replies, (reply) => reply[1]?.length ?? 0))
      send(encodeSessionFrame(FrameKind.reply, rows))
  }

  sessionLost(): void {
    // Nobody is waiting for these any more where they would arrive.
    this.#replies = []
    for (const responder of this.#responders) {
      responder.listener = undefined
      responder.standing.sessionLost()
    }
  }

  /** Requests that are being answered. */
  get running(): number {
    return this.#running.size
  }

  /** Takes no more requests, and resolves when the others are answered or the deadline has come. */
  async drain(timeoutMs: number): Promise<void> {
    await Promise.all(this.#responders.map((responder) => responder.close({ timeoutMs })))
  }

  /** Resolves when no request is being answered. */
  async rested(): Promise<void> {
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#onRest.push(resolve))
  }

  /** The client is closed: nobody will get what is still being worked out. */
  abandon(error: MeshError): void {
    for (const responder of this.#responders.splice(0)) responder.end(undefined)
    for (const message of this.#running) message.abort(error)
  }

  async close(responder: Responder, timeoutMs: number): Promise<void> {
    if (responder.listener !== undefined) {
      const command = { type: 'unlisten', listener: responder.listener } as const
      responder.listener = undefined
      await this.#host.command(command, Math.min(timeoutMs, UNLISTEN_TIMEOUT_MS)).catch(() => {})
    }
    this.#remove(responder)
    await within(this.#host.clock, timeoutMs, this.rested())
    responder.end(undefined)
  }

  async listen(responder: Responder): Promise<void> {
    const { pattern, standing } = responder
    await this.#host.command({ type: 'listen', pattern }, this.#host.commandTimeoutMs, ({ listener }, isLate) => {
      if (typeof listener !== 'number') throw new MeshError('Protocol', 'listen without a listener')
      if (!isLate && !standing.isOver) responder.listener = listener
      else this.#host.command({ type: 'unlisten', listener }, this.#host.commandTimeoutMs).catch(() => {})
    })
  }

  /** It cannot be made again. */
  lost(responder: Responder, error: MeshError): void {
    this.#remove(responder)
    this.#host.ended(responder.pattern, error)
    responder.end(error)
  }

  /** In turns when several match. */
  #responderFor(topic: string): Responder | undefined {
    const matching = this.#responders.filter(({ pattern }) => topicMatches(pattern, topic))
    return matching[this.#turn++ % matching.length]
  }

  #answered(message: VolatileMessage, body: unknown): void {
    try {
      this.#reply([message.id, encodeChecked(body, undefined)])
    } catch (error) {
      this.#reply([message.id, null, `the reply cannot be sent: ${textOf(error)}`])
    }
    this.#done(message)
  }

  #failed(message: VolatileMessage, pattern: string, error: unknown): void {
    this.#host.handlerFailed(pattern, error)
    this.#reply([message.id, null, textOf(error)])
    this.#done(message)
  }

  #reply(item: ReplyItem): void {
    if (this.#replies.length === 0) this.#host.wake()
    this.#replies.push(item)
  }

  #remove(responder: Responder): void {
    const at = this.#responders.indexOf(responder)
    if (at >= 0) this.#responders.splice(at, 1)
  }

  #done(message: VolatileMessage): void {
    this.#running.delete(message)
    if (this.#running.size > 0) return
    for (const resolve of this.#onRest.splice(0)) resolve()
  }
}

class Responder implements Subscription {
  readonly pattern: string
  readonly handler: Handler
  readonly closed: Promise<void>
  readonly #responders: Responders
  /** Minted by the log; undefined while the cluster knows no such listener. */
  listener: number | undefined
  readonly standing: Standing
  #closing: Promise<void> | undefined
  #end!: (error: MeshError | undefined) => void

  constructor(pattern: string, handler: Handler, responders: Responders) {
    this.pattern = pattern
    this.handler = handler
    this.#responders = responders
    this.standing = new Standing(
      () => responders.listen(this),
      (error) => responders.lost(this, error),
    )
    this.closed = new Promise((resolve, reject) => {
      this.#end = (error) => (error === undefined ? resolve() : reject(error))
    })
    // Whoever does not look at it must not be ended by it.
    this.closed.catch(() => {})
  }

  close({ timeoutMs = CLOSE_TIMEOUT_MS }: CloseOptions = {}): Promise<void> {
    this.standing.end()
    this.#closing ??= this.#responders.close(this, timeoutMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  end(error: MeshError | undefined): void {
    this.standing.end()
    this.#end(error)
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
