/**
 * What a cluster does with sequenced publishes, in a few lines: applies each session's sequences once and in order, keeps
 * refusals until they are seen, and forgets nothing when sockets break. Refuses every body that is divisible by seven.
 */
import type { OutcomeNotice } from '../../../wire/session-frames.ts'
import type { ReceivedPublish, ScriptedNode } from './scripted-node.ts'

interface SessionBook {
  lastSequence: number
  readonly applied: { readonly sequence: number; readonly body: number }[]
  outcomes: OutcomeNotice[]
  told: number
}

export class Judge {
  readonly #node: ScriptedNode
  readonly #books = new Map<number, SessionBook>()
  #session = 0
  #epoch = 0
  /** Frames of the node that were looked at. */
  #read = 0

  constructor(node: ScriptedNode) {
    this.#node = node
    Object.assign(node.auto, { open: false, welcome: false })
  }

  /** Every body that was applied, with the id that its publisher is to be told. */
  get applied(): { readonly id: string; readonly body: number }[] {
    return [...this.#books].flatMap(([session, { applied }]) =>
      applied.map(({ sequence, body }) => ({ id: `0-${session}-${sequence}`, body })),
    )
  }

  /** Applies up to `frames` of those that arrived. Throws on what a client must never send. */
  apply(frames: number): void {
    for (let i = 0; i < frames; i++) {
      const frame = this.#node.publishes[this.#read]
      if (frame === undefined) return
      this.#read++
      if (frame.epoch === this.#epoch) this.#applyFrame(frame)
    }
  }

  /** Tells the client what was applied since it was told last. */
  tell(): void {
    const book = this.#books.get(this.#session)
    if (book === undefined || !this.#node.socket.isOpen) return
    for (const outcome of book.outcomes) if (outcome.sequence > book.told) this.#node.socket.outcome(outcome)
    if (book.lastSequence > book.told) this.#node.socket.confirm(book.lastSequence)
    book.told = book.lastSequence
  }

  /** The socket breaks; of what had arrived `survivors` frames are applied nevertheless. */
  drop(survivors: number): void {
    this.apply(survivors)
    this.#read = this.#node.publishes.length
    if (!this.#node.socket.isOver) this.#node.socket.break('ECONNRESET')
  }

  /** Lets the client in, if it knocks. `isLost`: its session is not known any more. */
  greet(isLost: boolean): void {
    const { socket } = this.#node
    if (socket.isOver || socket.isOpen) return
    socket.open()
    const { session } = this.#node.hellos.at(-1)!
    if (session !== undefined && isLost) return socket.fault('SessionLost')
    this.#session = session ?? this.#session + 4096
    let book = this.#books.get(this.#session)
    if (book === undefined) {
      book = { lastSequence: 0, applied: [], outcomes: [], told: 0 }
      this.#books.set(this.#session, book)
    }
    book.told = book.lastSequence
    const { lastSequence, outcomes } = book
    this.#epoch = this.#node.epoch + 1
    socket.welcome({ session: this.#session, lastSequence, outcomes })
  }

  #applyFrame({ session, sequence, seen, bodies }: ReceivedPublish): void {
    const book = this.#books.get(session)
    if (book === undefined || session !== this.#session) throw new Error(`a frame for session ${session}`)
    if (sequence > book.lastSequence + 1) throw new Error(`a gap: ${sequence} after ${book.lastSequence}`)
    if (seen > book.told) throw new Error(`seen ${seen}, told ${book.told}`)
    book.outcomes = book.outcomes.filter((outcome) => outcome.sequence > seen)
    bodies.forEach((body, i) => {
      if (sequence + i <= book.lastSequence) return
      book.lastSequence = sequence + i
      if ((body as number) % 7 === 0) book.outcomes.push({ sequence: sequence + i, code: 'LimitExceeded' })
      else book.applied.push({ sequence: sequence + i, body: body as number })
    })
  }
}
