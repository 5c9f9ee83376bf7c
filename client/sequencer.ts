/**
 * Gives publishes and control commands their sequences, in the order of the calls, and keeps each frame until every outcome
 * in it is known. What has been sent is bound to its sequence: it goes out again, unchanged, on each new attachment
 * until the cluster has judged it, whether or not somebody still waits for it (trap 48).
 *
 * Invariants:
 * 1. Frames cover consecutive sequences that end at `lastSequence`; every sequence up to `seen` has a known outcome.
 * 2. A sequence is given when its frame is first sent, never before: what was not sent can still be withdrawn.
 *
 * Never: deadlines.
 */
import { type ControlCommand, encodeControlFrame } from '../wire/control-frame.ts'
import { MeshError } from '../wire/errors.ts'
import { restampLogFrame } from '../wire/frame.ts'
import { PublishFrameBuilder } from '../wire/publish-frame.ts'
import type { OutcomeNotice } from '../wire/session-frames.ts'
import { Deque } from './deque.ts'
import { meshErrorOf } from './errors.ts'
import { GROUP, type Identity } from './identity.ts'

/** Bytes of frames without an outcome: what a socket that stands still may hold at most. */
const IN_FLIGHT_BYTES_MAX = 16 * 1024 * 1024

/** So many outcomes that the cluster keeps for this client are worth a frame that says they were seen. Far below its bound. */
const SEEN_WORTH_TELLING = 1024

/** Withdrawn items that may stay in the queue of the unsent. */
const WITHDRAWN_MAX = 1024

/** A publish or a control command on its way. */
export interface Outgoing {
  readonly command: ControlCommand | undefined
  readonly topic: string
  /** The message; given up once a frame holds it, or when the publish was withdrawn before it was sent. */
  message: Uint8Array | undefined
  /** What it counts against the client's buffer, bytes. */
  readonly charge: number
  readonly deadlineMs: number
  /** Nobody waits any more. */
  readonly isOver: boolean
  /** Its place among all items ever pushed. */
  ordinal: number
  /** Once or more; what counts is the first. Without `error` it was applied. */
  judged(sequence: number, error: MeshError | undefined, result: OutcomeNotice['result']): void
}

interface SentFrame {
  readonly first: number
  readonly items: readonly Outgoing[]
  readonly bytes: Uint8Array
  readonly isControl: boolean
  /** How many of the items have an outcome. */
  judged: number
}

export class Sequencer {
  readonly #identity: Identity
  readonly #inFlightMax: number
  readonly #unsent = new Deque<Outgoing>()
  /** Unsent items that are over and still in the queue, or were when they were counted. */
  #withdrawn = 0
  readonly #frames = new Deque<SentFrame>()
  #lastSequence = 0
  #inFlight = 0
  #inFlightBytes = 0
  #charged = 0
  /** A new attachment has not yet got the frames that an earlier one had. */
  #resend = false
  #pushed = 0
  /** Outcomes that the cluster keeps until a frame says that they were seen, ascending as far as they came once. */
  #kept: number[] = []
  readonly #barriers: { readonly ordinal: number; readonly resolve: () => void }[] = []

  constructor(identity: Identity, inFlightMax: number) {
    this.#identity = identity
    this.#inFlightMax = inFlightMax
  }

  /** Bytes of everything unsent or without an outcome. */
  get charged(): number {
    return this.#charged
  }

  get hasUnsent(): boolean {
    return this.#unsent.size > 0
  }

  /** Resolves when everything pushed so far has its outcome or was withdrawn. */
  barrier(): Promise<void> {
    return new Promise((resolve) => {
      this.#barriers.push({ ordinal: this.#pushed, resolve })
      this.#tellBarriers()
    })
  }

  /** The client knows every outcome up to it. */
  get seen(): number {
    const oldest = this.#frames.first
    return oldest === undefined ? this.#lastSequence : oldest.first - 1 + oldest.judged
  }

  /** `seen` for a frame that goes out now. */
  tellSeen(): number {
    const seen = this.seen
    if (this.#kept.length > 0) this.#kept = this.#kept.filter((sequence) => sequence > seen)
    return seen
  }

  /** The cluster keeps so much for this client that it may soon judge nothing more, and no frame is there to tell it. */
  get owesSeen(): boolean {
    return this.#kept.length >= SEEN_WORTH_TELLING && this.#kept[0]! <= this.seen
  }

  push(item: Outgoing): void {
    this.#charged += item.charge
    item.ordinal = ++this.#pushed
    this.#unsent.push(item)
  }

  /** Takes back an item that was not sent and is over. */
  withdraw(item: Outgoing): void {
    item.message = undefined
    this.#charged -= item.charge
    this.#withdrawn++
    // What is over is skipped when its turn comes, which may be never: it must not pile up in a long outage.
    if (this.#withdrawn >= WITHDRAWN_MAX || this.#withdrawn >= this.#unsent.size) {
      this.#unsent.keep((each) => !each.isOver)
      this.#withdrawn = 0
    }
    this.#tellBarriers()
  }

  /** Sends what there is room for. Only while attached. */
  flush(send: (frame: Uint8Array) => void): void {
    if (this.#resend) {
      this.#resend = false
      for (const { bytes } of this.#frames) send(restampLogFrame(bytes, this.#identity.epoch, this.tellSeen()))
    }
    while (this.#inFlight < this.#inFlightMax && this.#inFlightBytes < IN_FLIGHT_BYTES_MAX) {
      const item = this.#unsent.first
      if (item === undefined) return
      if (item.isOver) this.#unsent.shift()
      else this.#keep(item.command === undefined ? this.#publishFrame() : this.#controlFrame(item.command), send)
    }
  }

  /** Every publish up to `upTo` is judged, and the refusals among them have been told. */
  confirm(upTo: number): void {
    if (upTo > this.#lastSequence) throw new MeshError('Protocol', 'a confirm of what was never sent')
    for (const frame of this.#frames) {
      if (frame.first > upTo) break
      if (!frame.isControl) this.#judge(frame, upTo)
    }
    this.#trim()
  }

  outcome({ sequence, code, message, result }: OutcomeNotice): void {
    for (const frame of this.#frames) {
      const item = frame.items[sequence - frame.first]
      if (item === undefined) continue
      const error = code === undefined ? undefined : meshErrorOf(code, message, { outcome: 'not-applied' })
      if (code !== undefined || result !== undefined) this.#kept.push(sequence)
      item.judged(sequence, error, result)
      if (frame.isControl) this.#judge(frame, sequence)
      this.#trim()
      return
    }
  }

  /** A new attachment: everything up to `lastSequence` is judged, with these outcomes where it was not plain success. */
  attached(lastSequence: number, outcomes: readonly OutcomeNotice[]): void {
    if (lastSequence > this.#lastSequence)
      throw new MeshError('Protocol', 'the node knows sequences that were never sent')
    for (const notice of outcomes) this.outcome(notice)
    // Whatever was told on an earlier attachment may not have arrived: these are the ones that are kept.
    this.#kept = outcomes.map(({ sequence }) => sequence)
    for (const frame of this.#frames) if (frame.first <= lastSequence) this.#judge(frame, lastSequence)
    this.#trim()
    this.#resend = true
  }

  /** The session is gone, and nobody will ever tell what became of what was sent. The rest waits for the next session. */
  sessionLost(error: MeshError): void {
    const frames = [...this.#frames]
    this.#frames.clear()
    this.#kept = []
    this.#lastSequence = 0
    this.#inFlight = 0
    this.#inFlightBytes = 0
    for (const { first, items, judged } of frames) {
      for (let i = judged; i < items.length; i++) this.#giveUp(items[i]!, first + i, error)
    }
    this.#tellBarriers()
  }

  /** Sent and unsent, for whoever looks at deadlines. */
  *outstanding(): IterableIterator<{ readonly item: Outgoing; readonly isSent: boolean }> {
    for (const { items } of this.#frames) for (const item of items) yield { item, isSent: true }
    for (const item of this.#unsent) yield { item, isSent: false }
  }

  #giveUp(item: Outgoing, sequence: number, error: MeshError): void {
    this.#charged -= item.charge
    item.judged(sequence, error, undefined)
  }

  #publishFrame(): SentFrame {
    const builder = new PublishFrameBuilder()
    const items: Outgoing[] = []
    const room = this.#inFlightMax - this.#inFlight
    for (let item = this.#unsent.first; item !== undefined && items.length < room; item = this.#unsent.first) {
      if (!item.isOver) {
        if (item.command !== undefined || !builder.fits(item.topic, item.message!.length)) break
        builder.add(item.topic, item.message!)
        item.message = undefined
        items.push(item)
      }
      this.#unsent.shift()
    }
    const first = this.#lastSequence + 1
    const bytes = builder.finish(this.#stamp(first))
    return { first, items, bytes, isControl: false, judged: 0 }
  }

  #controlFrame(command: ControlCommand): SentFrame {
    const first = this.#lastSequence + 1
    const bytes = encodeControlFrame(this.#stamp(first), command)
    return { first, items: [this.#unsent.shift()!], bytes, isControl: true, judged: 0 }
  }

  #stamp(sequence: number) {
    const { session, epoch } = this.#identity
    return { group: GROUP, session, epoch, sequence, seen: this.tellSeen() }
  }

  #keep(frame: SentFrame, send: (frame: Uint8Array) => void): void {
    this.#lastSequence += frame.items.length
    this.#inFlight += frame.items.length
    this.#inFlightBytes += frame.bytes.length
    this.#frames.push(frame)
    send(frame.bytes)
  }

  #judge(frame: SentFrame, upTo: number): void {
    const { first, items } = frame
    const end = Math.min(items.length, upTo - first + 1)
    for (let i = frame.judged; i < end; i++) {
      const item = items[i]!
      this.#charged -= item.charge
      item.judged(first + i, undefined, undefined)
    }
    if (end <= frame.judged) return
    this.#inFlight -= end - frame.judged
    frame.judged = end
  }

  #trim(): void {
    for (let frame = this.#frames.first; frame?.judged === frame?.items.length; frame = this.#frames.first) {
      if (frame === undefined) break
      this.#inFlightBytes -= frame.bytes.length
      this.#frames.shift()
    }
    this.#tellBarriers()
  }

  #tellBarriers(): void {
    if (this.#barriers.length === 0) return
    const oldest = this.#frames.first?.items[0] ?? this.#oldestUnsent()
    const passed = oldest === undefined ? this.#pushed : oldest.ordinal - 1
    while (this.#barriers.length > 0 && this.#barriers[0]!.ordinal <= passed) this.#barriers.shift()!.resolve()
  }

  #oldestUnsent(): Outgoing | undefined {
    for (const item of this.#unsent) if (!item.isOver) return item
    return undefined
  }
}
