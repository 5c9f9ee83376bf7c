/**
 * How a node that stops takes leave of the others, so that no request or reply is on its way to it when its links close. In two
 * steps, each confirmed by every peer behind all that it had sent before:
 *
 * 1. No more requests: the sessions that were here are elsewhere. Once all have confirmed, all have also taken in what was handed over.
 * 2. No more replies: whoever has one for a client that was here sends it to where that client is now.
 *
 * A peer that does not answer in time is not waited for: what it sends then may be lost, as volatile messages may be.
 */
import type { Clock } from '../raft/index.ts'
import type { PartingStage, VolatileNote } from './peers/volatile-codec.ts'

export type PartingNote = Extract<VolatileNote, { type: 'parting' | 'partingSeen' }>

/** For the peers to confirm one step, milliseconds. */
const CONFIRM_MS = 500

export interface PartingOptions {
  readonly clock: Clock
  /** False: there is no way to the node. */
  readonly send: (node: string, note: PartingNote) => boolean
}

export class Parting {
  readonly #options: PartingOptions
  /** How far others have taken leave of this node. */
  readonly #others = new Map<string, PartingStage>()
  /** Who has yet to confirm this node's own step. */
  readonly #unconfirmed = new Set<string>()
  #own: PartingStage | 0 = 0
  #onConfirmed = () => {}

  constructor(options: PartingOptions) {
    this.#options = options
  }

  /** How far the node has taken leave. */
  stageOf(node: string): PartingStage | 0 {
    return this.#others.get(node) ?? 0
  }

  /** Whether anybody is taking leave: mostly nobody is. */
  get isAnyone(): boolean {
    return this.#others.size > 0
  }

  /** Takes leave of these nodes. Never rejects. */
  async leave(nodes: readonly string[]): Promise<void> {
    await this.#tell(nodes, 1)
    await this.#tell(nodes, 2)
  }

  /** Another node's note. `settle` is called before it is confirmed: all that is meant for the node has to leave before. */
  receive(from: string, { type, stage }: PartingNote, settle: () => void): void {
    if (type === 'partingSeen') {
      if (stage === this.#own) this.#confirmed(from)
      return
    }
    this.#others.set(from, stage)
    settle()
    this.#options.send(from, { type: 'partingSeen', stage })
  }

  /** No link to the node is left: if it comes back it is another life of it. */
  lost(node: string): void {
    this.#others.delete(node)
    this.#confirmed(node)
  }

  #tell(nodes: readonly string[], stage: PartingStage): Promise<void> {
    this.#own = stage
    return new Promise((resolve) => {
      const cancel = this.#options.clock.setTimer(CONFIRM_MS, () => this.#onConfirmed())
      this.#onConfirmed = () => {
        cancel()
        this.#unconfirmed.clear()
        this.#onConfirmed = () => {}
        resolve()
      }
      for (const node of nodes) this.#unconfirmed.add(node)
      for (const node of nodes) if (!this.#options.send(node, { type: 'parting', stage })) this.#confirmed(node)
      if (nodes.length === 0) this.#onConfirmed()
    })
  }

  #confirmed(node: string): void {
    if (this.#unconfirmed.delete(node) && this.#unconfirmed.size === 0) this.#onConfirmed()
  }
}
