/**
 * A worker: a process of its own that holds the clients of several slots, so that a fault can kill clients as they die in life, with
 * everything in their memory. It does what the runner says and decides nothing.
 *
 * Never: an error swallowed. Whatever is thrown past a workload is told to the runner, and ends the process: it is a defect.
 */
import process, { hrtime } from 'node:process'
import { pathToFileURL } from 'node:url'
import type { Json } from '../history.ts'
import type { Workload, WorkloadClient } from '../workload.ts'
import { completionOf } from './completion.ts'
import type { FromWorker, ToWorker } from './protocol.ts'
import { beginningAt } from './server-order.ts'

type Begin = Extract<ToWorker, { type: 'begin' }>

/** Resolves when the message is in the pipe, from where a kill of this process cannot take it back. */
function tell(message: FromWorker): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, undefined, undefined, (error) => (error === null ? resolve() : reject(error)))
  })
}

class Host {
  readonly #begin: Begin
  readonly #workload: Workload
  readonly #clients = new Map<number, WorkloadClient>()

  private constructor(begin: Begin, workload: Workload) {
    this.#begin = begin
    this.#workload = workload
  }

  static async load(begin: Begin): Promise<Host> {
    const module = (await import(pathToFileURL(begin.module).href)) as { readonly workloads: readonly Workload[] }
    const workload = module.workloads.find(({ name }) => name === begin.workload)
    if (workload === undefined) throw new Error(`${begin.module} has no workload ${begin.workload}`)
    return new Host(begin, workload)
  }

  async open(process: number, slot: number): Promise<void> {
    const { concurrency } = this.#begin
    // Together they reach all nodes.
    const connectOptions = beginningAt(process, this.#begin.connectOptions)
    const emit = (name: string, f: string, value: Json) =>
      tell({ type: 'emitted', name, f, value, at: Number(hrtime.bigint()) })
    try {
      const client = await this.#workload.open({ connectOptions, concurrency, slot, process, emit })
      this.#clients.set(process, client)
    } catch (error) {
      // Nobody to connect to, in the midst of faults: the runner tries again.
      return tell({ type: 'opened', process, error: completionOf(error).error ?? 'unknown' })
    }
    return tell({ type: 'opened', process })
  }

  async invoke({ process, operation }: Extract<ToWorker, { type: 'invoke' }>): Promise<void> {
    const client = this.#clients.get(process)
    if (client === undefined) throw new Error(`process ${process} is not open`)
    return tell({ type: 'completed', process, completion: await client.invoke(operation) })
  }

  async close(process: number): Promise<void> {
    const client = this.#clients.get(process)
    this.#clients.delete(process)
    await client?.close()
    return tell({ type: 'closed', process })
  }
}

let host: Promise<Host> | undefined

async function handle(message: ToWorker): Promise<void> {
  if (message.type === 'begin') {
    host = Host.load(message)
    await host
    return tell({ type: 'begun' })
  }
  if (host === undefined) throw new Error(`${message.type} before begin`)
  const loaded = await host
  switch (message.type) {
    case 'open':
      return loaded.open(message.process, message.slot)
    case 'invoke':
      return loaded.invoke(message)
    case 'close':
      return loaded.close(message.process)
  }
}

async function fail(error: unknown): Promise<void> {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  await tell({ type: 'thrown', error: text }).catch(() => {})
  process.exit(1)
}

process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
// The runner is gone, however it ended: nobody wants this process any more.
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => {})
process.on('message', (message: ToWorker) => {
  handle(message).catch(fail)
})
