/**
 * Which topics, patterns and queue names are allowed. Read by apply, hence total and free of locale.
 */
import { limits } from './limits.ts'

/** One word: no dot, wildcard, white space or control character. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
const word = /^[^.*#\s\u0000-\u001f\u007f]+$/u
const encoder = new TextEncoder()

/** Why this is not a topic, or undefined if it is one: dot-separated words, none empty, no wildcard. */
export function topicProblem(topic: string): string | undefined {
  return wordsProblem(topic, 'topic', (part) => word.test(part))
}

/** Why this is not a pattern, or undefined: a topic whose words may be `*` (one word) or `#` (zero or more). */
export function patternProblem(pattern: string): string | undefined {
  return wordsProblem(pattern, 'pattern', (part) => part === '*' || part === '#' || word.test(part))
}

/** Why this is not a queue name, or undefined. Same shape as a topic. */
export function queueNameProblem(name: string): string | undefined {
  return wordsProblem(name, 'queue name', (part) => word.test(part))
}

function wordsProblem(name: string, what: string, allowed: (part: string) => boolean): string | undefined {
  if (name === '') return `the ${what} is empty`
  if (name.length > limits.nameBytesMax || encoder.encode(name).length > limits.nameBytesMax) {
    return `the ${what} is longer than ${limits.nameBytesMax} bytes`
  }
  const parts = name.split('.')
  if (parts.length > limits.topicWordsMax) return `the ${what} has more than ${limits.topicWordsMax} words`
  for (const part of parts) {
    if (!allowed(part)) return `the ${what} '${name}' has the forbidden word '${part}'`
  }
  return undefined
}
