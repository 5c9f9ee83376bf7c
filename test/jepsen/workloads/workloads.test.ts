import { describe, expect, it } from 'vitest'
import type { Json, Operation } from '../../../jepsen-lite/history.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import { Recorder } from '../../../jepsen-lite/run/recorder.ts'
import type { Workload } from '../../../jepsen-lite/workload.ts'
import { consumers } from '../../../jepsen-lite/workloads/consumers.ts'
import { exactlyOnce } from '../../../jepsen-lite/workloads/exactly-once.ts'
import { fanout } from '../../../jepsen-lite/workloads/fanout.ts'
import { fifo } from '../../../jepsen-lite/workloads/fifo.ts'
import { workloads } from '../../../jepsen-lite/workloads/index.ts'
import { linearizable } from '../../../jepsen-lite/workloads/linearizable.ts'
import { isCorrupt, padded, paddedById } from '../../../jepsen-lite/workloads/padding.ts'
import { queue } from '../../../jepsen-lite/workloads/queue.ts'
import { requestReply } from '../../../jepsen-lite/workloads/request-reply.ts'
import { closeAfterTest, TestMesh } from '../../integration/mesh.ts'
import { eventually } from '../../support/eventually.ts'

const CONCURRENCY = 3
const OPERATIONS = 30

function planOf({ plan }: Workload, seed: number) {
  return plan({ random: seeded(seed), concurrency: CONCURRENCY })
}

function operations(workload: Workload, seed: number, slots: readonly number[]): (Operation | undefined)[][] {
  const plan = planOf(workload, seed)
  const drawn: (Operation | undefined)[][] = Array.from({ length: CONCURRENCY }, () => [])
  for (let i = 0; i < 200; i++) for (const slot of slots) drawn[slot]!.push(plan.next(slot))
  return drawn
}

describe.each(workloads.map((workload) => [workload.name, workload] as const))('the workload %s', (_, workload) => {
  it('draws the same operations for a slot from the same seed, whatever other slots do', () => {
    const all = operations(workload, 7, [0, 1, 2])
    expect(operations(workload, 7, [2, 1, 0])).toEqual(all)
    expect(operations(workload, 7, [1])[1]).toEqual(all[1])
    expect(operations(workload, 8, [0, 1, 2])).not.toEqual(all)
  })

  it('asks for a floor of the operation by which it tells that the cluster works, and draws it often', () => {
    const { floors, pulse } = workload
    expect(floors[pulse]).toBeGreaterThan(0)
    const drawn = operations(workload, 7, [0, 1, 2]).flat()
    expect(drawn.filter((operation) => operation?.f === pulse).length).toBeGreaterThan(drawn.length / 5)
  })

  it('is valid on a node to which nothing happens, and does all that it has floors for', {
    timeout: 60_000,
  }, async () => {
    const mesh = closeAfterTest(await TestMesh.start({ ...workload.nodeOptions }, 1))
    const history = await run(workload, mesh)
    const { valid, anomalies } = workload.check(history, { concurrency: CONCURRENCY, nodes: 1 })
    expect({ valid, anomalies }).toEqual({ valid: true, anomalies: [] })
    const done = new Set(history.filter(({ type }) => type === 'ok').map(({ f }) => f))
    expect(Object.keys(workload.floors).filter((f) => !done.has(f))).toEqual([])
  })
})

it.each([fanout, fifo, consumers, exactlyOnce, queue])(
  'the workload $name publishes bodies that can be checked',
  async (workload) => {
    const mesh = closeAfterTest(await TestMesh.start({ ...workload.nodeOptions }, 1))
    const bodies: Json[] = []
    const spy = await mesh.clientOf()
    await spy.subscribe('#', ({ body }) => void bodies.push(body as Json), { queue: 'spy', prefetch: 100 })
    await workload.setup({ client: spy, random: seeded(1), concurrency: CONCURRENCY })
    const context = { connectOptions: { servers: mesh.urls }, concurrency: CONCURRENCY, emit: async () => {} }
    const client = await workload.open({ ...context, slot: 0, process: 0 })
    const published = operations(workload, 7, [0])[0]!
      .filter((operation) => operation?.f === 'publish')
      .slice(0, 3)
    for (const operation of published) expect(await client.invoke(operation!)).toMatchObject({ type: 'ok' })
    await eventually(() => bodies.length >= 3, { what: 'the bodies are there' })
    expect(bodies.filter((body) => isCorrupt(body))).toEqual([])
    await client.close()
  },
)

it('the workload request-reply tells of bodies that are not those that were sent, there and back', async () => {
  const mesh = closeAfterTest(await TestMesh.start({}, 1))
  const served: Json[] = []
  const emit = async (_: string, f: string, value: Json) => void (f === 'serve' && served.push(value))
  const client = await requestReply.open({
    connectOptions: { servers: mesh.urls },
    concurrency: 2,
    slot: 0,
    process: 0,
    emit,
  })
  const other = await mesh.clientOf()
  await other.respond('right', ({ body }) => ({ ...paddedById((body as { id: number }).id), token: 't' }))
  await other.respond('wrong', ({ body }) => ({
    ...padded((body as { id: number }).id, 3),
    padding: 'xyz',
    token: 't',
  }))
  const requests = ['right', 'wrong'].map((topic, id) => ({ id, topic, timeoutMs: 2_000 }))
  const { value } = await client.invoke({ f: 'request', value: { requests } })
  expect(value).toEqual({
    requests: [
      { ...requests[0], as: 'replied', reply: { id: 0, token: 't' } },
      { ...requests[1], as: 'replied', reply: { id: 1, token: 't' }, corrupt: true },
    ],
  })
  await other.request('rr.slot.0', { ...paddedById(2), waitMs: 0 })
  await other.request('rr.slot.0', { ...padded(3, 4), padding: 'abcd', waitMs: 0 })
  expect(served).toMatchObject([{ id: 2 }, { id: 3, corrupt: true }])
  expect(served[0]).not.toHaveProperty('corrupt')
  await client.close()
})

it('the workload linearizable has queues made before they are needed, and asks for lengths without making any', async () => {
  const mesh = closeAfterTest(await TestMesh.start({}, 1))
  const context = { connectOptions: { servers: mesh.urls }, concurrency: 4, emit: async () => {} }
  const [writer, reader] = await Promise.all(
    [0, 3].map((slot) => linearizable.open({ ...context, slot, process: slot })),
  )
  const length = (queue: string) => reader!.invoke({ f: 'length', value: { queue } })
  const client = await mesh.clientOf()
  // What is not there holds nothing: an answer that a confirmed publish would make wrong.
  expect(await length('lin.0.0')).toEqual({ type: 'ok', value: { queue: 'lin.0.0', length: 0 } })
  await expect(client.queue('lin.0.0').stats()).rejects.toMatchObject({ code: 'NotFound' })
  await writer!.invoke({ f: 'publish', value: { queue: 'lin.0.0', id: 1 } })
  expect(await length('lin.0.0')).toEqual({ type: 'ok', value: { queue: 'lin.0.0', length: 1 } })
  await writer!.invoke({ f: 'publish', value: { queue: 'lin.0.1', id: 2 } })
  expect(await client.queue('lin.0.8').stats({ consistent: true })).toMatchObject({ ready: 0 })
  await Promise.all([writer!.close(), reader!.close()])
})

/** As a run does it, without processes and faults: each slot does its operations, and its drain when all have. */
async function run(workload: Workload, mesh: TestMesh) {
  const connectOptions = { servers: mesh.urls, publishTimeoutMs: 5_000 }
  const random = seeded(11)
  await workload.setup({ client: await mesh.clientOf(), random, concurrency: CONCURRENCY })
  const began = performance.now()
  const recorder = new Recorder(() => Math.round((performance.now() - began) * 1e6))
  const plan = planOf(workload, 11)
  const slot = async (slot: number) => {
    let process = slot
    const open = () =>
      workload.open({
        connectOptions,
        slot,
        process,
        concurrency: CONCURRENCY,
        emit: async (name, f, value) => recorder.emit(name, f, value),
      })
    let client = await open()
    const invoke = async (operation: Operation) => {
      recorder.invoke(process, operation)
      const completion = await client.invoke(operation)
      if (!recorder.complete(process, completion)) return completion.type === 'ok'
      await client.close()
      process += CONCURRENCY
      client = await open()
      return false
    }
    for (let i = 0; i < OPERATIONS; i++) await invoke(plan.next(slot)!)
    return async () => {
      for (const operation of plan.drain(slot)) while (!(await invoke(operation)));
      await client.close()
    }
  }
  const drains = await Promise.all(Array.from({ length: CONCURRENCY }, (_, i) => slot(i)))
  await Promise.all(drains.map((drain) => drain()))
  return recorder.events
}
