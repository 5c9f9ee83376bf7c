import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { runInNewContext } from 'node:vm'
import { build } from 'esbuild'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { openBrowserSocket } from '../../client/browser-socket.ts'
import { connect, type OpenSocket, type Socket } from '../../client/index.ts'
import { openWebSocket } from '../../client/ws-socket.ts'
import { FrameKind } from '../../wire/frame.ts'
import { encodeSessionFrame, type Welcome } from '../../wire/session-frames.ts'
import { eventually } from '../support/eventually.ts'

let server: WebSocketServer
let url: string

beforeEach(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(async () => {
  for (const client of server.clients) client.terminate()
  await new Promise((resolve) => server.close(resolve))
  Reflect.deleteProperty(globalThis, 'WebSocket')
})

/** What a socket told, in order. */
function opened(openSocket: OpenSocket, address: string) {
  const told: string[] = []
  const socket: Socket = openSocket(address, {
    onOpen: () => told.push('open'),
    onFrame: (frame) => told.push(`frame ${Buffer.from(frame).toString('hex')}`),
    onClose: (reason) => told.push(`close ${reason}`),
  })
  return { told, socket }
}

const adapters: [string, OpenSocket, () => void][] = [
  ['ws', openWebSocket, () => {}],
  [
    'the browser',
    openBrowserSocket,
    () => {
      // Node 20 has no WebSocket of its own; that of ws has a browser's face too.
      Object.assign(globalThis, { WebSocket })
    },
  ],
]

describe.each(adapters)('the socket of %s', (_, openSocket, prepare) => {
  beforeEach(prepare)

  it('opens on the clients’ path, carries frames both ways in order, and tells the close once', async () => {
    const accepted = once(server, 'connection')
    const { told, socket } = opened(openSocket, url)
    expect(told).toEqual([])
    const [peer, request] = (await accepted) as [WebSocket, { url: string }]
    expect(request.url).toBe('/client')
    const received: string[] = []
    peer.on('message', (data: Buffer, isBinary: boolean) => received.push(`${data.toString('hex')} ${isBinary}`))
    await eventually(() => told.includes('open'))
    for (let i = 0; i < 5; i++) socket.send(Uint8Array.of(i))
    for (let i = 0; i < 3; i++) peer.send(Uint8Array.of(0xa0 + i))
    await eventually(() => received.length === 5 && told.length === 4)
    expect(received).toEqual(['00 true', '01 true', '02 true', '03 true', '04 true'])
    peer.close(1008, 'moved away')
    await eventually(() => told.length === 5)
    socket.send(Uint8Array.of(9))
    expect(told).toEqual(['open', 'frame a0', 'frame a1', 'frame a2', 'close moved away'])
  })

  it('sends what was given to it before an orderly close', async () => {
    const accepted = once(server, 'connection')
    const { told, socket } = opened(openSocket, `${url}/other`)
    const [peer, request] = (await accepted) as [WebSocket, { url: string }]
    expect(request.url).toBe('/other')
    const received: number[] = []
    peer.on('message', (data: Buffer) => received.push(data[0]!))
    const gone = once(peer, 'close')
    await eventually(() => told.includes('open'))
    socket.send(Uint8Array.of(7))
    socket.close()
    expect((await gone)[0]).toBe(1000)
    expect(received).toEqual([7])
    await eventually(() => told.length === 2)
  })

  it('tells the close of one that never opened', async () => {
    const { told } = opened(openSocket, 'ws://127.0.0.1:1')
    await eventually(() => told.length > 0)
    expect(told).toHaveLength(1)
    expect(told[0]).toMatch(/^close ./)
  })

  it('is over soon after it was terminated, whatever the other end does', async () => {
    const accepted = once(server, 'connection')
    const { told, socket } = opened(openSocket, url)
    const [peer] = (await accepted) as [WebSocket]
    await eventually(() => told.includes('open'))
    peer.pause()
    socket.terminate()
    await eventually(() => told.length === 2)
    expect(told[1]).toMatch(/^close/)
  })

  it('refuses what is no address of a WebSocket', () => {
    for (const address of ['', 'nowhere', 'http://127.0.0.1:1']) {
      expect(() => openSocket(address, { onOpen() {}, onFrame() {}, onClose() {} })).toThrow(
        expect.objectContaining({ code: 'Validation' }),
      )
    }
  })
})

const welcome: Welcome = {
  version: 1,
  node: 'n1',
  session: 4096,
  epoch: 4097,
  lastSequence: 0,
  outcomes: [],
  consumers: [],
  heartbeatMs: 5_000,
}

/** Welcomes everybody and confirms nothing. */
function welcomeAll(): void {
  server.on('connection', (peer) => {
    peer.once('message', () => peer.send(encodeSessionFrame(FrameKind.welcome, welcome)))
  })
}

it('an address that is none is refused by connect at once, wherever it stands in the list', async () => {
  welcomeAll()
  const servers = [...Array(50).fill(url), 'http://127.0.0.1:1']
  await expect(connect(servers)).rejects.toMatchObject({ code: 'Validation' })
})

describe('the bundle for browsers', () => {
  const bundle = () =>
    build({
      entryPoints: ['client/browser.ts'],
      bundle: true,
      minify: true,
      write: false,
      metafile: true,
      platform: 'browser',
      format: 'iife',
      globalName: 'meshmq',
      alias: { msgpackr: 'msgpackr/index-no-eval' },
    })

  it('holds neither ws nor anything of Node, and evaluates no text', async () => {
    const { metafile, outputFiles } = await bundle()
    const packages = Object.keys(metafile.inputs)
      .map((input) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1])
      .filter((name) => name !== undefined)
    expect([...new Set(packages)].sort()).toEqual(['msgpackr', 'nanoid'])
    const text = outputFiles[0]!.text
    expect(text).not.toMatch(/\bnew Function\(|\beval\(|require\("node:/)
    expect(outputFiles[0]!.contents.length).toBeLessThan(100_000)
  })

  it('connects where there is no Node: with a page’s globals alone', async () => {
    welcomeAll()
    const text = (await bundle()).outputFiles[0]!.text
    const page = {
      WebSocket,
      URL,
      TextEncoder,
      TextDecoder,
      performance,
      setTimeout,
      clearTimeout,
      queueMicrotask,
      crypto,
      AbortController,
      navigator: { userAgent: 'a page' },
    }
    const meshmq = runInNewContext(`${text}; meshmq`, page) as { connect: typeof connect }
    const client = await meshmq.connect(url)
    const published = client.publish('a', { n: 1 }, { timeoutMs: 50 })
    await expect(published).rejects.toMatchObject({ code: 'NoQuorum', outcome: 'unknown' })
    for (const peer of server.clients) peer.terminate()
    await client.close()
  })
})
