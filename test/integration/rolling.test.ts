/**
 * A rolling restart, as an operator does it: each node is stopped in good order and started again, one after the other, twice, while
 * clients do everything that clients do. No call may fail, none may stay unknown; only time may pass.
 */
import { afterAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../client/clock.ts'
import { type Client, connectWith, type Message, type OpenSocket } from '../../client/index.ts'
import { openWebSocket } from '../../client/ws-socket.ts'
import { FrameKind } from '../../wire/frame.ts'
import { CallBook } from '../support/call-book.ts'
import { eventually } from '../support/eventually.ts'
import { closeAfterTest, TestMesh } from './mesh.ts'

/** Three times what a call took at most on two cores under a load of six; most of it is the node that starts. A stop takes 20–250 ms. */
const SLOWEST_MS = 2_500
/** Some answers take longer than a node's restart, milliseconds. */
const SLOW_ANSWER_MS = 2_000

/** A client that begins at the first of its servers. */
async function clientAt(servers: readonly string[]): Promise<Client> {
  let isFirst = true
  const random = () => {
    const roll = isFirst ? 0 : Math.random()
    isFirst = false
    return roll
  }
  return closeAfterTest(await connectWith(openWebSocket, { servers }, { ...systemClock, random }))
}

/** What came out of one queue, in order. */
class Arrivals {
  readonly numbers: number[] = []
  readonly handler = ({ body }: Message) => {
    this.numbers.push(body as number)
  }
}

describe('a rolling restart', () => {
  let mesh: TestMesh | undefined
  afterAll(() => mesh?.close())

  it('fails no call, loses no message, gives none twice and keeps their order', async () => {
    mesh = await TestMesh.start()
    const { urls } = mesh
    const book = new CallBook()
    // One that begins at each node, and goes on with the others.
    const clients = await Promise.all(urls.map((_, i) => clientAt([...urls.slice(i), ...urls.slice(0, i)])))
    const own = clients.map(() => new Arrivals())
    const acked = clients.map(() => new Arrivals())
    const shared = new Arrivals()
    const published = clients.map(() => 0)
    for (const [i, client] of clients.entries()) {
      await client.subscribe(`own.${i}`, own[i]!.handler, { queue: `own-${i}`, concurrency: 1 })
      await client.subscribe('own.*', shared.handler, { queue: 'shared', prefetch: 10 })
      await client.respond(`echo.${i}`, async ({ body }) => {
        const { n, pauseMs } = body as { n: number; pauseMs: number }
        if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
        return n
      })
      // Claimed from the call on; bound before it, so that it gets all.
      await client.queue(`acked-${i}`).declare()
      await client.queue(`acked-${i}`).bind(`own.${i}`)
      const messages = client.subscribe(`own.${i}`, { queue: `acked-${i}` })
      void (async () => {
        for await (const message of messages) {
          acked[i]!.handler(message)
          book.note('ack', message.ack())
        }
      })()
    }
    let isOver = false
    let ticks = 0
    const tick = () => {
      if (isOver) return
      ticks++
      for (const [i, client] of clients.entries()) {
        for (let k = 0; k < 2; k++) book.note('publish', client.publish(`own.${(i + 1) % 3}`, published[i]!++))
        const n = ticks
        // Answers of a moment, and some that take longer than a node's restart.
        const pauseMs = ticks % 50 === 0 ? SLOW_ANSWER_MS : ticks % 5
        book.note('request', client.request(`echo.${(i + ticks) % 3}`, { n, pauseMs }), ({ body }) => {
          if (body !== n) throw new Error(`asked with ${n}, answered ${body}`)
        })
        if (ticks % 10 === 0) book.note('query', client.queue('shared').stats({ consistent: ticks % 20 === 0 }))
        if (ticks % 20 === 0) {
          const queue = client.queue(`passing-${i}-${ticks}`)
          book.note(
            'command',
            queue.declare().then(() => queue.delete()),
          )
        }
      }
      setTimeout(tick, 5)
    }
    tick()
    const stopsMs: number[] = []
    for (let round = 0; round < 2; round++) {
      for (const id of mesh.ids) {
        const sinceMs = performance.now()
        await mesh.stopNode(id)
        stopsMs.push(performance.now() - sinceMs)
        await mesh.startNode(id)
        await mesh.ready()
      }
    }
    isOver = true
    await book.settled()
    expect(book.failures).toEqual([])
    for (const what of ['publish', 'ack', 'query', 'command'])
      expect(book.slowestMs[what], what).toBeLessThan(SLOWEST_MS)
    expect(book.slowestMs.request).toBeLessThan(SLOW_ANSWER_MS + SLOWEST_MS)
    // Nobody had to be waited for: clients went as soon as they were asked to.
    expect(Math.max(...stopsMs)).toBeLessThan(SLOWEST_MS)
    for (const what of ['publish', 'request', 'ack']) expect(book.calls[what]).toBeGreaterThan(300)
    const all = published.reduce((sum, count) => sum + count, 0)
    await eventually(() => shared.numbers.length >= all, { what: 'everything has come out of the shared queue' })
    for (const [i] of clients.entries()) {
      const numbers = Array.from({ length: published[(i + 2) % 3]! }, (_, n) => n)
      expect(own[i]!.numbers).toEqual(numbers)
      await eventually(() => acked[i]!.numbers.length >= numbers.length, { what: 'all is acked' })
      expect(acked[i]!.numbers).toEqual(numbers)
    }
    expect(shared.numbers).toHaveLength(all)
  }, 60_000)

  it('of all nodes at once waits for no client: without a majority there is nowhere to go', async () => {
    const whole = closeAfterTest(await TestMesh.start({ drainMs: 25_000 }))
    const openDeaf: OpenSocket = (url, handlers) => {
      const onFrame = (frame: Uint8Array) => {
        if (frame[0] !== FrameKind.goodbye) handlers.onFrame(frame)
      }
      return openWebSocket(url, { ...handlers, onFrame })
    }
    for (const _ of whole.ids) await (await whole.clientOf()).subscribe('a', () => {})
    // Alone it would keep its node for the whole grace.
    closeAfterTest(await connectWith(openDeaf, whole.url('n1')))
    const sinceMs = performance.now()
    await Promise.all(whole.ids.map((id) => whole.stopNode(id)))
    expect(performance.now() - sinceMs).toBeLessThan(10_000)
  }, 40_000)
})
