import { describe, expect, it } from 'vitest'
import { Acceptance, Dialing, HANDSHAKE_BYTES_MAX, type HandshakeOptions, selfOf } from '../../node/peers/handshake.ts'
import { decode, encode } from '../../wire/msgpack.ts'

const n1: HandshakeOptions = {
  cluster: 'mesh',
  secret: 's3cret',
  self: { node: 'n1', incarnation: 'a', bootId: 5, clusterId: undefined, joined: false },
}
const n2: HandshakeOptions = { ...n1, self: { node: 'n2', incarnation: 'b', bootId: 9, clusterId: 'c', joined: true } }

function shake(dialer: HandshakeOptions, acceptor: HandshakeOptions, to = acceptor.self.node) {
  const acceptance = new Acceptance(acceptor)
  const dialing = new Dialing(dialer, to)
  const { peer, reply } = acceptance.accept(dialing.answer(acceptance.challenge()))
  return { seenByAcceptor: peer, seenByDialer: dialing.complete(reply) }
}

describe('the handshake of peers', () => {
  it('makes both sides sure of who the other is', () => {
    expect(shake(n1, n2)).toEqual({ seenByAcceptor: n1.self, seenByDialer: n2.self })
  })

  it('refuses a dialer that does not know the secret', () => {
    expect(() => shake({ ...n1, secret: 'guess' }, n2)).toThrow('does not know the cluster secret')
  })

  it('refuses an acceptor that does not know the secret', () => {
    const dialing = new Dialing(n1, 'n2')
    const impostor = new Acceptance({ ...n2, secret: 'guess' })
    dialing.answer(impostor.challenge())
    // The impostor skips its own check and answers with a proof made from the wrong secret.
    const forged = new Dialing({ ...n2, secret: 'guess' }, 'n1').answer(impostor.challenge())
    expect(() => dialing.complete(forged)).toThrow('does not know the cluster secret')
  })

  it('refuses an answer that was recorded in another handshake', () => {
    const first = new Acceptance(n2)
    const recorded = new Dialing(n1, 'n2').answer(first.challenge())
    expect(() => new Acceptance(n2).accept(recorded)).toThrow('does not know the cluster secret')
  })

  it('refuses its own proof sent back', () => {
    const acceptance = new Acceptance(n2)
    const dialing = new Dialing(n1, 'n2')
    const own = dialing.answer(acceptance.challenge())
    expect(() => dialing.complete(own)).toThrow("dialed 'n2' but 'n1' answered")
  })

  it.each([
    ['another cluster', { ...n1, cluster: 'other' }, n2, 'n2', "belongs to cluster 'other'"],
    ['a dialer that looks for somebody else', n1, n2, 'n3', "was looking for node 'n3'"],
  ])('refuses %s', (_, dialer, acceptor, to, message) => {
    expect(() => shake(dialer, acceptor, to)).toThrow(message)
  })

  it.each([
    ['clusterId', { clusterId: 'd' }],
    ['clusterId', { clusterId: null }],
    ['joined', { joined: false }],
  ])('notices a %s that was changed on the way, in either direction', (_, change) => {
    const forge = (frame: Uint8Array) => encode({ ...(decode(frame) as object), ...change })
    const [dialer, acceptor] = [{ ...n1, self: { ...n1.self, clusterId: 'c', joined: true } }, n2]
    const acceptance = new Acceptance(acceptor)
    const dialing = new Dialing(dialer, 'n2')
    const answer = dialing.answer(acceptance.challenge())
    expect(() => acceptance.accept(forge(answer))).toThrow('does not know the cluster secret')
    const { reply } = acceptance.accept(answer)
    expect(() => dialing.complete(forge(reply))).toThrow('does not know the cluster secret')
  })

  it('refuses a directory of another cluster, on whichever side, and one that knows no cluster yet is let in', () => {
    const other = { ...n1, self: { ...n1.self, clusterId: 'd', joined: true } }
    expect(() => shake(other, n2)).toThrow("peer 'n1' belongs to another cluster of this name: d, and not c")
    expect(() => shake(n2, other)).toThrow("peer 'n2' belongs to another cluster of this name: c, and not d")
    // An acceptor that looks at nothing: the dialer still does.
    const dialing = new Dialing(other, 'n2')
    const blind = new Acceptance({ ...n2, self: { ...n2.self, clusterId: undefined } })
    const { reply } = blind.accept(dialing.answer(blind.challenge()))
    expect(dialing.complete(reply).clusterId).toBeUndefined()
    expect(shake(n2, n1).seenByDialer).toEqual(n1.self)
  })

  it('tells what the directory knows at the moment of each handshake', () => {
    const directory = {
      nodeId: 'n1',
      incarnation: 'a',
      bootId: 5,
      clusterId: undefined as string | undefined,
      joined: false,
    }
    const changing = { ...n1, self: selfOf(directory) }
    expect(shake(changing, n2).seenByAcceptor).toEqual(n1.self)
    directory.clusterId = 'c'
    directory.joined = true
    expect(shake(changing, n2).seenByAcceptor).toMatchObject({ clusterId: 'c', joined: true })
    expect(shake(n2, changing).seenByDialer).toMatchObject({ clusterId: 'c', joined: true })
  })

  it('refuses frames that are too large or no map', () => {
    const acceptance = new Acceptance(n2)
    expect(() => acceptance.accept(new Uint8Array(HANDSHAKE_BYTES_MAX + 1))).toThrow('too large')
    expect(() => acceptance.accept(Uint8Array.of(0x93, 1, 2, 3))).toThrow('not a handshake frame')
    expect(() => acceptance.accept(Uint8Array.of(0xc1))).toThrow(Error)
  })
})
