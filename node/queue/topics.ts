/**
 * Patterns and what is bound to them, as a trie of words. A topic is matched word by word with the set of trie nodes that are
 * reachable so far, each at most once per word: the work depends on the patterns that share a prefix with the topic, never on the
 * others, and no pattern full of `#` can make it explode.
 *
 * Whether names are allowed is not judged here (wire/names.ts).
 */
interface TrieNode<T> {
  readonly parent: TrieNode<T> | undefined
  /** The word that leads here; `#` makes it a node that any further word leaves standing. */
  readonly word: string
  readonly children: Map<string, TrieNode<T>>
  readonly values: Set<T>
  /** The last step of a match that reached this node. */
  reachedIn: number
}

function trieNode<T>(parent: TrieNode<T> | undefined, word: string): TrieNode<T> {
  return { parent, word, children: new Map(), values: new Set(), reachedIn: 0 }
}

export class TopicTrie<T> {
  readonly #root = trieNode<T>(undefined, '')
  /** Numbers the steps of all matches, to reach no node twice in one step. */
  #step = 0
  #visits = 0
  #size = 0

  /** Values bound, each once for each of its patterns. */
  get size(): number {
    return this.#size
  }

  /** Trie nodes that all matches so far have reached: what a match costs beside its result. */
  get visits(): number {
    return this.#visits
  }

  /** Without effect when the value is bound to the pattern already. */
  add(pattern: string, value: T): void {
    let node = this.#root
    for (const word of pattern.split('.')) {
      let child = node.children.get(word)
      if (child === undefined) {
        child = trieNode(node, word)
        node.children.set(word, child)
      }
      node = child
    }
    if (node.values.has(value)) return
    node.values.add(value)
    this.#size++
  }

  /** Without effect when the value is not bound to the pattern. */
  remove(pattern: string, value: T): void {
    let node: TrieNode<T> | undefined = this.#root
    for (const word of pattern.split('.')) {
      node = node.children.get(word)
      if (node === undefined) return
    }
    if (!node.values.delete(value)) return
    this.#size--
    while (node.parent !== undefined && node.values.size === 0 && node.children.size === 0) {
      node.parent.children.delete(node.word)
      node = node.parent
    }
  }

  /** The distinct values whose patterns match the topic, in no particular order. */
  match(topic: string): Set<T> {
    let reached: TrieNode<T>[] = []
    this.#step++
    this.#reach(this.#root, reached)
    for (const word of topic.split('.')) {
      const next: TrieNode<T>[] = []
      this.#step++
      for (const node of reached) {
        if (node.word === '#') this.#reach(node, next)
        this.#reach(node.children.get(word), next)
        this.#reach(node.children.get('*'), next)
      }
      reached = next
    }
    const values = new Set<T>()
    for (const node of reached) for (const value of node.values) values.add(value)
    return values
  }

  /** Adds a node, and the `#` behind it, which may stand for no word at all. */
  #reach(from: TrieNode<T> | undefined, reached: TrieNode<T>[]): void {
    for (let node = from; node !== undefined && node.reachedIn !== this.#step; node = node.children.get('#')) {
      node.reachedIn = this.#step
      this.#visits++
      reached.push(node)
    }
  }
}
