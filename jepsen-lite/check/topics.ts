/** Which topics a pattern matches, as docs/PROTOCOL.md says it: `*` is one word, `#` any number of words. Written anew: a judge does not ask the accused. */
export function matches(pattern: string, topic: string): boolean {
  return matchesFrom(pattern.split('.'), 0, topic.split('.'), 0)
}

function matchesFrom(pattern: readonly string[], p: number, topic: readonly string[], t: number): boolean {
  if (p === pattern.length) return t === topic.length
  if (pattern[p] === '#') {
    for (let skip = t; skip <= topic.length; skip++) if (matchesFrom(pattern, p + 1, topic, skip)) return true
    return false
  }
  if (t === topic.length) return false
  return (pattern[p] === '*' || pattern[p] === topic[t]) && matchesFrom(pattern, p + 1, topic, t + 1)
}
