/** Sends requests with a fixed number in flight for some seconds and times each reply. */
import { Latencies, type LatencySummary } from '../figures.ts'
import { bodyMaker, cpuSince, loadSdk, type RoleControl } from './role.ts'

export interface RequesterParams {
  readonly server: string
  readonly topic: string
  readonly size: number
  readonly inFlight: number
  readonly seconds: number
}

export interface RequesterResult {
  readonly requests: number
  readonly rate: number
  readonly latency: LatencySummary
  readonly cpuSeconds: number
}

/** Uncounted requests before the measurement, one at a time. */
const WARM_UP_REQUESTS = 200

export async function requester(params: RequesterParams, control: RoleControl): Promise<RequesterResult> {
  const { connect } = await loadSdk()
  const client = await connect({ servers: params.server })
  const body = bodyMaker(params.size)
  control.ready()
  await control.go
  for (let i = 0; i < WARM_UP_REQUESTS; i++) await client.request(params.topic, body(i))
  const latencies = new Latencies()
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  const endsAt = startedAt + params.seconds * 1000
  let requests = 0
  const askInTurn = async () => {
    for (;;) {
      const calledAt = performance.now()
      if (calledAt >= endsAt) return
      await client.request(params.topic, body(requests))
      latencies.add(performance.now() - calledAt)
      requests += 1
    }
  }
  await Promise.all(Array.from({ length: params.inFlight }, askInTurn))
  const rate = (requests / (performance.now() - startedAt)) * 1000
  const cpuSeconds = cpuSince(cpu)
  await client.close()
  return { requests, rate, latency: latencies.summary(), cpuSeconds }
}
