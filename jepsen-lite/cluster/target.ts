/**
 * The port that proxies lead to, and whether anybody listens there. Looked at by dialing it: often while nobody does, and whenever a socket to
 * it ends. All proxies of one node share one target, so that they agree.
 */
import { connect } from 'node:net'

/** Between two looks while nobody listens, milliseconds. */
const LOOK_MS = 20

export class Target {
  readonly port: number
  #up = false
  #closed = false
  #look: Promise<boolean> | undefined
  #timer: NodeJS.Timeout | undefined
  readonly #listeners = new Set<() => void>()

  constructor(port: number) {
    this.port = port
    void this.check()
  }

  /** As far as it is known. A port that hangs is up: it does not refuse. */
  get up(): boolean {
    return this.#up
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  /** Looks now. Those who ask while a look is under way share the next one: theirs must have begun after they asked. */
  async check(): Promise<boolean> {
    await this.#look
    this.#look ??= this.#dial().then((up) => {
      this.#look = undefined
      return this.#learn(up)
    })
    return this.#look
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #learn(up: boolean): boolean {
    clearTimeout(this.#timer)
    if (!up && !this.#closed) this.#timer = setTimeout(() => void this.check(), LOOK_MS)
    if (up !== this.#up) {
      this.#up = up
      for (const listener of this.#listeners) listener()
    }
    return up
  }

  #dial(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: this.port })
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      // Only a refusal says that nobody listens.
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED' ? false : this.#up))
    })
  }
}
