import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startNode } from '../../node/index.ts'
import { PEER_VERSION } from '../../node/peers/parcel.ts'
import { FrameKind, PROTOCOL_VERSION } from '../../wire/frame.ts'
import { encode } from '../../wire/msgpack.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { TestMesh } from './mesh.ts'

let mesh: TestMesh
let url: string

beforeAll(async () => {
  mesh = await TestMesh.start({ tokens: ['the-token'] }, 1)
  url = mesh.url('n1')
})

afterAll(() => mesh.close())

const helloFrame = (hello: object) => Buffer.concat([Uint8Array.of(FrameKind.hello), encode(hello)])

describe('whoever knocks', () => {
  it('at the peers’ door with words that do not fit a close frame is turned away, and nothing else happens', async () => {
    const stranger = new RawSocket(url, '/peer')
    await stranger.opened
    stranger.send(encode({ version: PEER_VERSION, cluster: '€'.repeat(100) }))
    expect((await stranger.ended).closeCode).toBe(1008)
    await (await mesh.client('n1', { token: 'the-token' })).publish('a', 1)
  })

  it('with a hello of a million problems costs the node no more than a look at the first', async () => {
    const held = Array.from({ length: 100 }, (_, consumer) => ({ consumer, runs: new Array(10_000).fill(0) }))
    for (const token of ['the-token', 'a-guess']) {
      const stranger = new RawSocket(url, '/client')
      await stranger.opened
      stranger.send(helloFrame({ version: PROTOCOL_VERSION, connection: 1, token, held }))
      const { fault } = await stranger.ended
      expect(fault?.code).toBe(token === 'a-guess' ? 'Unauthorized' : 'Protocol')
      expect(fault?.message.length).toBeLessThan(200)
    }
  })

  it.each([
    ['no consumer', [{ runs: [] }]],
    ['a run of three', [{ consumer: 1, runs: [[1, 2, 3]] }]],
    ['an empty run', [{ consumer: 1, runs: [[1, 0]] }]],
    ['a fraction', [{ consumer: 1, runs: [[1.5, 1]] }]],
    ['no list', 'all'],
  ])('with held deliveries that make no sense (%s) gets a coded fault', async (_, held) => {
    const stranger = new RawSocket(url, '/client')
    await stranger.opened
    stranger.send(helloFrame({ version: PROTOCOL_VERSION, connection: 1, token: 'the-token', held }))
    expect((await stranger.ended).fault).toMatchObject({ code: 'Protocol' })
  })
})

describe('a node that stops', () => {
  it('does not wait for a refused upgrade whose other end stays open', async () => {
    const node = await startNode({
      id: 'n1',
      listen: '127.0.0.1:0',
      dataDir: mesh.dataDir('stopping'),
      cluster: { n1: 'ws://127.0.0.1:0' },
      logger: false,
    })
    const stranger = connect({ port: node.port, host: '127.0.0.1', allowHalfOpen: true })
    stranger.write('GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    const [answer] = await once(stranger, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1.1 404/)
    await node.stop()
    await expect(node.ready()).rejects.toMatchObject({ code: 'Closed' })
    stranger.destroy()
  })

  it('lets nobody in while its clients leave', async () => {
    const node = await startNode({
      id: 'n1',
      listen: '127.0.0.1:0',
      dataDir: mesh.dataDir('leaving'),
      cluster: { n1: 'ws://127.0.0.1:0' },
      logger: false,
    })
    await node.ready()
    const client = new RawSocket(node.url, '/client')
    await client.greet()
    // The client does not answer its close, so the node is in the middle of stopping for a while.
    client.socket.pause()
    const stopped = node.stop()
    const late = new RawSocket(node.url, '/client')
    expect((await late.ended).closeCode).toBe(1006)
    expect(late.frames).toEqual([])
    await stopped
  })
})
