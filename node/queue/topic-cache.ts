/**
 * What topics lead to, remembered: a cache, not state, so that no result may depend on what it holds. It forgets everything at once
 * when it is full, in topics or in what they lead to together.
 */
import { ROUTE_ITEMS_CACHED_MAX, ROUTES_CACHED_MAX } from './constants.ts'

export class TopicCache<T> {
  readonly #values = new Map<string, T>()
  #items = 0

  /** Topics remembered. */
  get size(): number {
    return this.#values.size
  }

  get(topic: string): T | undefined {
    return this.#values.get(topic)
  }

  /** `items` is how many queues or listeners the value holds; all that there may be are fewer than the bound. */
  set(topic: string, value: T, items: number): void {
    if (this.#values.size >= ROUTES_CACHED_MAX || this.#items + items > ROUTE_ITEMS_CACHED_MAX) this.clear()
    this.#values.set(topic, value)
    this.#items += items
  }

  clear(): void {
    if (this.#values.size === 0) return
    this.#values.clear()
    this.#items = 0
  }
}
