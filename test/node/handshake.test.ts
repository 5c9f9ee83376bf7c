import { describe, expect, it } from 'vitest'
import { Acceptance, Dialing, HANDSHAKE_BYTES_MAX, type HandshakeOptions } from '../../node/peers/handshake.ts'

const n1: HandshakeOptions = {
  cluster: 'mesh',
  secret: 's3cret',
  self: { node: 'n1', incarnation: 'a', bootId: 5 },
}
const n2: HandshakeOptions = { ...n1, self: { node: 'n2', incarnation: 'b', bootId: 9 } }

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

  it('refuses frames that are too large or no map', () => {
    const acceptance = new Acceptance(n2)
    expect(() => acceptance.accept(new Uint8Array(HANDSHAKE_BYTES_MAX + 1))).toThrow('too large')
    expect(() => acceptance.accept(Uint8Array.of(0x93, 1, 2, 3))).toThrow('not a handshake frame')
    expect(() => acceptance.accept(Uint8Array.of(0xc1))).toThrow(Error)
  })
})
