/** Handlers that finish when the test says so. */
import type { Message } from '../../client/index.ts'

export class Held {
  readonly messages: Message[] = []
  readonly #finishes: ((error?: unknown) => void)[] = []

  readonly handler = (message: Message): Promise<void> =>
    new Promise((resolve, reject) => {
      this.messages.push(message)
      this.#finishes.push((error) => (error === undefined ? resolve() : reject(error)))
    })

  get bodies(): unknown[] {
    return this.messages.map(({ body }) => body)
  }

  /** Body and attempt of each. */
  get told(): string[] {
    return this.messages.map(({ body, attempt }) => `${body} ${attempt}`)
  }

  finish(i: number, error?: unknown): void {
    this.#finishes[i]!(error)
  }
}
