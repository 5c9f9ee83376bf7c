/**
 * What happened in a run: the last steps for a reader, and a hash over all of them that tells whether two runs were the same.
 *
 * Never: text before someone asks for it. A note is five values in a ring, since a run makes hundreds of thousands.
 */
import type { Message } from '../../raft/message.ts'

const linesKept = 1 << 10
const fieldsPerLine = 7

type Field = string | number

export class Trace {
  readonly #ring: Field[] = new Array(linesKept * fieldsPerLine).fill('')
  readonly #now: () => number
  readonly #print: ((line: string) => void) | undefined
  #lines = 0
  #state = 0x811c9dc5

  /** `print` gets every line at once, for a replay that wants to see it all. */
  constructor(now: () => number, print?: (line: string) => void) {
    this.#now = now
    this.#print = print
  }

  /** A hash over every note so far. */
  get hash(): string {
    return (this.#state >>> 0).toString(16).padStart(8, '0')
  }

  note(what: string, who: string, a: Field = '', b: Field = '', c: Field = '', d: Field = ''): void {
    const time = this.#now()
    const at = (this.#lines++ % linesKept) * fieldsPerLine
    const ring = this.#ring
    ring[at] = time
    ring[at + 1] = what
    ring[at + 2] = who
    ring[at + 3] = a
    ring[at + 4] = b
    ring[at + 5] = c
    ring[at + 6] = d
    this.#mix(time * 1e6)
    this.#mixField(what)
    this.#mixField(who)
    this.#mixField(a)
    this.#mixField(b)
    this.#mixField(c)
    this.#mixField(d)
    if (this.#print !== undefined) this.#print(this.#format(at))
  }

  message(what: string, message: Message): void {
    let index = 0
    let detail: Field = ''
    switch (message.type) {
      case 'appendRequest':
        index = message.prevIndex
        detail = message.entries.length
        break
      case 'appendResponse':
        index = message.index
        detail = message.success ? 'success' : 'refused'
        break
      case 'voteRequest':
        index = message.lastIndex
        detail = message.pre ? 'pre' : 'real'
        break
      case 'voteResponse':
        index = message.doubt
        detail = `${message.pre ? 'pre' : 'real'} ${message.granted ? 'granted' : 'refused'}`
        break
      case 'heartbeat':
        index = message.commit
        detail = message.round
        break
      case 'heartbeatResponse':
        index = message.round
        break
      case 'readRequest':
        detail = message.requestId
        break
      case 'readResponse':
        index = message.index
        detail = message.requestId
        break
    }
    this.note(what, message.from, `→ ${message.to} ${message.type}`, `term ${message.term}`, index, detail)
  }

  /** The last `count` lines, oldest first. */
  last(count: number): string[] {
    const from = Math.max(0, this.#lines - Math.min(count, linesKept))
    const result: string[] = []
    for (let line = from; line < this.#lines; line++) result.push(this.#format((line % linesKept) * fieldsPerLine))
    return result
  }

  #format(at: number): string {
    const [time, what, who, ...rest] = this.#ring.slice(at, at + fieldsPerLine)
    const detail = rest.filter((field) => field !== '').join(' ')
    return `${(time as number).toFixed(3).padStart(10)} ${String(what).padEnd(9)} ${String(who).padEnd(3)} ${detail}`
  }

  #mix(value: number): void {
    this.#state = Math.imul(this.#state ^ (value | 0), 0x01000193) ^ Math.floor(value / 0x1_0000_0000)
  }

  #mixField(field: Field): void {
    if (typeof field === 'number') {
      this.#mix(field)
      return
    }
    let state = this.#state
    for (let i = 0; i < field.length; i++) state = Math.imul(state ^ field.charCodeAt(i), 0x01000193)
    this.#state = state
  }
}
