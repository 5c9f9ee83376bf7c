import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Cut, Relay } from '../../../jepsen-lite/workloads/relay.ts'
import { eventually } from '../../support/eventually.ts'

/** A server that keeps what it gets, on sockets that the test answers through. */
class Upstream {
  readonly server: Server
  readonly sockets: Socket[] = []
  readonly got: string[] = []
  readonly ended: boolean[] = []

  constructor() {
    this.server = createServer((socket) => {
      const i = this.sockets.push(socket) - 1
      this.got[i] = ''
      this.ended[i] = false
      socket.on('data', (bytes) => {
        this.got[i] += String(bytes)
      })
      socket.on('error', () => {})
      socket.on('close', () => {
        this.ended[i] = true
      })
    })
  }

  async listen(): Promise<string> {
    await once(this.server.listen(0, '127.0.0.1'), 'listening')
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }
}

let upstream: Upstream
let relay: Relay
let made: Cut[]
const clients: Socket[] = []

beforeEach(async () => {
  upstream = new Upstream()
  made = []
  relay = await Relay.open([await upstream.listen()], (cut) => made.push(cut))
})

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy()
  relay.close()
  upstream.server.close()
})

interface Client {
  readonly socket: Socket
  got: string
  isClosed: boolean
}

async function dial(): Promise<Client> {
  const socket = connect(Number(new URL(relay.urls[0]!).port), '127.0.0.1')
  const client: Client = { socket, got: '', isClosed: false }
  clients.push(socket)
  socket.on('error', () => {})
  socket.on('data', (bytes) => {
    client.got += String(bytes)
  })
  socket.on('close', () => {
    client.isClosed = true
  })
  await once(socket, 'connect')
  return client
}

async function dialThrough(): Promise<Client> {
  const before = upstream.sockets.length
  const client = await dial()
  await eventually(() => upstream.sockets.length > before)
  return client
}

describe('a relay', () => {
  it('passes bytes both ways, and the end of a connection', async () => {
    const client = await dialThrough()
    client.socket.write('hello')
    await eventually(() => upstream.got[0] === 'hello')
    upstream.sockets[0]!.write('welcome')
    await eventually(() => client.got === 'welcome')
    client.socket.end()
    await eventually(() => upstream.ended[0])
    expect(made).toEqual([])
  })

  it('cuts what goes up at its byte: the server gets all before it, and nothing more', async () => {
    const client = await dialThrough()
    relay.arm([{ way: 'up', afterBytes: 7 }])
    client.socket.write('12345')
    await eventually(() => upstream.got[0] === '12345')
    client.socket.write('67890')
    await eventually(() => client.isClosed && upstream.ended[0])
    expect(upstream.got[0]).toBe('1234567')
    expect(made).toEqual([{ way: 'up', afterBytes: 7 }])
  })

  it('cuts what comes down at its byte: the server has the request, the client none or half of the answer', async () => {
    const client = await dialThrough()
    relay.arm([{ way: 'down', afterBytes: 3 }])
    client.socket.write('a request of any length')
    await eventually(() => upstream.got[0] === 'a request of any length')
    upstream.sockets[0]!.write('answer')
    await eventually(() => client.isClosed && upstream.ended[0])
    expect(client.got).toBe('ans')
  })

  it('makes several cuts one after the other, each on the connection of its time', async () => {
    relay.arm([
      { way: 'up', afterBytes: 1 },
      { way: 'up', afterBytes: 2 },
    ])
    for (const i of [0, 1]) {
      const client = await dialThrough()
      client.socket.write('abc')
      await eventually(() => client.isClosed && upstream.ended[i])
    }
    const whole = await dialThrough()
    whole.socket.write('abc')
    await eventually(() => upstream.got[2] === 'abc')
    expect(upstream.got).toEqual(['a', 'ab', 'abc'])
    expect(made).toHaveLength(2)
  })

  it('makes no cut that was taken back', async () => {
    const client = await dialThrough()
    relay.arm([{ way: 'up', afterBytes: 1 }])
    relay.arm([])
    client.socket.write('abc')
    await eventually(() => upstream.got[0] === 'abc')
  })

  it('ends all connections when it is severed, refuses new ones for that time, and lets them through afterwards', async () => {
    const client = await dialThrough()
    relay.sever(2_000)
    await eventually(() => client.isClosed && upstream.ended[0])
    const refused = await dial()
    await eventually(() => refused.isClosed)
    expect(upstream.got).toHaveLength(1)
    await eventually(async () => {
      const later = await dial()
      later.socket.write('again')
      return eventually(() => upstream.got.at(-1) === 'again', { withinMs: 100 })
    })
  })

  it('closes the client when there is no server', async () => {
    upstream.server.close()
    const client = await dial()
    await eventually(() => client.isClosed)
  })
})
