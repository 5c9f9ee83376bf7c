import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { TestMesh } from './mesh.ts'

let mesh: TestMesh
let names = 0
const fresh = (word: string) => `${word}${++names}`

beforeAll(async () => {
  mesh = await TestMesh.start()
})

afterAll(() => mesh.close())

describe('a request', () => {
  it.each([
    ['n1', 'n1'],
    ['n1', 'n2'],
    ['n2', 'n3'],
    ['n3', 'n1'],
  ])('from %s gets its reply from a responder on %s', async (from, to) => {
    const topic = fresh('price')
    const responder = await mesh.client(to)
    await responder.respond(`${topic}.*`, ({ body, headers, topic: asked }) => ({
      twice: 2 * (body as number),
      headers,
      asked,
    }))
    const asker = await mesh.client(from)
    const reply = await asker.request(`${topic}.quote`, 21, { headers: { tenant: 'acme' } })
    expect(reply.body).toEqual({ twice: 42, headers: { tenant: 'acme' }, asked: `${topic}.quote` })
  })

  it.each(['n1', 'n2', 'n3'])('that nobody listens to fails at once on %s, long before its deadline', async (from) => {
    const asker = await mesh.client(from)
    const startedMs = performance.now()
    const asked = asker.request(fresh('nobody'), 1, { timeoutMs: 20_000 })
    await expect(asked).rejects.toMatchObject({ code: 'NoResponders', outcome: 'not-applied' })
    expect(performance.now() - startedMs).toBeLessThan(2_000)
  })

  it('finds a responder that has just been confirmed on another node', async () => {
    const asker = await mesh.client('n1')
    const responder = await mesh.client('n3')
    for (let i = 0; i < 20; i++) {
      const topic = fresh('new')
      await responder.respond(topic, () => i)
      expect((await asker.request(topic, 1)).body).toBe(i)
    }
  })

  it('fails at once when the only responder has gone, and goes to another if there is one', async () => {
    const topic = fresh('shared')
    const first = await mesh.client('n2')
    const second = await mesh.client('n3')
    await first.respond(topic, () => 'first')
    await second.respond(topic, () => 'second')
    const asker = await mesh.client('n1')
    await first.close()
    for (let i = 0; i < 10; i++) expect((await asker.request(topic, 1)).body).toBe('second')
    await second.close()
    await expect(asker.request(topic, 1, { timeoutMs: 20_000 })).rejects.toMatchObject({ code: 'NoResponders' })
  })

  it('whose responder throws gets Remote with what it said', async () => {
    const topic = fresh('broken')
    const responder = await mesh.client('n2')
    await responder.respond(topic, () => {
      throw new Error('out of stock')
    })
    const asker = await mesh.client('n1')
    const error: unknown = await asker.request(topic, 1).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'Remote', outcome: 'applied' })
    expect(String((error as Error).message) + String((error as Error).cause)).toContain('out of stock')
  })

  it('without a reply in time fails with Timeout, and a late reply harms nobody', async () => {
    const topic = fresh('slow')
    const responder = await mesh.client('n2')
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    await responder.respond(topic, async ({ body }) => {
      if (body === 'slow') await released
      return body
    })
    const asker = await mesh.client('n1')
    const slow = asker.request(topic, 'slow', { timeoutMs: 200 })
    await expect(slow).rejects.toMatchObject({ code: 'Timeout', outcome: 'unknown' })
    release()
    expect((await asker.request(topic, 'quick')).body).toBe('quick')
  })

  it('is shared among responders', async () => {
    const topic = fresh('shared')
    const counts = new Map<string, number>()
    for (const id of mesh.ids) {
      const responder = await mesh.client(id)
      await responder.respond(topic, () => {
        counts.set(id, (counts.get(id) ?? 0) + 1)
      })
    }
    const asker = await mesh.client('n2')
    await Promise.all(Array.from({ length: 90 }, (_, i) => asker.request(topic, i)))
    expect([...counts.values()].reduce((sum, count) => sum + count, 0)).toBe(90)
    for (const count of counts.values()) expect(count).toBeGreaterThanOrEqual(15)
  })

  it('gets its own reply and no other: 3 askers, 3 responders, 3,000 requests under way', async () => {
    const topic = fresh('echo')
    const answered = new Set<string>()
    for (const id of mesh.ids) {
      const responder = await mesh.client(id)
      await responder.respond(`${topic}.*`, async ({ body, topic: asked, correlationId }) => {
        answered.add(id)
        // Later requests overtake this one in half of the cases.
        if ((body as { n: number }).n % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
        return { ...(body as object), asked, correlationId }
      })
    }
    const askers = await Promise.all(mesh.ids.map((id) => mesh.client(id)))
    const wrong: unknown[] = []
    const ask = async (asker: number, n: number) => {
      const asked = `${topic}.${asker}-${n}`
      const correlationId = `${asker}/${n}`
      const reply = await askers[asker]!.request(asked, { asker, n }, { correlationId, timeoutMs: 20_000 })
      const expected = { asker, n, asked, correlationId }
      if (JSON.stringify(reply.body) !== JSON.stringify(expected)) wrong.push({ expected, got: reply.body })
    }
    await Promise.all(askers.flatMap((_, asker) => Array.from({ length: 1_000 }, (__, n) => ask(asker, n))))
    expect(wrong).toEqual([])
    expect([...answered].sort()).toEqual(['n1', 'n2', 'n3'])
  })

  it('leaves nothing in the log', async () => {
    const topic = fresh('light')
    const responder = await mesh.client('n2')
    await responder.respond(topic, () => 'pong')
    const asker = await mesh.client('n1')
    await asker.request(topic, 'ping')
    await mesh.agreedState()
    const before = mesh.node('n1').status().lastIndex
    await Promise.all(Array.from({ length: 100 }, () => asker.request(topic, 'ping')))
    await mesh.agreedState()
    expect(mesh.node('n1').status().lastIndex).toBe(before)
  })
})

describe('a responder', () => {
  it('that stops responding gets no more requests', async () => {
    const topic = fresh('service')
    const responder = await mesh.client('n3')
    const subscription = await responder.respond(topic, () => 'pong')
    const asker = await mesh.client('n1')
    expect((await asker.request(topic, 'ping')).body).toBe('pong')
    await subscription.close()
    await eventually(async () => {
      const error: unknown = await asker.request(topic, 'ping').catch((thrown) => thrown)
      return (error as { code?: string }).code === 'NoResponders'
    })
  })
})
