/** A client with one subscription on a scripted node, and handlers in the test's hands. */
import type { SubscribeOptions, Subscription } from '../../../client/index.ts'
import { Held } from '../../support/held.ts'
import { connected, lose, reopen, type Scene } from './scene.ts'
import type { ScriptedNode } from './scripted-node.ts'

export interface ConsumerScene extends Scene {
  readonly held: Held
  readonly subscription: Subscription
  /** The consumer's incarnation. */
  readonly consumer: number
}

export async function consuming(
  options: SubscribeOptions = {},
  prepare?: (node: ScriptedNode) => void,
  servers?: string[],
): Promise<ConsumerScene> {
  const scene = await connected(servers === undefined ? {} : { servers }, prepare)
  const held = new Held()
  const subscribing = scene.client.subscribe('orders.*', held.handler, { queue: 'q', ...options })
  await scene.clock.settle()
  return { ...scene, held, subscription: await subscribing, consumer: scene.node.minted }
}

/** Settles as they were sent: outcome, first delivery, count. */
export function settlesOf(node: ScriptedNode): [number, number, number][] {
  return node.settles.flatMap(({ items }) =>
    items.map(({ outcome, firstDelivery, count }): [number, number, number] => [outcome, firstDelivery, count]),
  )
}

export async function reattach(scene: Scene, consumers: readonly number[]): Promise<void> {
  await lose(scene)
  await reopen(scene)
  scene.node.socket.welcome({ consumers, lastSequence: 3 })
  await scene.clock.settle()
}
