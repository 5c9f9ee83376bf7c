/** Checks topics, and remembers which were checked: services publish to few topics, often. */
import { MeshError } from '../wire/errors.ts'
import { topicProblem } from '../wire/names.ts'

const KNOWN_TOPICS_MAX = 1024

export class KnownTopics {
  readonly #known = new Set<string>()

  /** Throws MeshError Validation. */
  check(topic: string): void {
    if (this.#known.has(topic)) return
    const problem = typeof topic === 'string' ? topicProblem(topic) : 'a topic must be a string'
    if (problem !== undefined) throw new MeshError('Validation', problem)
    if (this.#known.size >= KNOWN_TOPICS_MAX) this.#known.clear()
    this.#known.add(topic)
  }
}
