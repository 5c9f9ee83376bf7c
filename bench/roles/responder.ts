/** Answers every request with its own body until it is stopped. */
import { cpuSince, loadSdk, type RoleControl } from './role.ts'

export interface ResponderParams {
  readonly server: string
  readonly topic: string
}

export interface ResponderResult {
  readonly cpuSeconds: number
}

export async function responder(params: ResponderParams, control: RoleControl): Promise<ResponderResult> {
  const { connect } = await loadSdk()
  const client = await connect({ servers: params.server })
  await client.respond(params.topic, (request) => request.body)
  control.ready()
  const cpu = process.cpuUsage()
  await control.go
  await control.stop
  const cpuSeconds = cpuSince(cpu)
  await client.close()
  return { cpuSeconds }
}
