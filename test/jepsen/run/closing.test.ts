import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { closeClients } from '../../../jepsen-lite/run/closing.ts'
import { type OpenProcess, WorkerPool } from '../../../jepsen-lite/workers/pool.ts'

const module = path.join(import.meta.dirname, '../workers/fake-workloads.ts')
/** For what ends: a word to the worker and one back. */
const WITHIN_MS = 1_000
/** For what never does. */
const BRIEF_MS = 100
let pool: WorkerPool
let open: OpenProcess

beforeEach(async () => {
  pool = await WorkerPool.start({
    workers: 1,
    begin: { type: 'begin', module, workload: 'fake', connectOptions: { servers: [] }, concurrency: 1 },
    execArgv: ['--import', 'tsx'],
    emitted: () => {},
  })
  open = await pool.open(0, 0)
})

afterEach(() => pool.stop())

const tell = (what: string) => open.invoke({ f: 'tell', value: { what } })
const slots = { close: () => open.close() }

it('clients that are closed when everything has come to its end leave nothing to tell', async () => {
  for (const what of ['subscribe', 'answered']) await tell(what)
  expect(await closeClients(slots, pool, WITHIN_MS)).toEqual([])
})

it('a call of a consumer that only the close of its client ends hangs', async () => {
  await tell('close')
  // The fake client tells `closed` when it is closed.
  expect(await closeClients(slots, pool, WITHIN_MS)).toEqual(['close of c0'])
})

it('a close that does not end is told, and nobody waits for it; what hung before is told once', async () => {
  await tell('subscribe')
  await open.invoke({ f: 'neverClose', value: null })
  expect(await closeClients(slots, pool, BRIEF_MS)).toEqual(['subscribe of c0', 'close of process 0'])
})
