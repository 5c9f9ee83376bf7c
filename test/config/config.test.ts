import { describe, expect, it } from 'vitest'
import { MEMBERS_MAX, type NodeOptions, parseNodeOptions } from '../../node/config.ts'
import { silentLogger } from '../../node/logger.ts'
import { MeshError } from '../../wire/errors.ts'

const three = { n1: 'ws://127.0.0.1:7101', n2: 'ws://127.0.0.1:7102', n3: 'ws://127.0.0.1:7103' }
const valid: NodeOptions = { id: 'n1', listen: '127.0.0.1:7101', dataDir: './data/n1', cluster: three, logger: false }

function refusal(input: unknown): string {
  try {
    parseNodeOptions(input)
  } catch (error) {
    expect(error).toBeInstanceOf(MeshError)
    expect((error as MeshError).code).toBe('Validation')
    return (error as MeshError).message
  }
  throw new Error('it was accepted')
}

describe('parseNodeOptions', () => {
  it('fills in the defaults', () => {
    const { logger, ...config } = parseNodeOptions(valid)
    expect(logger).toBe(silentLogger)
    expect(config).toEqual({
      id: 'n1',
      listen: { host: '127.0.0.1', port: 7101 },
      dataDir: './data/n1',
      cluster: three,
      clusterName: 'meshmq',
      secret: 'meshmq-loopback',
      tokens: [],
      origins: [],
      heartbeatMs: 100,
      electionTimeoutMs: 600,
      tickMs: 10,
      nodeGraceMs: 10_000,
      sessionLeaseMs: 60_000,
      detachGraceMs: 1_000,
      clientHeartbeatMs: 5_000,
      drainMs: 5_000,
      leaderlessCloseMs: 5_000,
      handshakeTimeoutMs: 5_000,
      connectionsMax: 10_000,
      clientBufferBytesMax: 16_777_216,
      gatewayPendingBytesMax: 67_108_864,
      peerBufferBytesMax: 67_108_864,
      entryCacheBytes: 67_108_864,
      checkpointBytes: 67_108_864,
      trailingLogBytesMax: 268_435_456,
      segmentBytes: 33_554_432,
      diskReserveBytes: 268_435_456,
      loopbackOnly: true,
    })
  })

  it('keeps what is given', () => {
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
    const given = {
      clusterName: 'shop',
      secret: 's3cret',
      tokens: ['t1', 't2'],
      heartbeatMs: 50,
      electionTimeoutMs: 300,
    }
    expect(parseNodeOptions({ ...valid, ...given, logger })).toMatchObject({ ...given, logger })
  })

  it('takes the largest and the smallest file of the log, and a reserve that follows from it', () => {
    const reserveOf = (change: Partial<NodeOptions>) => parseNodeOptions({ ...valid, ...change }).diskReserveBytes
    expect(reserveOf({ segmentBytes: 2 ** 30 })).toBe(2 ** 32)
    expect(reserveOf({ segmentBytes: 2 ** 21 })).toBe(2 ** 28)
    expect(reserveOf({ segmentBytes: 2 ** 21, diskReserveBytes: 12 * 2 ** 20 })).toBe(12 * 2 ** 20)
    expect(reserveOf({ segmentBytes: 2 ** 30, diskReserveBytes: 0 })).toBe(0)
  })

  it('drops the trailing slash of a member URL, so that spellings compare equal', () => {
    expect(parseNodeOptions({ ...valid, cluster: { n1: 'ws://127.0.0.1:7101/' } }).cluster).toEqual({ n1: three.n1 })
  })

  it('takes port 0 from a node that nobody dials', () => {
    const single = { ...valid, listen: '127.0.0.1:0', cluster: { n1: 'ws://127.0.0.1:0' } }
    expect(parseNodeOptions(single).listen.port).toBe(0)
  })

  it.each<[string, unknown, RegExp]>([
    ['nothing at all', undefined, /expected object/],
    ['an unknown option', { ...valid, heartBeatMs: 5 }, /heartBeatMs/],
    ['no id', { ...valid, id: undefined }, /^id: /],
    ['an id with a slash', { ...valid, id: '../n1' }, /^id: must be a node id/],
    ['a listen address without a port', { ...valid, listen: '127.0.0.1' }, /^listen: must be host:port/],
    ['an empty data directory', { ...valid, dataDir: '' }, /^dataDir: /],
    ['a cluster that is a list', { ...valid, cluster: ['ws://127.0.0.1:7101'] }, /^cluster: /],
    ['an empty cluster', { ...valid, cluster: {} }, /^cluster: lacks this node's own id 'n1'/],
    ['a cluster without this node', { ...valid, id: 'n4' }, /^cluster: lacks this node's own id 'n4'/],
    ['two members with one URL', { ...valid, cluster: { n1: three.n1, n2: `${three.n1}/` } }, /^cluster: two members/],
    ['an http URL', { ...valid, cluster: { n1: 'http://127.0.0.1:7101' } }, /^cluster\.n1: must be ws:/],
    ['a URL with a path', { ...valid, cluster: { n1: 'ws://127.0.0.1:7101/peer' } }, /^cluster\.n1: must be ws:/],
    ['a URL with credentials', { ...valid, cluster: { n1: 'ws://a:b@127.0.0.1:7101' } }, /^cluster\.n1: must be ws:/],
    ['a peer at port 0', { ...valid, cluster: { ...three, n2: 'ws://127.0.0.1:0' } }, /^cluster\.n2: port 0/],
    [
      'its own port 0 among others',
      { ...valid, listen: 'localhost:0', cluster: { ...three, n1: 'ws://127.0.0.1:0' } },
      /n1: port 0/,
    ],
    ['an empty secret', { ...valid, secret: '' }, /^secret: /],
    ['an empty token', { ...valid, tokens: ['a', ''] }, /^tokens\.1: /],
    [
      'a token that fits no header',
      { ...valid, tokens: ['a', 'b c'] },
      /^tokens\.1: must be of printable ASCII without spaces/,
    ],
    ['an origin with a path', { ...valid, origins: ['https://app.example.com/x'] }, /^origins\.0: must be an origin/],
    ['a logger without warn', { ...valid, logger: { debug() {}, info() {}, error() {} } }, /^logger: must be a logger/],
    ['an unknown log level', { ...valid, logger: 'loud' }, /^logger: /],
    ['a fraction of a millisecond', { ...valid, tickMs: 0.5 }, /^tickMs: /],
    ['a number as text', { ...valid, heartbeatMs: '100' }, /^heartbeatMs: /],
    ['a tick above the heartbeat', { ...valid, tickMs: 200 }, /^tickMs: must not be above heartbeatMs/],
    [
      'an election timeout of one heartbeat',
      { ...valid, electionTimeoutMs: 100 },
      /^electionTimeoutMs: must be at least/,
    ],
    ['a file of the log below one entry', { ...valid, segmentBytes: 2 ** 21 - 1 }, /^segmentBytes: /],
    ['a file of the log beyond a gibibyte', { ...valid, segmentBytes: 2 ** 30 + 1 }, /^segmentBytes: /],
    [
      'a reserve below what goes on when publishes are refused',
      { ...valid, segmentBytes: 2 ** 21, diskReserveBytes: 12 * 2 ** 20 - 1 },
      /^diskReserveBytes: must be 0 or at least 12582912: two files/,
    ],
    ['a buffer below one frame', { ...valid, clientBufferBytesMax: 1024 }, /^clientBufferBytesMax: /],
  ])('refuses %s', (_, input, message) => {
    expect(refusal(input)).toMatch(message)
  })

  it('refuses more members than it allows', () => {
    const ids = Array.from({ length: MEMBERS_MAX + 1 }, (_, i) => `n${i}`)
    const cluster = Object.fromEntries(ids.map((id, i) => [id, `ws://127.0.0.1:${7101 + i}`]))
    expect(refusal({ ...valid, cluster })).toMatch(/^cluster: has 10 members/)
  })

  it('names every field that it refuses', () => {
    expect(refusal({ ...valid, id: '', tickMs: 0 })).toMatch(/^id: .*; tickMs: /)
  })

  it('never repeats a secret in its message', () => {
    expect(refusal({ ...valid, secret: 5, tokens: ['hunter2', 7], id: '' })).not.toMatch(/hunter2/)
  })
})

describe('a node that others can reach', () => {
  const closed = { secret: 's3cret', tokens: ['t1'] }

  it.each([
    ['a wildcard listen address', { listen: '0.0.0.0:7101' }],
    ['an IPv6 wildcard', { listen: '[::]:7101' }],
    ['a member on another machine', { cluster: { ...three, n2: 'ws://10.0.0.2:7102' } }],
    ['its own name in the network', { cluster: { ...three, n1: 'ws://n1:7101' } }],
  ])('does not start without a secret and tokens: %s', (_, change) => {
    expect(refusal({ ...valid, ...change })).toMatch(/^secret: must be given/)
    expect(refusal({ ...valid, ...change, secret: 's3cret' })).toMatch(/^tokens: must hold at least one/)
    expect(refusal({ ...valid, ...change, ...closed, secret: 'meshmq-loopback' })).toMatch(/^secret: must not be/)
    expect(parseNodeOptions({ ...valid, ...change, ...closed }).loopbackOnly).toBe(false)
  })

  it.each(['ws://localhost:7101', 'ws://[::1]:7101', 'ws://127.0.0.5:7101'])('needs neither at %s', (url) => {
    expect(parseNodeOptions({ ...valid, cluster: { n1: url } }).loopbackOnly).toBe(true)
  })
})
