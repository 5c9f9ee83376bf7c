import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Json } from '../../../jepsen-lite/history.ts'
import { type OpenProcess, WorkerPool } from '../../../jepsen-lite/workers/pool.ts'
import { eventually } from '../../support/eventually.ts'

const module = path.join(import.meta.dirname, 'fake-workloads.ts')
let pool: WorkerPool | undefined
let emitted: [string, string, Json][] = []
/** When each was told. */
let stamps: number[] = []

afterEach(async () => {
  await pool?.stop()
  pool = undefined
})

async function start(workers = 2, workload = 'fake'): Promise<WorkerPool> {
  emitted = []
  stamps = []
  pool = await WorkerPool.start({
    workers,
    begin: { type: 'begin', module, workload, connectOptions: { servers: ['a', 'b', 'c'] }, concurrency: 4 },
    execArgv: ['--import', 'tsx'],
    emitted: (name, f, value, at) => {
      emitted.push([name, f, value])
      stamps.push(at)
    },
  })
  return pool
}

const who = async (open: OpenProcess) => (await open.invoke({ f: 'who', value: null })).value as Record<string, number>

describe('the pool of workers', () => {
  it('does operations of several processes in several workers', async () => {
    const { open } = bound(await start())
    const all = await Promise.all([0, 1, 2, 3].map((slot) => open(slot, slot + 40).then(who)))
    expect(all.map(({ process, slot }) => [process, slot])).toEqual([0, 1, 2, 3].map((slot) => [slot + 40, slot]))
    expect(all[0]!.pid).toBe(all[2]!.pid)
    expect(all[0]!.pid).not.toBe(all[1]!.pid)
  })

  it('sends each process to a server of its own first, by its number, so that no dice decide', async () => {
    const { open } = bound(await start())
    const all = await Promise.all([0, 1, 2, 3].map((slot) => open(slot, slot + 4)))
    const where = await Promise.all(all.map((each) => each.invoke({ f: 'where', value: null })))
    expect(where.map(({ value }) => value)).toEqual([
      ['listed', 'b', 'c', 'a'],
      ['listed', 'c', 'a', 'b'],
      ['listed', 'a', 'b', 'c'],
      ['listed', 'b', 'c', 'a'],
    ])
  })

  it('makes open operations of a killed worker info, and starts it anew', async () => {
    const { open, pool } = bound(await start())
    const [mine, other, beside] = await Promise.all([open(0, 0), open(1, 1), open(2, 2)])
    const before = await who(mine)
    const hanging = mine.invoke({ f: 'hang', value: null })
    expect(await pool.kill(0)).toBe(2)
    expect(await hanging).toEqual({ type: 'info', error: expect.stringContaining('Killed') })
    expect([mine.isAlive, other.isAlive, beside.isAlive]).toEqual([false, true, false])
    expect(await mine.invoke({ f: 'who', value: null })).toMatchObject({ type: 'info' })
    await mine.close()
    const again = await open(0, 4)
    expect((await who(again)).pid).not.toBe(before.pid)
    expect(await pool.kill(0)).toBe(1)
    expect(pool.failures).toEqual([])
  })

  it('loses nothing of what was emitted before a kill', async () => {
    const { open } = bound(await start(1))
    const dying = await open(0, 0)
    await dying.invoke({ f: 'emitAndDie', value: 5_000 })
    await eventually(() => !dying.isAlive, { what: 'the worker is gone' })
    expect(emitted).toEqual(Array.from({ length: 5_000 }, (_, i) => ['c0', 'deliver', i]))
  })

  it('says of what was emitted when that was, by the clock that all processes have', async () => {
    const { open } = bound(await start())
    const now = () => Number(process.hrtime.bigint())
    const all = await Promise.all([open(0, 0), open(1, 1)])
    const times = [now()]
    for (const each of all) {
      await each.invoke({ f: 'tell', value: { what: 'deliver' } })
      times.push(now())
    }
    expect(emitted.map(([name]) => name)).toEqual(['c0', 'c1'])
    for (const [i, at] of stamps.entries()) {
      expect(at).toBeGreaterThan(times[i]!)
      expect(at).toBeLessThan(times[i + 1]!)
    }
  })

  it('tells what is thrown past a workload, and an end that nobody wanted, and goes on', async () => {
    const { open, pool } = bound(await start())
    const [throwing, ending] = await Promise.all([open(0, 0), open(1, 1)])
    expect(await throwing.invoke({ f: 'throw', value: null })).toMatchObject({ type: 'info' })
    expect(await ending.invoke({ f: 'exit', value: null })).toMatchObject({ type: 'info' })
    const failures = await eventually(() => pool.failures.length === 2 && pool.failures, { what: 'both are told' })
    expect(failures.join('\n')).toContain('TypeError: a defect of the workload')
    expect(failures.join('\n')).toContain('ended by itself: exit code 3')
    expect((await who(await open(0, 4))).slot).toBe(0)
  })

  it('rejects a client that cannot connect, and closes one that is done with', async () => {
    const { open } = bound(await start(1))
    await expect(open(9, 9)).rejects.toThrow('NoQuorum: nobody there')
    const mine = await open(0, 0)
    await mine.close()
    expect(emitted).toEqual([['c0', 'closed', null]])
  })

  it('tells which calls of consumers do not come to their end, and of none that has', async () => {
    const { open, pool } = bound(await start())
    const [mine, other] = await Promise.all([open(0, 0), open(1, 1)])
    const tell = (from: OpenProcess, what: string) =>
      from.invoke({ f: 'tell', value: { what, message: 'm', attempt: 2, queue: 'q' } })
    for (const from of [mine, other]) for (const what of ['subscribe', 'settle']) await tell(from, what)
    await tell(mine, 'answered')
    const hanging = ['settle of c0: message m, attempt 2', 'subscribe of c1', 'settle of c1: message m, attempt 2']
    expect([...(await pool.hanging(100))].sort()).toEqual(hanging.sort())
    const within = pool.hanging(30_000)
    await Promise.all([tell(mine, 'settled'), tell(other, 'settled').then(() => tell(other, 'answered'))])
    expect(await within).toEqual([])
  })

  it('calls nothing hanging that died with its worker', async () => {
    const { open, pool } = bound(await start())
    const mine = await open(0, 0)
    await mine.invoke({ f: 'tell', value: { what: 'subscribe' } })
    await mine.invoke({ f: 'neverClose', value: null })
    void mine.close()
    expect(await pool.hanging(100)).toEqual(['close of process 0', 'subscribe of c0'])
    await pool.kill(0)
    expect(await pool.hanging(0)).toEqual([])
    const again = await open(0, 4)
    await again.invoke({ f: 'tell', value: { what: 'subscribe' } })
    await pool.stop()
    expect(await pool.hanging(0)).toEqual([])
  })

  it('does not start with a workload that there is not', async () => {
    await expect(start(1, 'nothing')).rejects.toThrow('has no workload nothing')
  })
})

/** `open` may be handed around. */
function bound(pool: WorkerPool) {
  return { pool, open: (slot: number, process: number) => pool.open(slot, process) }
}
