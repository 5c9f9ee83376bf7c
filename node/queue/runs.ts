/**
 * Sets of delivery numbers as sorted, disjoint runs [first, count]: what a client still holds when it comes back.
 */
export type Run = readonly [first: number, count: number]
export type Runs = readonly Run[]

/** Sorts and joins runs of integers ≥ 1 that may overlap or be empty. */
export function normalizeRuns(runs: Runs): Runs {
  const joined: [number, number][] = []
  for (const [first, count] of [...runs].sort((a, b) => a[0] - b[0])) {
    const last = joined.at(-1)
    if (count === 0) continue
    if (last === undefined || first > last[0] + last[1]) joined.push([first, count])
    else last[1] = Math.max(last[1], first + count - last[0])
  }
  return joined
}

/** What is in both of two normalized sets. */
export function intersectRuns(a: Runs, b: Runs): Runs {
  const both: Run[] = []
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const endA = a[i]![0] + a[i]![1]
    const endB = b[j]![0] + b[j]![1]
    const first = Math.max(a[i]![0], b[j]![0])
    const count = Math.min(endA, endB) - first
    if (count > 0) both.push([first, count])
    if (endA < endB) i++
    else j++
  }
  return both
}

/** Whether a normalized set holds the number. */
export function holdsRun(runs: Runs, number: number): boolean {
  let low = 0
  let high = runs.length
  while (low < high) {
    const middle = (low + high) >> 1
    const [first, count] = runs[middle]!
    if (number < first) high = middle
    else if (number >= first + count) low = middle + 1
    else return true
  }
  return false
}
