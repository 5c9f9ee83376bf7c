import { beforeEach, describe, expect, it } from 'vitest'
import type { Attachment } from '../../node/queue/index.ts'
import { Router } from '../../node/router.ts'

const frame = (name: string) => new TextEncoder().encode(name)
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const to: Attachment = { session: 1, node: 'n1', bootId: 1, epoch: 10 }

describe('the router', () => {
  let sent: string[]
  let full: boolean[]
  let router: Router

  beforeEach(() => {
    sent = []
    full = []
    router = new Router({
      pendingBytesMax: 10,
      send: (leader, bytes) => void sent.push(`${leader} ${text(bytes)}`),
      onFull: (now) => full.push(now),
    })
    router.open(1, 10)
  })

  const taken = () => sent.splice(0)

  it('holds frames until there is a leader, then sends them in order', () => {
    router.submitCommand('started', frame('started'))
    router.submitSequenced(1, 2, frame('a'))
    router.submitSequenced(1, 5, frame('b'))
    expect(taken()).toEqual([])
    router.lead('n2')
    expect(taken()).toEqual(['n2 started', 'n2 a', 'n2 b'])
  })

  it('sends what is not yet applied again to a new leader, settles too', () => {
    router.lead('n2')
    router.submitSequenced(1, 2, frame('a'))
    router.submitSequenced(1, 5, frame('b'))
    router.submitSettle(1, 1, frame('s'))
    router.settleEffect({ type: 'confirm', to, upTo: 2 })
    taken()
    router.lead('n3')
    expect(taken()).toEqual(['n3 b', 'n3 s'])
  })

  it('lets go of frames by confirm, control outcome, settled notice and command key', () => {
    router.lead('n2')
    router.submitSequenced(1, 2, frame('a'))
    router.submitSequenced(1, 3, frame('c'))
    router.submitSettle(1, 7, frame('s'))
    router.submitCommand('nonce 1', frame('n'))
    router.settleEffect({ type: 'confirm', to, upTo: 2 })
    router.settleEffect({ type: 'outcome', to, outcome: { sequence: 3 } })
    router.settleEffect({ type: 'settled', to, notice: { tag: 7, stale: [] } })
    router.done('nonce 1')
    taken()
    router.lead('n3')
    expect(taken()).toEqual([])
    expect(router.pendingBytes).toBe(0)
  })

  it('keeps a frame whose last message is not judged yet', () => {
    router.submitSequenced(1, 5, frame('b'))
    router.settleEffect({ type: 'confirm', to, upTo: 4 })
    router.lead('n2')
    expect(taken()).toEqual(['n2 b'])
  })

  it('ignores effects of another attachment of the session', () => {
    router.submitSequenced(1, 2, frame('a'))
    router.settleEffect({ type: 'confirm', to: { ...to, epoch: 9 }, upTo: 2 })
    router.lead('n2')
    expect(taken()).toEqual(['n2 a'])
  })

  it('answers a gap by sending again once, though every later frame reports it', () => {
    router.lead('n2')
    router.submitSequenced(1, 1, frame('a'))
    router.submitSequenced(1, 2, frame('b'))
    router.submitSequenced(1, 3, frame('c'))
    taken()
    router.settleEffect({ type: 'gap', to, expected: 1 })
    router.settleEffect({ type: 'gap', to, expected: 1 })
    expect(taken()).toEqual(['n2 a', 'n2 b', 'n2 c'])
    router.settleEffect({ type: 'confirm', to, upTo: 1 })
    router.settleEffect({ type: 'gap', to, expected: 2 })
    expect(taken()).toEqual(['n2 b', 'n2 c'])
  })

  it('sends again what has not moved between two looks', () => {
    router.lead('n2')
    router.submitSequenced(1, 1, frame('a'))
    router.submitSequenced(1, 2, frame('b'))
    router.resendStalled()
    taken()
    router.settleEffect({ type: 'confirm', to, upTo: 1 })
    router.resendStalled()
    expect(taken()).toEqual([])
    router.resendStalled()
    expect(taken()).toEqual(['n2 b'])
  })

  /** What each of `count` looks sends. */
  const looks = (count: number) =>
    Array.from({ length: count }, () => {
      router.resendStalled()
      return taken()
        .map((each) => each.slice('n2 '.length))
        .join(' ')
    })

  it('sends only the ends of what stands still, after 1, 2, 4, 8 and then 16 looks each', () => {
    router.lead('n2')
    for (let i = 1; i <= 5; i++) router.submitSequenced(1, i, frame(`p${i}`))
    for (let i = 1; i <= 4; i++) router.submitSettle(1, i, frame(`s${i}`))
    router.submitCommand('started', frame('started'))
    taken()
    const sent = looks(64).map((what, look) => [look, what] as const)
    const ends = 'started p1 p5 s1 s4'
    expect(sent.filter(([, what]) => what !== '')).toEqual([1, 3, 7, 15, 31, 47, 63].map((look) => [look, ends]))
  })

  it('begins with short pauses again when the head has moved or the leader is new', () => {
    router.lead('n2')
    router.submitSequenced(1, 1, frame('a'))
    router.submitSequenced(1, 2, frame('b'))
    router.submitCommand('started', frame('x'))
    taken()
    looks(4)
    router.settleEffect({ type: 'confirm', to, upTo: 1 })
    expect(looks(3)).toEqual(['', 'b', ''])
    router.lead('n2')
    taken()
    expect(looks(2)).toEqual(['', 'x b'])
  })

  it('sends no command again that is younger than the look before', () => {
    router.lead('n2')
    router.submitCommand('nonce 1', frame('x'))
    router.resendStalled()
    router.submitCommand('nonce 2', frame('y'))
    taken()
    expect(looks(2)).toEqual(['x', 'y'])
  })

  it('answers a gap at the same place once more after a look found that nothing had moved', () => {
    router.lead('n2')
    for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) router.submitSequenced(1, i + 1, frame(name))
    router.settleEffect({ type: 'gap', to, expected: 1 })
    taken()
    expect(looks(2)).toEqual(['', 'a d'])
    router.settleEffect({ type: 'confirm', to, upTo: 1 })
    router.settleEffect({ type: 'gap', to, expected: 2 })
    router.settleEffect({ type: 'gap', to, expected: 2 })
    expect(taken()).toEqual(['n2 b', 'n2 c', 'n2 d'])
  })

  it('sends settles again, once, that a later one has overtaken', () => {
    router.lead('n2')
    for (let tag = 1; tag <= 4; tag++) router.submitSettle(1, tag, frame(`s${tag}`))
    taken()
    const settled = (tag: number) => router.settleEffect({ type: 'settled', to, notice: { tag, stale: [] } })
    settled(1)
    expect(taken()).toEqual([])
    settled(3)
    expect(taken()).toEqual(['n2 s2'])
    settled(4)
    expect(taken()).toEqual([])
    router.submitSettle(1, 5, frame('s5'))
    taken()
    settled(5)
    expect(taken()).toEqual(['n2 s2'])
    settled(2)
    expect(router.pendingBytes).toBe(0)
  })

  it('drops what a closed or moved session had under way', () => {
    router.submitSequenced(1, 1, frame('a'))
    router.open(1, 11)
    router.submitSequenced(1, 2, frame('b'))
    router.lead('n2')
    expect(taken()).toEqual(['n2 b'])
    router.close(1)
    router.submitSequenced(1, 3, frame('late'))
    expect(router.pendingBytes).toBe(0)
  })

  it('tells when it is full and when half of that is gone', () => {
    router.submitSequenced(1, 1, frame('12345678'))
    expect(full).toEqual([])
    router.submitSequenced(1, 2, frame('9012'))
    expect(full).toEqual([true])
    router.settleEffect({ type: 'confirm', to, upTo: 1 })
    expect(full).toEqual([true, false])
    expect(router.pendingBytes).toBe(4)
  })
})
