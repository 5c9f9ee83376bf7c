/** What the cluster's parts decide by themselves: who agrees, who may be hurt, which disk will do. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { NodeStatus } from '../../../jepsen-lite/cluster/admin.ts'
import { agreement, judge } from '../../../jepsen-lite/cluster/agreement.ts'
import { requireRealDisk } from '../../../jepsen-lite/cluster/disk-check.ts'
import { claimPorts } from '../../../jepsen-lite/cluster/ports.ts'
import { Wounds } from '../../../jepsen-lite/cluster/wounds.ts'
import { realDiskFolder } from '../../support/place.ts'

function status(appliedIndex: number, stateHash: string, member: NodeStatus['member'] = 'voter'): NodeStatus {
  const rest = { node: 'n', term: 1, role: 'follower', doubt: 0, missingBodies: 0 }
  return { ...rest, appliedIndex, stateHash, member }
}

describe('agreement', () => {
  it('is one index and one hash', () => {
    const all = new Map([1, 2, 3].map((n) => [`n${n}`, status(7, 'abc')]))
    expect(judge(all)).toEqual({ ok: true, index: 7, hash: 'abc' })
  })

  it('has diverged where two differ at one index, whatever the third says', () => {
    const all = new Map([
      ['n1', status(7, 'abc')],
      ['n2', status(7, 'abd')],
      ['n3', undefined],
    ])
    expect(judge(all)).toMatchObject({ ok: false, diverged: true, what: 'n1 abc at 7, n2 abd at 7, n3 does not tell' })
  })

  const reached = (second: NodeStatus | undefined) =>
    judge(
      new Map([
        ['n1', status(7, 'abc')],
        ['n2', second],
      ]),
    )

  it.each([
    ['lags', status(6, 'abb')],
    ['does not answer', undefined],
    ['is in doubt', { ...status(7, 'abc'), doubt: 3 }],
    ['is no member', status(7, 'abc', 'none')],
    ['lacks bodies', { ...status(7, 'abc'), missingBodies: 2 }],
    ['is a learner that lags', status(6, 'abb', 'learner')],
    ['is a learner that lacks bodies', { ...status(7, 'abc', 'learner'), missingBodies: 1 }],
  ])('is not reached while somebody %s, and nothing has diverged', (_, second) => {
    expect(reached(second)).toMatchObject({ ok: false, diverged: false })
  })

  it('is asked for until it is there, and not for longer than there is hope', async () => {
    const words = [undefined, status(6, 'abb'), status(7, 'abc')]
    const ask = async () =>
      new Map([
        ['n1', status(7, 'abc')],
        ['n2', words.length > 1 ? words.shift() : words[0]],
      ])
    expect(await agreement(ask, 10_000)).toMatchObject({ ok: true, index: 7 })
    const never = async () => new Map([['n1', undefined]])
    expect(await agreement(never, 10_000, () => true)).toMatchObject({ ok: false, diverged: false })
  })

  it('takes a learner for a replica like others', () => {
    expect(reached(status(7, 'abc', 'learner'))).toEqual({ ok: true, index: 7, hash: 'abc' })
    expect(reached(status(7, 'abd', 'learner'))).toMatchObject({ ok: false, diverged: true })
  })

  it('is nobody’s where there are no replicas, and tells who lacks what', () => {
    expect(judge(new Map())).toMatchObject({ ok: false, diverged: false })
    expect(reached({ ...status(7, 'abc'), missingBodies: 2 })).toMatchObject({
      what: 'n1 abc at 7, n2 abc at 7, bodies missing of 2 entries',
    })
  })
})

describe('wounds', () => {
  it('leave a majority whole', () => {
    expect([1, 2, 3, 4, 5].map((nodes) => hurtAll(nodes))).toEqual([0, 0, 1, 1, 2])
  })

  it('heal when each was mended and the node has said since then that it is whole', () => {
    const wounds = new Wounds(3)
    expect([wounds.wound('n1'), wounds.wound('n1'), wounds.wound('n2')]).toEqual([true, true, false])
    wounds.mended('n1', 10)
    wounds.whole('n1', 11)
    expect(wounds.wound('n2')).toBe(false)
    wounds.mended('n1', 20)
    wounds.whole('n1', 19)
    expect(wounds.wound('n2')).toBe(false)
    wounds.whole('n1', 20)
    expect([wounds.nodes, wounds.wound('n2')]).toEqual([[], true])
  })
})

function hurtAll(nodes: number): number {
  const wounds = new Wounds(nodes)
  return Array.from({ length: nodes }, (_, i) => wounds.wound(`n${i}`)).filter(Boolean).length
}

describe('the disk', () => {
  it('is refused in memory', () => {
    const folder = realDiskFolder()
    expect(() => requireRealDisk(path.join(folder, 'made'))).not.toThrow()
    expect(existsSync(path.join(folder, 'made'))).toBe(true)
    for (const type of [0x01021994, 0x858458f6]) expect(() => requireRealDisk(folder, () => type)).toThrow('in memory')
    rmSync(folder, { recursive: true })
  })

  it('is refused where it really is in memory', () => {
    if (!existsSync('/dev/shm')) return
    const folder = mkdtempSync('/dev/shm/meshmq-test-')
    expect(() => requireRealDisk(folder)).toThrow('in memory')
    rmSync(folder, { recursive: true })
  })
})

describe('ports', () => {
  /** Of a port whose neighbour is free as well: others on this machine look for ports, too. */
  async function claimedPair() {
    for (;;) {
      const first = await claimPorts(1)
      const [base] = first.ports as [number]
      first.release()
      const second = await claimPorts(2, base).catch(() => undefined)
      if (second !== undefined) return { base, second }
    }
  }

  it('follow each other from a given one; one that is in use is told', async () => {
    const { createServer } = await import('node:net')
    const { base, second } = await claimedPair()
    expect(second.ports).toEqual([base, base + 1])
    second.release()
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(base + 1, '127.0.0.1', resolve))
    await expect(claimPorts(2, base)).rejects.toThrow(`port ${base + 1} is in use`)
    server.close()
  })

  it("are nobody else's until they are given back, though nobody listens there", async () => {
    const first = await claimPorts(3)
    const [base] = first.ports as [number]
    await expect(claimPorts(1, base)).rejects.toThrow(`port ${base} is in use`)
    first.release()
    const second = await claimPorts(1, base)
    expect(second.ports).toEqual([base])
    second.release()
  })
})
