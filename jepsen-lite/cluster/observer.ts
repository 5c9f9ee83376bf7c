/**
 * Looks at all nodes again and again, from start to stop: who leads, in which term, who is ready. So it knows what happened between two faults,
 * and how many elections there were.
 */
import { performance } from 'node:perf_hooks'
import type { Admin, NodeStatus } from './admin.ts'

/** Between two looks, milliseconds. */
const LOOK_MS = 200

/** An answer that takes longer is none. */
const ANSWER_MS = 500

export interface Watched {
  readonly id: string
  readonly admin: Admin
  readonly running: boolean
  readonly paused: boolean
}

/** The cluster at one moment, by its own word. */
export interface Sample {
  readonly leader: string | undefined
  /** The highest that anybody told. */
  readonly term: number
  readonly ready: readonly string[]
  readonly running: readonly string[]
  readonly paused: readonly string[]
}

/** What one node said when it was asked at `askedAtMs` (monotonic). */
export interface Word {
  readonly id: string
  readonly askedAtMs: number
  readonly isReady: boolean
  readonly status: NodeStatus | undefined
}

export class Observer {
  readonly #nodes: readonly Watched[]
  readonly #watchers = new Set<(sample: Sample) => void>()
  readonly #onWord: (word: Word) => void
  #firstTerm: number | undefined
  #term = 0
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(nodes: readonly Watched[], onWord: (word: Word) => void) {
    this.#nodes = nodes
    this.#onWord = onWord
  }

  /** Terms that were begun since the first look. */
  get elections(): number {
    return this.#term - (this.#firstTerm ?? this.#term)
  }

  start(): void {
    void this.#look()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  watch(callback: (sample: Sample) => void): () => void {
    this.#watchers.add(callback)
    return () => this.#watchers.delete(callback)
  }

  /** Asks anew. Undefined: those who answer follow nobody who runs. */
  async leader(): Promise<string | undefined> {
    return this.#leaderOf(await this.#ask())
  }

  async #look(): Promise<void> {
    const words = await this.#ask()
    if (this.#stopped) return
    for (const word of words) this.#onWord(word)
    const terms = words.flatMap(({ status }) => (status === undefined ? [] : [status.term]))
    this.#term = Math.max(this.#term, ...terms)
    if (terms.length > 0) this.#firstTerm ??= this.#term
    const idsOf = (nodes: readonly { readonly id: string }[]) => nodes.map(({ id }) => id)
    const sample: Sample = {
      leader: this.#leaderOf(words),
      term: this.#term,
      ready: idsOf(words.filter(({ isReady }) => isReady)),
      running: idsOf(this.#nodes.filter(({ running }) => running)),
      paused: idsOf(this.#nodes.filter(({ paused }) => paused)),
    }
    for (const watcher of this.#watchers) watcher(sample)
    this.#timer = setTimeout(() => void this.#look(), LOOK_MS)
  }

  /** Those who cannot answer are not asked: their sockets would queue up in front of them. */
  #ask(): Promise<Word[]> {
    const awake = this.#nodes.filter(({ running, paused }) => running && !paused)
    return Promise.all(
      awake.map(async ({ id, admin }) => {
        const askedAtMs = performance.now()
        const [isReady, status] = await Promise.all([admin.isReady(ANSWER_MS), admin.status(ANSWER_MS)])
        return { id, askedAtMs, isReady, status }
      }),
    )
  }

  #leaderOf(words: readonly Word[]): string | undefined {
    const followers = new Map<string, { count: number; term: number }>()
    for (const { status } of words) {
      if (status?.leader === undefined) continue
      const { count, term } = followers.get(status.leader) ?? { count: 0, term: 0 }
      followers.set(status.leader, { count: count + 1, term: Math.max(term, status.term) })
    }
    const ranked = [...followers].sort(([, a], [, b]) => b.count - a.count || b.term - a.term)
    return ranked.map(([id]) => id).find((id) => this.#nodes.some((node) => node.id === id && node.running))
  }
}
