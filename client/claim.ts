/**
 * What a subscription has in the cluster: its queue, the binding, the consumer; made when it begins and made again whenever
 * the session was lost. Whatever fails in between, no consumer is left behind that nobody reads.
 */

import { nanoid } from 'nanoid'
import type { ControlCommand } from '../wire/control-frame.ts'
import { MeshError } from '../wire/errors.ts'
import type { Consumer } from './consumer.ts'
import type { OnResult } from './outgoing.ts'
import { Standing } from './standing.ts'

export interface ClaimSettings {
  readonly pattern: string
  /** Undefined: a queue of the session's own. */
  readonly queue: string | undefined
}

/** The client around a claim. */
export interface ClaimHost {
  readonly commandTimeoutMs: number
  command(command: ControlCommand, timeoutMs: number, onResult?: OnResult): Promise<unknown>
  /** Deliveries of the consumer's incarnation go to it from now on. */
  enroll(consumer: Consumer): void
  dismiss(consumer: Consumer): void
}

export class Claim {
  readonly #settings: ClaimSettings
  readonly #host: ClaimHost
  readonly #consumer: Consumer
  readonly #standing: Standing
  #queue: string

  /** `onFailure` is told when it cannot be made again. */
  constructor(settings: ClaimSettings, consumer: Consumer, host: ClaimHost, onFailure: (error: MeshError) => void) {
    this.#settings = settings
    this.#consumer = consumer
    this.#host = host
    this.#standing = new Standing(() => this.#makeOnce(), onFailure)
    this.#queue = settings.queue ?? ''
  }

  /** Resolves when messages may come. Rejects with what the cluster refused it for, or at the deadline. */
  make(): Promise<void> {
    return this.#standing.make()
  }

  sessionLost(error: MeshError): void {
    this.#host.dismiss(this.#consumer)
    this.#consumer.end(error)
    this.#standing.sessionLost()
  }

  /** The cluster has ended the consumer: there is nothing to cancel. */
  cancelled(error: MeshError): void {
    this.#standing.end()
    this.#host.dismiss(this.#consumer)
    this.#consumer.end(error)
  }

  /** Gives the consumer up; what it holds goes back. Never rejects: at worst the session's end does it. */
  async drop(error: MeshError, timeoutMs: number): Promise<void> {
    this.#standing.end()
    const { incarnation } = this.#consumer
    this.#host.dismiss(this.#consumer)
    this.#consumer.end(error)
    if (incarnation === undefined) return
    const commands: ControlCommand[] = [{ type: 'cancel', consumer: incarnation }]
    if (this.#settings.queue === undefined) commands.push({ type: 'deleteQueue', queue: this.#queue })
    await Promise.all(commands.map((command) => this.#host.command(command, timeoutMs).catch(() => {})))
  }

  /**
   * What was not sent when a session was lost goes out under the next one. So a consumer that is made is one of the session at hand, and what
   * it lacks of the former session's the cluster has refused it for.
   */
  async #makeOnce(): Promise<void> {
    const { pattern, queue } = this.#settings
    const { prefetch, visibilityTimeoutMs } = this.#consumer.settings
    // A name of its own for each session: the former session's queue may take its time to go.
    this.#queue = queue ?? `sub.${nanoid()}`
    await this.#command(
      queue === undefined
        ? { type: 'declareQueue', queue: this.#queue, durable: false, exclusive: true }
        : { type: 'declareQueue', queue },
    )
    await this.#command({ type: 'bind', queue: this.#queue, pattern })
    await this.#command(
      { type: 'consume', queue: this.#queue, prefetch, visibilityTimeoutMs },
      ({ consumer }, isLate) => {
        if (typeof consumer !== 'number') throw new MeshError('Protocol', 'consume without a consumer')
        if (isLate || this.#standing.isOver) {
          // Whoever waited for it has given up: nobody would read it.
          this.#host.command({ type: 'cancel', consumer }, this.#host.commandTimeoutMs).catch(() => {})
          return
        }
        this.#consumer.begin(consumer, this.#queue)
        this.#host.enroll(this.#consumer)
      },
    )
  }

  #command(command: ControlCommand, onResult?: OnResult): Promise<unknown> {
    return this.#host.command(command, this.#host.commandTimeoutMs, onResult)
  }
}
