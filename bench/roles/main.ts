/** The process of one role: `main.ts ROLE PARAMS-AS-JSON`, talked to over the IPC channel. */
import { consumer } from './consumer.ts'
import { failoverPublisher } from './failover-publisher.ts'
import { publisher } from './publisher.ts'
import { requester } from './requester.ts'
import { responder } from './responder.ts'
import type { RoleControl } from './role.ts'
import type { Role, RoleName } from './roles.ts'

const roles: { readonly [K in RoleName]: Role<K> } = { publisher, consumer, requester, responder, failoverPublisher }

/** Messages of the IPC channel. */
export type FromRole = { readonly ready: true } | { readonly result: unknown } | { readonly error: string }
export type ToRole = 'go' | 'stop'

function tell(message: FromRole): Promise<void> {
  return new Promise((resolve) => process.send!(message, () => resolve()))
}

function roleControl(): RoleControl {
  const heard = (wanted: ToRole) =>
    new Promise<void>((resolve) => {
      process.on('message', (message) => {
        if (message === wanted) resolve()
      })
    })
  return { ready: () => void tell({ ready: true }), go: heard('go'), stop: heard('stop') }
}

async function main(): Promise<void> {
  const [name, params] = process.argv.slice(2)
  // Nobody would read the result of a role whose benchmark is gone.
  process.once('disconnect', () => process.exit(1))
  try {
    const role = roles[name as RoleName] as Role<RoleName>
    await tell({ result: await role(JSON.parse(params!), roleControl()) })
    process.exit(0)
  } catch (error) {
    await tell({ error: String((error as Error).stack ?? error) })
    process.exit(1)
  }
}

void main()
