/** Publishes with a bounded number in flight, for some seconds or a number of messages, and times each confirmation. */
import type { Client } from '../../client/index.ts'
import { Latencies, type LatencySummary, wallMs } from '../figures.ts'
import { bodyMaker, cpuSince, loadSdk, type RoleControl, WARM_UP_MS } from './role.ts'

export interface PublisherParams {
  readonly server: string
  readonly topic: string
  readonly size: number
  readonly window: number
  /** How long to publish and when to stop: after a time (with warm-up) or after so many messages (counted from the first). */
  readonly until: { readonly seconds: number } | { readonly messages: number }
}

export interface PublisherResult {
  readonly acked: number
  readonly errors: number
  readonly lastError: string
  /** Confirmations a second within the measured time. */
  readonly rate: number
  readonly latency: LatencySummary
  readonly startedMs: number
  readonly endedMs: number
  readonly cpuSeconds: number
}

export async function publisher(params: PublisherParams, control: RoleControl): Promise<PublisherResult> {
  const { connect } = await loadSdk()
  const client = await connect({ servers: params.server })
  control.ready()
  await control.go
  const cpu = process.cpuUsage()
  const run = new PublishRun(client, params)
  await run.finished
  const cpuSeconds = cpuSince(cpu)
  await client.close()
  return { ...run.result(), cpuSeconds }
}

class PublishRun {
  readonly finished: Promise<void>
  readonly #client: Client
  readonly #params: PublisherParams
  readonly #body: (id: number) => Buffer
  readonly #latencies = new Latencies()
  readonly #startedMs = wallMs()
  readonly #from: number
  readonly #to: number
  readonly #messagesMax: number
  #sent = 0
  #inFlight = 0
  #acked = 0
  #counted = 0
  #errors = 0
  #lastError = ''
  #endedAt = 0
  #finish = () => {}

  constructor(client: Client, params: PublisherParams) {
    this.#client = client
    this.#params = params
    this.#body = bodyMaker(params.size)
    const now = performance.now()
    const timed = 'seconds' in params.until ? params.until.seconds * 1000 : undefined
    this.#from = timed === undefined ? now : now + WARM_UP_MS
    this.#to = timed === undefined ? Number.POSITIVE_INFINITY : this.#from + timed
    this.#messagesMax = 'messages' in params.until ? params.until.messages : Number.POSITIVE_INFINITY
    this.finished = new Promise((resolve) => {
      this.#finish = resolve
    })
    this.#pump()
  }

  result(): Omit<PublisherResult, 'cpuSeconds'> {
    const measuredMs = Number.isFinite(this.#to) ? this.#to - this.#from : this.#endedAt - this.#from
    return {
      acked: this.#acked,
      errors: this.#errors,
      lastError: this.#lastError,
      rate: (this.#counted / measuredMs) * 1000,
      latency: this.#latencies.summary(),
      startedMs: this.#startedMs,
      endedMs: performance.timeOrigin + this.#endedAt,
    }
  }

  #pump(): void {
    const { topic, window } = this.#params
    while (this.#inFlight < window && this.#sent < this.#messagesMax && this.#endedAt === 0) {
      this.#inFlight += 1
      const calledAt = performance.now()
      this.#client.publish(topic, this.#body(this.#sent++)).then(
        () => this.#settled(calledAt, undefined),
        (error: unknown) => this.#settled(calledAt, error),
      )
    }
  }

  #settled(calledAt: number, error: unknown): void {
    const now = performance.now()
    this.#inFlight -= 1
    if (error === undefined) {
      this.#acked += 1
      if (now >= this.#from && now < this.#to) {
        this.#counted += 1
        this.#latencies.add(now - calledAt)
      }
    } else {
      this.#errors += 1
      this.#lastError = String(error)
    }
    if (this.#endedAt === 0 && now >= this.#to) this.#endedAt = now
    this.#pump()
    if (this.#inFlight > 0) return
    if (this.#endedAt === 0) this.#endedAt = now
    this.#finish()
  }
}
