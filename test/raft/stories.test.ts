import { describe, expect, test } from 'vitest'
import { Cluster } from './support/cluster.ts'

describe('replication', () => {
  test('three empty members found a cluster, and what is proposed is applied by all', () => {
    const cluster = new Cluster(['n1', 'n2', 'n3'])
    cluster.elect()
    cluster.propose('a')
    cluster.propose('b')
    cluster.settle()
    for (const node of cluster.nodes.values()) expect(node.appliedTexts).toEqual(['a', 'b'])
  })

  test('a leader that crashes is replaced, and nothing committed is lost', () => {
    const cluster = new Cluster(['n1', 'n2', 'n3'])
    const first = cluster.elect()
    cluster.propose('a')
    cluster.settle()
    cluster.crash(first.id)
    const second = cluster.elect()
    expect(second.id).not.toBe(first.id)
    cluster.propose('b')
    cluster.settle()
    cluster.restart(first.id)
    cluster.tick(30)
    for (const node of cluster.nodes.values()) expect(node.appliedTexts).toEqual(['a', 'b'])
  })
})
