/**
 * Which of many points are drawn. A picture has fewer dots than a long run has operations: of the points that fall on one dot one is kept,
 * and the slowest of each column, and each that must be seen (an anomaly's). What did not succeed is thinned apart from what did, so
 * that a few failures do not vanish in a crowd of successes.
 */

export interface Point {
  readonly x: number
  readonly y: number
  /** Never left out. */
  readonly must: boolean
}

/** Sizes of a dot that are tried one after the other until the points fit, in units of the picture. */
const DOTS: readonly (readonly [width: number, height: number])[] = [
  [0.5, 0.5],
  [1, 1],
  [2, 2],
  [3, 4],
  [5, 6],
  [8, 10],
]

/**
 * At most about `most` of the points, in their order. With smaller `y` further up, the uppermost of each column is always among them. Beyond
 * `most` are only those that must be drawn, and one for each column.
 */
export function thin<P extends Point>(points: readonly P[], most: number): P[] {
  if (points.length <= most) return [...points]
  let kept: P[] = []
  for (const [width, height] of DOTS) {
    kept = onePerDot(points, width, height)
    if (kept.length <= most) return kept
  }
  return topPerColumn(points, 1)
}

function onePerDot<P extends Point>(points: readonly P[], width: number, height: number): P[] {
  const always = new Set(topPerColumn(points, 1))
  const taken = new Set<number>()
  return points.filter((point) => {
    const dot = Math.floor(point.x / width) * 65_536 + Math.floor(point.y / height)
    if (taken.has(dot) && !always.has(point)) return false
    taken.add(dot)
    return true
  })
}

/** And each that must be seen. */
function topPerColumn<P extends Point>(points: readonly P[], width: number): P[] {
  const tops = new Map<number, P>()
  for (const point of points) {
    const column = Math.floor(point.x / width)
    const top = tops.get(column)
    if (top === undefined || point.y < top.y) tops.set(column, point)
  }
  const chosen = new Set(tops.values())
  return points.filter((point) => point.must || chosen.has(point))
}
