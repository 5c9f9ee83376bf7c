import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../node/clock.ts'
import { Dialer } from '../../node/peers/dialer.ts'
import { Acceptance } from '../../node/peers/handshake.ts'
import { Listener } from '../../node/peers/listener.ts'
import type { MeshOptions } from '../../node/peers/mesh-options.ts'
import { dialPeer, PeerDoor } from '../../node/peers/peer-sockets.ts'

function optionsOf(node: string): MeshOptions {
  return {
    cluster: 'mesh',
    secret: 's3cret',
    self: { node, incarnation: node, bootId: 1, clusterId: undefined, joined: false },
    group: { id: 0, incarnation: 1 },
    clock: systemClock,
    random: Math.random,
    dial: dialPeer,
    peers: new Map(),
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    bufferBytesMax: 1024,
    handshakeTimeoutMs: 5_000,
    pingIntervalMs: 5_000,
  }
}

describe('a dialer', () => {
  it('pauses longer and longer before a peer that closes each link right after the handshake', async () => {
    const server = createServer()
    const listener = new Listener(optionsOf('n2'), (link) => setImmediate(() => link.close()))
    const door = new PeerDoor((socket) => listener.accept(socket))
    server.on('upgrade', (request, socket, head) => door.upgrade(request, socket, head))
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
    const links: number[] = []
    await new Promise<void>((enough) => {
      const dialer: Dialer = new Dialer(optionsOf('n1'), 'n2', url, {
        onLink: (link) => {
          links.push(performance.now())
          if (links.length === 6) {
            dialer.stop()
            enough()
          } else link.onClose(() => dialer.redial())
        },
        onRefused: () => {},
      })
      dialer.start()
    })
    listener.stop()
    await new Promise((closed) => server.close(closed))
    // Five pauses from 20 ms on, each twice the one before, each at least half of itself by its jitter.
    expect(links[5]! - links[0]!).toBeGreaterThanOrEqual((20 + 40 + 80 + 160 + 320) / 2)
  })

  it('takes nothing more from a link that its stop has overtaken', () => {
    const warnings: string[] = []
    const logger = { debug() {}, info() {}, warn: (message: string) => void warnings.push(message), error() {} }
    let terminated = 0
    const socket = {
      open: true,
      bufferedBytes: 0,
      sent: [] as Uint8Array[],
      receive: (_frame: Uint8Array) => {},
      fail: (_error: unknown) => {},
      send: (frame: Uint8Array) => void socket.sent.push(frame),
      onClose() {},
      onDrain() {},
      pause() {},
      resume() {},
      close() {},
      terminate: () => void terminated++,
      watch() {},
    }
    const options: MeshOptions = { ...optionsOf('n1'), logger, dial: (_url, _ms, { onOpen }) => onOpen(socket) }
    const dialer = new Dialer(options, 'n2', 'ws://n2', { onLink: () => expect.unreachable(), onRefused() {} })
    dialer.start()
    const acceptance = new Acceptance(optionsOf('n2'))
    socket.receive(acceptance.challenge())
    const { reply } = acceptance.accept(socket.sent[0]!)
    dialer.stop()
    // The other end takes the link for open and sends at once.
    for (const frame of [reply, Uint8Array.of(1, 2, 3)]) {
      try {
        socket.receive(frame)
      } catch (error) {
        socket.fail(error)
      }
    }
    expect([terminated, warnings]).toEqual([1, []])
  })
})
