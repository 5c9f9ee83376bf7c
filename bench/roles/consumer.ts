/** Consumes a number of distinct messages from each of some queues, one connection a queue, and acknowledges every one. */
import type { Client } from '../../client/index.ts'
import { wallMs } from '../figures.ts'
import { bodyId, cpuSince, loadSdk, type RoleControl } from './role.ts'

export interface ConsumerParams {
  readonly server: string
  readonly topic: string
  readonly queues: readonly string[]
  /** Distinct messages of each queue. */
  readonly messages: number
  readonly prefetch: number
}

export interface ConsumerResult {
  /** Everything received is acknowledged, confirmed by the cluster. */
  readonly endedMs: number
  readonly duplicates: number
  /** Messages that came after one that was published later. */
  readonly outOfOrder: number
  /** Before it subscribed: a queue that is not empty delivers from then on. */
  readonly startedMs: number
  readonly cpuSeconds: number
}

export async function consumer(params: ConsumerParams, control: RoleControl): Promise<ConsumerResult> {
  const { connect } = await loadSdk()
  const startedMs = wallMs()
  const clients: Client[] = []
  const complete: Promise<void>[] = []
  let duplicates = 0
  let outOfOrder = 0
  for (const queue of params.queues) {
    const client = await connect({ servers: params.server })
    clients.push(client)
    complete.push(
      new Promise((resolve, reject) => {
        const seen = new Uint8Array(params.messages)
        let distinct = 0
        let last = -1
        const count = (message: { body: unknown }) => {
          const id = bodyId(message.body)
          if (seen[id] === 1) {
            duplicates += 1
            return
          }
          if (id < last) outOfOrder += 1
          last = id
          seen[id] = 1
          distinct += 1
          if (distinct === params.messages) resolve()
        }
        const options = { queue, prefetch: params.prefetch }
        client.subscribe(params.topic, count, options).catch(reject)
      }),
    )
  }
  control.ready()
  await control.go
  const cpu = process.cpuUsage()
  await Promise.all(complete)
  await Promise.all(clients.map((client) => client.drain()))
  return { endedMs: wallMs(), duplicates, outOfOrder, startedMs, cpuSeconds: cpuSince(cpu) }
}
