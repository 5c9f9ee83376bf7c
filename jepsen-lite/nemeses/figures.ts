/** Adds figures up, by their names; those that are 0 are left out. */
import type { Totals } from '../nemesis.ts'

export function sumOf(all: readonly (Totals | undefined)[]): Totals {
  const sum: Record<string, number> = {}
  for (const totals of all) {
    for (const [name, figure] of Object.entries(totals ?? {})) {
      if (figure !== 0) sum[name] = (sum[name] ?? 0) + figure
    }
  }
  return sum
}

/** `12 rolledBackBytes, 1 rolledBackFiles`. */
export function textOf(totals: Totals): string {
  const told = Object.entries(totals).map(([name, figure]) => `${figure} ${name}`)
  return told.join(', ') || 'nothing'
}
