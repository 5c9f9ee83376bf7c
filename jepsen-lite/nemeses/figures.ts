/** Adds figures up, by their names. */
import type { Totals } from '../nemesis.ts'

export function sumOf(all: readonly (Totals | undefined)[]): Totals {
  const sum: Record<string, number> = {}
  for (const totals of all) {
    for (const [name, figure] of Object.entries(totals ?? {})) sum[name] = (sum[name] ?? 0) + figure
  }
  return sum
}

/** `12 rolledBackBytes, 1 rolledBackFiles`: those that are not 0. */
export function textOf(totals: Totals): string {
  const told = Object.entries(totals).filter(([, figure]) => figure !== 0)
  return told.map(([name, figure]) => `${figure} ${name}`).join(', ') || 'nothing'
}
