/** Publishes and control commands as somebody waits for them: each a promise that is settled once, whoever comes first. */
import type { ControlCommand } from '../wire/control-frame.ts'
import type { MeshError } from '../wire/errors.ts'
import type { OutcomeNotice } from '../wire/session-frames.ts'
import type { Identity } from './identity.ts'
import type { Outgoing } from './sequencer.ts'

export interface PubAck {
  /** Of the message, wherever it is delivered: group, session, sequence. */
  readonly id: string
}

export type Result = NonNullable<OutcomeNotice['result']>

/** `isLate`: the command has failed at its deadline, and nobody waits for this any more. */
export type OnResult = (result: Result, isLate: boolean) => void

export type Item = PublishItem | CommandItem

export class PublishItem implements Outgoing {
  readonly command = undefined
  readonly topic: string
  message: Uint8Array | undefined
  readonly charge: number
  readonly deadlineMs: number
  readonly promise: Promise<PubAck>
  isOver = false
  ordinal = 0
  readonly #identity: Identity
  #resolve!: (ack: PubAck) => void
  #reject!: (error: MeshError) => void
  #unwatch: (() => void) | undefined

  constructor(identity: Identity, topic: string, message: Uint8Array, charge: number, deadlineMs: number) {
    this.#identity = identity
    this.topic = topic
    this.message = message
    this.charge = charge
    this.deadlineMs = deadlineMs
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  watch(signal: AbortSignal, onAbort: () => void): void {
    signal.addEventListener('abort', onAbort, { once: true })
    this.#unwatch = () => signal.removeEventListener('abort', onAbort)
  }

  judged(sequence: number, error: MeshError | undefined): void {
    if (this.isOver) return
    if (error !== undefined) return this.fail(error)
    this.isOver = true
    this.#unwatch?.()
    this.#resolve({ id: this.#identity.messageId(sequence) })
  }

  fail(error: MeshError): void {
    if (this.isOver) return
    this.isOver = true
    this.#unwatch?.()
    this.#reject(error)
  }
}

export class CommandItem implements Outgoing {
  readonly command: ControlCommand
  readonly topic = ''
  readonly message = undefined
  readonly charge: number
  readonly deadlineMs: number
  readonly promise: Promise<Result>
  isOver = false
  ordinal = 0
  #isJudged = false
  readonly #onResult: OnResult | undefined
  #resolve!: (result: Result) => void
  #reject!: (error: unknown) => void

  constructor(command: ControlCommand, charge: number, deadlineMs: number, onResult?: OnResult) {
    this.command = command
    this.charge = charge
    this.deadlineMs = deadlineMs
    this.#onResult = onResult
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  judged(_sequence: number, error: MeshError | undefined, result: Result = {}): void {
    if (this.#isJudged) return
    this.#isJudged = true
    if (error !== undefined) return this.fail(error)
    try {
      this.#onResult?.(result, this.isOver)
    } catch (thrown) {
      return this.#end(thrown)
    }
    this.isOver = true
    this.#resolve(result)
  }

  fail(error: MeshError): void {
    this.#end(error)
  }

  #end(error: unknown): void {
    this.isOver = true
    this.#reject(error)
  }
}
