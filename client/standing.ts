/**
 * What the cluster keeps for one session alone, a consumer or a responder: made when its user asks for it, and made again whenever the
 * session was lost, until it is over. What is refused after a loss may be for want of what was made before it, and is tried once more.
 */
import { MeshError } from '../wire/errors.ts'

export class Standing {
  readonly #makeOnce: () => Promise<void>
  /** Told when it cannot be made again. */
  readonly #onFailure: (error: MeshError) => void
  /** Sessions lost since the beginning. */
  #losses = 0
  #isMaking = false
  #isOver = false

  constructor(makeOnce: () => Promise<void>, onFailure: (error: MeshError) => void) {
    this.#makeOnce = makeOnce
    this.#onFailure = onFailure
  }

  /** Nobody wants it any more: what is made now is to be given up. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Rejects with what the cluster refused it for, or at the deadline. */
  make(): Promise<void> {
    return this.#makeUntilMade((error, isLost) => isLost && error.code !== 'Closed')
  }

  sessionLost(): void {
    this.#losses++
    if (this.#isMaking || this.#isOver) return
    this.#makeUntilMade((error, isLost) => isLost || error.retryable).catch((error: unknown) => {
      if (!this.#isOver) this.#onFailure(error as MeshError)
    })
  }

  end(): void {
    this.#isOver = true
  }

  /** `isWorthRetrying` hears whether a session was lost meanwhile. */
  async #makeUntilMade(isWorthRetrying: (error: MeshError, isLost: boolean) => boolean): Promise<void> {
    this.#isMaking = true
    try {
      for (;;) {
        const losses = this.#losses
        try {
          return await this.#makeOnce()
        } catch (error) {
          if (this.#isOver || !(error instanceof MeshError) || !isWorthRetrying(error, losses !== this.#losses)) {
            throw error
          }
        }
      }
    } finally {
      this.#isMaking = false
    }
  }
}
