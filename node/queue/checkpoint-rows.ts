/**
 * What a checkpoint is written from: rows that were captured at once and are encoded one by one, when somebody has the time. A
 * capture is numbers in a typed array, or a share of what the machine itself keeps and copies before it changes it.
 *
 * Whatever refers to log entries adds them to the checkpoint's references on the way.
 */
import type { OutcomeNotice } from '../../wire/session-frames.ts'
import { type ChunkWriter, Section } from './checkpoint-format.ts'
import type { EntrySet } from './entry-set.ts'
import { InvariantError } from './invariant.ts'
import type { MessageHeap } from './message-heap.ts'
import type { OpenDeliveries } from './open-deliveries.ts'
import type { CapturedMessages } from './ready-messages.ts'

/** Rows of one section that can be read by themselves. */
export interface Rows {
  readonly section: Section
  readonly isDone: boolean
  /** Writes what stands before the rows of each piece, and forgets the row before. */
  begin(out: ChunkWriter): void
  /** Writes the next row. There must be one. */
  write(out: ChunkWriter): void
}

/** What rows cost beside their bytes, in units of the cheapest: measured, since it bounds the time that a chunk takes. */
const TABLE_WORK = 4
const OPEN_WORK = 4
const HEAP_WORK = 12
const READY_WORK = 1

/** A section of plain rows: a text, if the section has one, and a fixed number of numbers. */
export class TableRows implements Rows {
  readonly section: Section
  readonly #width: number
  readonly #texts: string[] = []
  #numbers: Float64Array
  #filled = 0
  #row = 0
  #at = 0

  /** `rows` is how many are to be expected. */
  constructor(section: Section, width: number, rows = 0) {
    this.section = section
    this.#width = width
    this.#numbers = new Float64Array(width * Math.max(8, rows))
  }

  get isDone(): boolean {
    return this.#at === this.#filled
  }

  /** Begins a row; its numbers follow, each by `put`. Either every row of a section has a text or none. */
  row(text?: string): void {
    if (text !== undefined) this.#texts.push(text)
    if (this.#filled + this.#width <= this.#numbers.length) return
    const numbers = new Float64Array(2 * this.#numbers.length)
    numbers.set(this.#numbers)
    this.#numbers = numbers
  }

  put(value: number): void {
    this.#numbers[this.#filled++] = value
  }

  begin(): void {}

  write(out: ChunkWriter): void {
    const text = this.#texts[this.#row++]
    if (text !== undefined) out.text(text)
    const end = this.#at + this.#width
    while (this.#at < end) out.number(this.#numbers[this.#at++]!)
    out.count(TABLE_WORK)
  }
}

/** The outcomes that one session keeps. They are values that nobody changes, so the capture holds them as they are. */
export class OutcomeRows implements Rows {
  readonly section = Section.outcomes
  readonly #session: number
  readonly #outcomes: readonly OutcomeNotice[]
  #row = 0

  constructor(session: number, outcomes: readonly OutcomeNotice[]) {
    this.#session = session
    this.#outcomes = outcomes
  }

  get isDone(): boolean {
    return this.#row === this.#outcomes.length
  }

  begin(out: ChunkWriter): void {
    out.number(this.#session)
  }

  write(out: ChunkWriter): void {
    const { sequence, code = '', message = '', result = {} } = this.#outcomes[this.#row++]!
    out.number(sequence)
    out.text(code)
    out.text(message)
    const fields = Object.entries(result)
    out.number(fields.length)
    for (const [name, value] of fields) {
      if (typeof value !== 'number') throw new InvariantError(`the result '${name}' is no number`)
      out.text(name)
      out.number(value)
    }
    out.count(TABLE_WORK)
  }
}

/** The open deliveries of one consumer, in order of their numbers. */
export class OpenRows implements Rows {
  readonly section = Section.open
  readonly #consumer: number
  readonly #open: OpenDeliveries
  readonly #references: EntrySet
  #row: number
  #delivery = 0
  #index = 0
  #deadlineMs = 0

  constructor(consumer: number, open: OpenDeliveries, references: EntrySet) {
    this.#consumer = consumer
    this.#open = open
    this.#references = references
    this.#row = open.startRow
  }

  get isDone(): boolean {
    return this.#row === this.#open.endRow
  }

  begin(out: ChunkWriter): void {
    out.number(this.#consumer)
    this.#delivery = 0
    this.#index = 0
    this.#deadlineMs = 0
  }

  write(out: ChunkWriter): void {
    const open = this.#open
    const row = this.#row
    const delivery = open.deliveryAt(row)
    const index = open.indexAt(row)
    const deadlineMs = open.deadlineAt(row)
    out.number(delivery - this.#delivery)
    out.signed(index - this.#index)
    out.number(open.positionAt(row))
    // Deliveries of one entry have one deadline: it is written where it changes.
    const isSame = deadlineMs === this.#deadlineMs
    out.number(2 * open.attemptAt(row) + (isSame ? 0 : 1))
    if (!isSame) out.number(deadlineMs)
    out.count(OPEN_WORK)
    this.#references.add(index)
    this.#delivery = delivery
    this.#index = index
    this.#deadlineMs = deadlineMs
    do this.#row++
    while (this.#row < open.endRow && !open.isOpen(this.#row))
  }
}

/** The messages of a queue that came back, in their order. Empties the heap, which is a copy. */
export class HeapRows implements Rows {
  readonly section: Section
  readonly #queue: number
  readonly #messages: MessageHeap
  readonly #references: EntrySet
  #index = 0

  constructor(section: Section, queue: number, messages: MessageHeap, references: EntrySet) {
    this.section = section
    this.#queue = queue
    this.#messages = messages
    this.#references = references
  }

  get isDone(): boolean {
    return this.#messages.length === 0
  }

  begin(out: ChunkWriter): void {
    out.number(this.#queue)
    this.#index = 0
  }

  write(out: ChunkWriter): void {
    const { dueMs, index, position, attempts } = this.#messages
    out.number(dueMs)
    out.signed(index - this.#index)
    out.number(position)
    out.number(attempts)
    out.count(HEAP_WORK)
    this.#references.add(index)
    this.#index = index
    this.#messages.shift()
  }
}

/** The messages of a queue that nobody got yet: runs, each as far behind the one before as it is in the log. */
export class ReadyRows implements Rows {
  readonly section = Section.ready
  readonly #queue: number
  readonly #messages: CapturedMessages
  readonly #references: EntrySet
  #index = 0

  constructor(queue: number, messages: CapturedMessages, references: EntrySet) {
    this.#queue = queue
    this.#messages = messages
    this.#references = references
  }

  get isDone(): boolean {
    return this.#messages.left === 0
  }

  begin(out: ChunkWriter): void {
    out.number(this.#queue)
    this.#index = 0
  }

  write(out: ChunkWriter): void {
    const { index, position, count } = this.#messages
    out.number(index - this.#index)
    out.number(position)
    out.number(count)
    out.count(READY_WORK)
    this.#references.add(index)
    this.#index = index
    this.#messages.shift()
  }
}
