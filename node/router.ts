/**
 * The way of a log frame from this node to whoever leads. Each frame is held until its effect is seen in this node's own
 * machine; it is sent again, in order, whenever the former sending may have been lost: on another leader or term, on a
 * new path to the leader, on a gap. Sending twice is harmless, since the machine judges sequences, tags, nonces and epochs.
 *
 * Standing still is no proof of a loss: the cluster may be slow, and everything once more would make it slower still. So only the
 * ends of what stands still are sent again, more and more seldom. Frames reach the log in the order of their sending; if what
 * lies between the ends was lost, the newer end tells: as a gap, or by being settled before older settles are.
 *
 * Bounded by `pendingBytesMax`: beyond it `full` tells the gateway to stop reading from its clients.
 */
import type { Attachment, Effect } from './queue/index.ts'
import { Stall } from './stall.ts'

export interface RouterOptions {
  readonly pendingBytesMax: number
  /** Sends one frame to the leader, to this node's proposer or over the mesh, if there is a way now. */
  readonly send: (leader: string, frame: Uint8Array) => void
  /** Pending bytes went above the bound (true) or fell to half of it (false). */
  readonly onFull: (full: boolean) => void
}

interface PendingFrame {
  readonly frame: Uint8Array
  /** Sequenced frames: the last sequence. Settles: the tag. */
  readonly last: number
}

/** What one attached session has under way. */
interface SessionFrames {
  readonly epoch: number
  readonly sequenced: PendingFrame[]
  /** Settle frames by tag, in the order in which they were sent. */
  readonly settles: Map<number, Uint8Array>
  /** Gaps up to this sequence were answered by sending again: every frame behind a lost one reports the same gap. */
  resentFrom: number
  readonly sequencedStall: Stall
  readonly settlesStall: Stall
}

interface PendingCommand {
  readonly frame: Uint8Array
  readonly stall: Stall
}

export class Router {
  readonly #options: RouterOptions
  readonly #sessions = new Map<number, SessionFrames>()
  /** Node commands by what tells that they took effect: `nonce N`, `detach SESSION EPOCH`, `started`. */
  readonly #commands = new Map<string, PendingCommand>()
  #leader: string | undefined
  #bytes = 0
  #full = false

  constructor(options: RouterOptions) {
    this.#options = options
  }

  get pendingBytes(): number {
    return this.#bytes
  }

  /** Another leader, another term, or a new path to the same one: everything pending is sent (again). */
  lead(leader: string | undefined): void {
    this.#leader = leader
    if (leader === undefined) return
    for (const { frame, stall } of this.#commands.values()) {
      stall.reset()
      this.#send(frame)
    }
    for (const session of this.#sessions.values()) {
      session.sequencedStall.reset()
      session.settlesStall.reset()
      this.#resend(session)
    }
  }

  /** To be called now and then: sends the ends of what has stood still again. */
  resendStalled(): void {
    if (this.#leader === undefined) return
    for (const { frame, stall } of this.#commands.values()) if (stall.isDue(frame)) this.#send(frame)
    for (const session of this.#sessions.values()) {
      const { sequenced, settles } = session
      if (session.sequencedStall.isDue(sequenced[0]?.frame)) {
        // Whatever was sent to answer a gap may be lost as well.
        session.resentFrom = 0
        this.#sendEnds(sequenced[0]!.frame, sequenced[sequenced.length - 1]!.frame)
      }
      const oldest = settles.values().next().value
      if (oldest !== undefined && session.settlesStall.isDue(oldest)) {
        let newest = oldest
        for (const frame of settles.values()) newest = frame
        this.#sendEnds(oldest, newest)
      }
    }
  }

  /** A session attached here: its frames may come. */
  open(session: number, epoch: number): void {
    this.close(session)
    const stalls = { sequencedStall: new Stall(), settlesStall: new Stall() }
    this.#sessions.set(session, { epoch, sequenced: [], settles: new Map(), resentFrom: 0, ...stalls })
  }

  /** The session is attached elsewhere or nowhere: what it has pending would be refused. */
  close(session: number): void {
    const frames = this.#sessions.get(session)
    if (frames === undefined) return
    this.#sessions.delete(session)
    let bytes = 0
    for (const { frame } of frames.sequenced) bytes += frame.length
    for (const frame of frames.settles.values()) bytes += frame.length
    this.#account(-bytes)
  }

  /** A publish or control frame whose last sequence is `last`. */
  submitSequenced(session: number, last: number, frame: Uint8Array): void {
    const frames = this.#sessions.get(session)
    if (frames === undefined) return
    frames.sequenced.push({ frame, last })
    this.#account(frame.length)
    this.#send(frame)
  }

  submitSettle(session: number, tag: number, frame: Uint8Array): void {
    const settles = this.#sessions.get(session)?.settles
    if (settles === undefined) return
    const former = settles.get(tag)
    settles.delete(tag)
    settles.set(tag, frame)
    this.#account(frame.length - (former?.length ?? 0))
    this.#send(frame)
  }

  /** A node command, held under `key` until `done(key)`. */
  submitCommand(key: string, frame: Uint8Array): void {
    this.#commands.set(key, { frame, stall: new Stall() })
    this.#send(frame)
  }

  done(key: string): void {
    this.#commands.delete(key)
  }

  /** Lets go of what an applied effect answers. Effects of other attachments than the one open here are ignored. */
  settleEffect(effect: Effect): void {
    switch (effect.type) {
      case 'confirm':
        return this.#applied(effect.to, effect.upTo)
      case 'outcome':
        return this.#applied(effect.to, effect.outcome.sequence)
      case 'settled': {
        const frames = this.#of(effect.to)
        if (frames !== undefined) this.#settled(frames.settles, effect.notice.tag)
        return
      }
      case 'resumed': {
        const frames = this.#of(effect.to)
        this.#applied(effect.to, effect.lastSequence)
        if (frames !== undefined) this.#resend(frames)
        return
      }
      case 'gap': {
        const frames = this.#of(effect.to)
        if (frames === undefined || effect.expected <= frames.resentFrom) return
        frames.resentFrom = effect.expected
        return this.#resend(frames)
      }
    }
  }

  #of(to: Attachment): SessionFrames | undefined {
    const frames = this.#sessions.get(to.session)
    return frames?.epoch === to.epoch ? frames : undefined
  }

  #applied(to: Attachment, upTo: number): void {
    const sequenced = this.#of(to)?.sequenced
    if (sequenced === undefined) return
    let count = 0
    let bytes = 0
    while (count < sequenced.length && sequenced[count]!.last <= upTo) bytes += sequenced[count++]!.frame.length
    if (count === 0) return
    sequenced.splice(0, count)
    this.#account(-bytes)
  }

  #settled(settles: Map<number, Uint8Array>, tag: number): void {
    const frame = settles.get(tag)
    if (frame === undefined) return
    const overtaken: [number, Uint8Array][] = []
    for (const older of settles) {
      if (older[0] === tag) break
      overtaken.push(older)
    }
    settles.delete(tag)
    this.#account(-frame.length)
    // They were sent before it and are not in the log before it: lost. From now on they count as sent after all others.
    for (const [lost, bytes] of overtaken) {
      settles.delete(lost)
      settles.set(lost, bytes)
      this.#send(bytes)
    }
  }

  #sendEnds(oldest: Uint8Array, newest: Uint8Array): void {
    this.#send(oldest)
    if (newest !== oldest) this.#send(newest)
  }

  #resend(session: SessionFrames): void {
    for (const { frame } of session.sequenced) this.#send(frame)
    for (const frame of session.settles.values()) this.#send(frame)
  }

  #send(frame: Uint8Array): void {
    if (this.#leader !== undefined) this.#options.send(this.#leader, frame)
  }

  #account(bytes: number): void {
    this.#bytes += bytes
    const full = this.#full
      ? this.#bytes > this.#options.pendingBytesMax / 2
      : this.#bytes > this.#options.pendingBytesMax
    if (full === this.#full) return
    this.#full = full
    this.#options.onFull(full)
  }
}
