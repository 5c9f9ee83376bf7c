/** Publishes through the death of the leader: every message until it is confirmed. Tells which were, and every silence. */
import { writeFileSync } from 'node:fs'
import { sleep, wallMs } from '../figures.ts'
import { bodyMaker, loadSdk, type RoleControl } from './role.ts'

export interface FailoverParams {
  /** The survivor to be connected to first, then the others that may serve. */
  readonly servers: readonly string[]
  readonly topic: string
  readonly size: number
  readonly inFlight: number
  /** Gets the ids of all confirmed messages as JSON. */
  readonly ackedFile: string
}

export interface FailoverResult {
  readonly acked: number
  readonly retries: number
  readonly lastError: string
  /** Wall clock of the confirmations before and after each gap of GAP_MS_MIN or more. */
  readonly gaps: readonly (readonly [fromMs: number, toMs: number])[]
}

const GAP_MS_MIN = 5

const RETRY_PAUSE_MS = 50

export async function failoverPublisher(params: FailoverParams, control: RoleControl): Promise<FailoverResult> {
  const { connect } = await loadSdk()
  const client = await connect({ servers: [...params.servers] })
  const body = bodyMaker(params.size)
  const acked: number[] = []
  let [nextId, retries, lastError, stopped] = [0, 0, '', false]
  control.ready()
  await control.go
  const gaps: [number, number][] = []
  let lastAckMs = wallMs()
  void control.stop.then(() => {
    stopped = true
  })
  const publishOne = async (id: number) => {
    for (;;) {
      try {
        return await client.publish(params.topic, body(id))
      } catch (error) {
        retries += 1
        lastError = String(error)
        await sleep(RETRY_PAUSE_MS)
      }
    }
  }
  const publishInTurn = async () => {
    while (!stopped) {
      const id = nextId++
      await publishOne(id)
      const now = wallMs()
      if (now - lastAckMs >= GAP_MS_MIN) gaps.push([lastAckMs, now])
      lastAckMs = now
      acked.push(id)
    }
  }
  await Promise.all(Array.from({ length: params.inFlight }, publishInTurn))
  writeFileSync(params.ackedFile, JSON.stringify(acked))
  await client.close()
  return { acked: acked.length, retries, lastError, gaps }
}
