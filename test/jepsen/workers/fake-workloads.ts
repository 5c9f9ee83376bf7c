/** Workloads for tests of the worker pool: clients without a cluster, whose operations do what the test asks for. */
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../../../client/index.ts'
import type { Completion, Json, Operation } from '../../../jepsen-lite/history.ts'
import type { ClientContext, Workload, WorkloadClient } from '../../../jepsen-lite/workload.ts'

class FakeClient implements WorkloadClient {
  readonly #context: ClientContext
  #closed: Promise<void> = Promise.resolve()

  constructor(context: ClientContext) {
    this.#context = context
  }

  async invoke({ f, value }: Operation): Promise<Completion> {
    const { emit, process: number, slot, connectOptions } = this.#context
    if (f === 'who') return { type: 'ok', value: { process: number, slot, pid: process.pid } }
    if (f === 'where') return { type: 'ok', value: [connectOptions.serverOrder ?? '', ...connectOptions.servers] }
    if (f === 'hang') await sleep(600_000)
    if (f === 'neverClose') this.#closed = new Promise(() => {})
    if (f === 'tell') {
      const { what, ...told } = value as { readonly [key: string]: Json }
      await emit(`c${number}`, String(what), told)
    }
    if (f === 'throw') throw new TypeError('a defect of the workload')
    if (f === 'exit') process.exit(3)
    if (f === 'emitAndDie') {
      await Promise.all(Array.from({ length: Number(value) }, (_, i) => emit(`c${number}`, 'deliver', i)))
      process.kill(process.pid, 'SIGKILL')
    }
    return { type: 'ok', value: value as Json }
  }

  async close(): Promise<void> {
    await this.#closed
    return this.#context.emit(`c${this.#context.process}`, 'closed', null)
  }
}

const fake = {
  name: 'fake',
  async open(context: ClientContext): Promise<WorkloadClient> {
    if (context.slot === 9) throw new MeshError('NoQuorum', 'nobody there')
    return new FakeClient(context)
  },
} as Partial<Workload> as Workload

export const workloads: readonly Workload[] = [fake]
