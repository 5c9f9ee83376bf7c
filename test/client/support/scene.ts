/** A client on a scripted node, with its clock in the test's hands. */
import { type Client, type ConnectOptions, connectWith } from '../../../client/index.ts'
import { ManualClock } from './manual-clock.ts'
import { ScriptedNode } from './scripted-node.ts'

export interface Scene {
  readonly node: ScriptedNode
  readonly clock: ManualClock
  readonly client: Client
}

export async function connected(
  options: Partial<ConnectOptions> = {},
  prepare: (node: ScriptedNode, clock: ManualClock) => void = () => {},
): Promise<Scene> {
  const node = new ScriptedNode()
  const clock = new ManualClock()
  prepare(node, clock)
  const connecting = connectWith(node.openSocket, { servers: ['ws://a:1', 'ws://b:2'], ...options }, clock)
  await clock.settle()
  return { node, clock, client: await connecting }
}

/** What became of a promise so far. */
export function watched<T>(promise: Promise<T>): { value: T | undefined; error: unknown; isSettled: boolean } {
  const state = { value: undefined as T | undefined, error: undefined as unknown, isSettled: false }
  promise.then(
    (value) => Object.assign(state, { value, isSettled: true }),
    (error: unknown) => Object.assign(state, { error, isSettled: true }),
  )
  return state
}

/** The socket breaks, and nobody answers until `reopen`. */
export async function lose({ node, clock }: Pick<Scene, 'node' | 'clock'>): Promise<void> {
  node.auto.open = false
  node.socket.break('ECONNRESET')
  await clock.settle()
}

/** The next attempt reaches a node, whose welcome the test gives. */
export async function reopen({ node, clock }: Pick<Scene, 'node' | 'clock'>): Promise<void> {
  node.auto.welcome = false
  while (node.socket.isOver) await clock.advance(10)
  node.socket.open()
  await clock.settle()
}

/** Publishes numbers without waiting for any. */
export function publishAll(client: Client, count: number, from = 1) {
  return Array.from({ length: count }, (_, i) => watched(client.publish('a.b', from + i)))
}
