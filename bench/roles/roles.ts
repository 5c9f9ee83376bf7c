/** The roles by name, with what goes into each and what comes out. */
import type { ConsumerParams, ConsumerResult } from './consumer.ts'
import type { FailoverParams, FailoverResult } from './failover-publisher.ts'
import type { PublisherParams, PublisherResult } from './publisher.ts'
import type { RequesterParams, RequesterResult } from './requester.ts'
import type { ResponderParams, ResponderResult } from './responder.ts'
import type { RoleControl } from './role.ts'

/** Parameters and result of each role; both travel as JSON. */
export interface Roles {
  readonly publisher: { params: PublisherParams; result: PublisherResult }
  readonly consumer: { params: ConsumerParams; result: ConsumerResult }
  readonly requester: { params: RequesterParams; result: RequesterResult }
  readonly responder: { params: ResponderParams; result: ResponderResult }
  readonly failoverPublisher: { params: FailoverParams; result: FailoverResult }
}
export type RoleName = keyof Roles

export type Role<K extends RoleName> = (params: Roles[K]['params'], control: RoleControl) => Promise<Roles[K]['result']>
