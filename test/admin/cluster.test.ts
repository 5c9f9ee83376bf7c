import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type ClusterControl, createAdminHandler } from '../../node/admin/index.ts'
import type { AdminSource } from '../../node/admin/source.ts'
import type { MembershipOperation, OperationAnswer } from '../../node/membership-operations.ts'
import { MeshError } from '../../wire/errors.ts'
import { eventually } from '../support/eventually.ts'

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve))
})

const noSource = {} as AdminSource

async function serve(answer: OperationAnswer | Error, tokens: string[] = []) {
  const seen: MembershipOperation[] = []
  const cluster: ClusterControl = {
    run: async (operation) => {
      seen.push(operation)
      if (answer instanceof Error) throw answer
      return answer
    },
    urlOf: (id) => (id === 'n2' ? 'ws://127.0.0.1:7102' : undefined),
  }
  const server = createServer(createAdminHandler(noSource, { cluster, tokens }))
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const post = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json', connection: 'close', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
    return { status: response.status, location: response.headers.get('location'), value: await response.json() }
  }
  return { post, seen, port }
}

const done: OperationAnswer = { done: true, voters: ['n1', 'n2'], learners: ['n4'], leader: 'n1' }

describe('changes of the members over HTTP', () => {
  it.each([
    ['/cluster/add', { id: 'n4' }, { what: 'add', id: 'n4', promote: false, timeoutMs: 30_000 }],
    ['/cluster/add', { id: 'n4', promote: true, timeoutMs: 5 }, { what: 'add', id: 'n4', promote: true, timeoutMs: 5 }],
    ['/cluster/promote', { id: 'n4' }, { what: 'promote', id: 'n4', timeoutMs: 30_000 }],
    ['/cluster/remove', { id: 'n4' }, { what: 'remove', id: 'n4', timeoutMs: 30_000 }],
    ['/cluster/transfer', {}, { what: 'transfer', to: undefined, timeoutMs: 30_000 }],
    ['/cluster/transfer', { to: 'n2' }, { what: 'transfer', to: 'n2', timeoutMs: 30_000 }],
  ])('%s with %o is understood, and answered with the members', async (path, body, operation) => {
    const { post, seen } = await serve(done)
    expect(await post(path, body)).toEqual({
      status: 200,
      location: null,
      value: { voters: ['n1', 'n2'], learners: ['n4'], leader: 'n1' },
    })
    expect(seen).toEqual([operation])
  })

  it('are sent on to the leader, if one is known', async () => {
    const known = await serve({ done: false, leader: 'n2' })
    expect(await known.post('/cluster/remove', { id: 'n3' })).toEqual({
      status: 307,
      location: 'http://127.0.0.1:7102/cluster/remove',
      value: { leader: { id: 'n2', url: 'ws://127.0.0.1:7102' } },
    })
    const unknown = await serve({ done: false, leader: undefined })
    expect(await unknown.post('/cluster/remove', { id: 'n3' })).toMatchObject({
      status: 503,
      value: { error: { code: 'NoQuorum', outcome: 'not-applied' } },
    })
  })

  it.each([
    ['NotFound', 404],
    ['Precondition', 409],
    ['NoQuorum', 503],
    ['Timeout', 504],
  ] as const)('that fail with %s are answered %i, with the outcome', async (code, status) => {
    for (const outcome of ['not-applied', 'unknown'] as const) {
      const { post } = await serve(new MeshError(code, 'because', { outcome }))
      expect(await post('/cluster/remove', { id: 'n3' })).toMatchObject({
        status,
        value: { error: { code, message: 'because', outcome } },
      })
    }
  })

  it.each([
    ['no id', {}, /^id: /],
    ['an unknown field', { id: 'n3', force: true }, /^Unrecognized key: "force"/],
    ['a timeout that is none', { id: 'n3', timeoutMs: -1 }, /^timeoutMs: /],
    ['no JSON', '{"id"', /^the body is no JSON$/],
    ['no object', '"n3"', /^Invalid input: expected object/],
  ])('with %s are refused, and nothing is done', async (_, body, message) => {
    const { post, seen } = await serve(done)
    const refused = { code: 'Validation', message: expect.stringMatching(message) }
    expect(await post('/cluster/remove', body)).toMatchObject({ status: 400, value: { error: refused } })
    expect(seen).toEqual([])
  })

  it('that are long are refused', async () => {
    const { post, seen } = await serve(done)
    expect(await post('/cluster/remove', { id: 'x'.repeat(10_000) })).toMatchObject({ status: 413 })
    expect(seen).toEqual([])
  })

  it('from web pages are refused, and so are bodies that any page might send', async () => {
    const { post, seen } = await serve(done)
    const body = { id: 'n3' }
    expect((await post('/cluster/remove', body, { origin: 'http://127.0.0.1:8080' })).status).toBe(403)
    expect((await post('/cluster/remove', body, { 'content-type': 'text/plain' })).status).toBe(400)
    expect(seen).toEqual([])
  })

  it('need a token where clients do', async () => {
    const { post, seen } = await serve(done, ['t1'])
    expect((await post('/cluster/remove', { id: 'n3' })).status).toBe(401)
    expect((await post('/cluster/remove', { id: 'n3' }, { authorization: 'Bearer no' })).status).toBe(401)
    expect(seen).toEqual([])
    expect((await post('/cluster/remove', { id: 'n3' }, { authorization: 'Bearer t1' })).status).toBe(200)
  })

  it('are POSTed', async () => {
    const { port, seen } = await serve(done)
    const answer = await fetch(`http://127.0.0.1:${port}/cluster/remove`, { headers: { connection: 'close' } })
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST'])
    expect(seen).toEqual([])
  })

  it('that are cut short harm nobody', async () => {
    const { port, post, seen } = await serve(done)
    const socket = connect(port, '127.0.0.1')
    const head =
      'POST /cluster/remove HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{'
    await new Promise<void>((sent) => socket.write(head, () => sent()))
    await eventually(
      async () => (await new Promise<number>((told) => servers[0]!.getConnections((_, n) => told(n)))) === 1,
    )
    socket.destroy()
    expect((await post('/cluster/remove', { id: 'n3' })).status).toBe(200)
    expect(seen).toHaveLength(1)
  })
})
