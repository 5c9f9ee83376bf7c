/** What stories end with. */
import { expect } from 'vitest'
import type { Cluster } from './cluster.ts'

/** What each member that is up has applied. */
export function texts(cluster: Cluster): string[][] {
  return [...cluster.nodes.values()].filter((node) => node.isUp).map((node) => node.appliedTexts)
}

/** Everybody that is up applies exactly these, soon. */
export function expectApplied(cluster: Cluster, expected: readonly string[]): void {
  cluster.tick(25)
  for (const applied of texts(cluster)) expect(applied).toEqual(expected)
}
