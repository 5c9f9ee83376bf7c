/** Whether a topic matches a pattern: `*` is one word, `#` zero or more. */
export function topicMatches(pattern: string, topic: string): boolean {
  if (pattern === topic || pattern === '#') return true
  return wordsMatch(pattern.split('.'), 0, topic.split('.'), 0)
}

function wordsMatch(pattern: readonly string[], p: number, topic: readonly string[], t: number): boolean {
  for (; p < pattern.length; p++, t++) {
    if (pattern[p] === '#') {
      for (let rest = t; rest <= topic.length; rest++) if (wordsMatch(pattern, p + 1, topic, rest)) return true
      return false
    }
    if (t === topic.length || (pattern[p] !== '*' && pattern[p] !== topic[t])) return false
  }
  return t === topic.length
}
