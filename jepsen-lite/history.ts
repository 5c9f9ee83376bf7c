/**
 * The history of a run: every operation as its client saw it, and every fault, in the order of time. The words are Jepsen's: an operation
 * is *invoked*, and completes as *ok* (it happened), *fail* (it did not) or *info* (nobody knows).
 *
 * Invariants: a process has one operation open at a time; one whose operation ended as info is retired, and another number goes on in its
 * place. A timeout is info, never fail.
 */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

export type EventType = 'invoke' | 'ok' | 'fail' | 'info'

/** Faults are recorded under this process, as info. */
export const NEMESIS = 'nemesis'

export interface Event {
  /** Position in the history, from 0. */
  readonly index: number
  /** Nanoseconds since the run began, of the runner's monotonic clock: taken before an invocation is sent and after its completion came. */
  readonly time: number
  /**
   * Of what came unasked: when its worker told it, nanoseconds since the run began too (the clock is one for all processes of a machine). It is
   * recorded later, and what two workers tell may be recorded in another order than it happened: between consumers this is the order.
   */
  readonly at?: number
  /** A number; or NEMESIS; or a consumer's name, whose events (`ok` without an invocation) tell what it was handed. */
  readonly process: number | string
  readonly type: EventType
  /** What the operation is called: `publish`, `receive`, … */
  readonly f: string
  readonly value: Json
  /** Of fail and info: the error's code and message. */
  readonly error?: string
}

/** What a client is asked to do. */
export interface Operation {
  readonly f: string
  readonly value: Json
}

/** How it ended. */
export interface Completion {
  readonly type: 'ok' | 'fail' | 'info'
  /** In place of the invocation's value, if the operation has a result. */
  readonly value?: Json
  readonly error?: string
}
