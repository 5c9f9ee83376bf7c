import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { get } from '../support/admin.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { TestMesh } from './mesh.ts'

let mesh: TestMesh
let url: string

beforeAll(async () => {
  mesh = await TestMesh.start({ tokens: ['first-token', 'second-token'], origins: ['https://app.example.com'] }, 1)
  url = mesh.url('n1')
})

afterAll(() => mesh.close())

describe('a client', () => {
  it.each([{}, { token: 'wrong' }, { token: 'first-toke' }, { token: '' }])(
    'with %o is turned away at once',
    async (options) => {
      const startedMs = performance.now()
      await expect(mesh.client('n1', { ...options, connectTimeoutMs: 20_000 })).rejects.toMatchObject({
        code: 'Unauthorized',
        outcome: 'not-applied',
      })
      expect(performance.now() - startedMs).toBeLessThan(5_000)
    },
  )

  it.each(['first-token', 'second-token'])('with %s is let in', async (token) => {
    const client = await mesh.client('n1', { token })
    await client.publish('a', 1)
  })
})

describe('HTTP', () => {
  it.each(['/status', '/metrics'])('%s needs a token', async (path) => {
    expect((await get(url, path)).status).toBe(401)
    expect((await get(url, path, { authorization: 'Bearer wrong' })).status).toBe(401)
    expect((await get(url, path, { authorization: 'Bearer second-token' })).status).toBe(200)
  })

  it.each(['/livez', '/healthz', '/readyz'])('%s needs none', async (path) => {
    expect((await get(url, path)).status).toBe(200)
  })
})

describe('a web page', () => {
  it.each(['https://evil.example', 'http://localhost.evil.example', 'null', 'file://', 'http://10.0.0.1'])(
    'from %s gets no socket',
    async (origin) => {
      const socket = new RawSocket(url, '/client', { origin })
      expect(await socket.ended).toMatchObject({ status: 403 })
    },
  )

  it.each(['http://localhost:3000', 'http://127.0.0.1', 'https://app.example.com'])('from %s does', async (origin) => {
    const socket = new RawSocket(url, '/client', { origin })
    expect(await socket.greet({ token: 'first-token' })).toMatchObject({ node: 'n1' })
    socket.socket.terminate()
  })

  it('from anywhere gets no peer socket', async () => {
    const socket = new RawSocket(url, '/peer', { origin: 'http://localhost:3000' })
    expect(await socket.ended).toMatchObject({ status: 403 })
  })
})

describe('another path', () => {
  it('is nothing', async () => {
    expect(await new RawSocket(url, '/elsewhere').ended).toMatchObject({ status: 404 })
    expect((await get(url, '/')).status).toBe(404)
  })
})
