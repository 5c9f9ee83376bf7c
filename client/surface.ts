/** What both doors of the client show. */
export { type ErrorCode, MeshError, type Outcome } from '../wire/errors.ts'
export type {
  Admin,
  Client,
  DrainOptions,
  DrainReport,
  Queue,
  QueueOptions,
  QueueStats,
  StatsOptions,
} from './client.ts'
export type { Clock } from './clock.ts'
export { connectWith } from './connect.ts'
export type { Logger } from './logger.ts'
export { type Message, PermanentError } from './message.ts'
export type { ConnectOptions } from './options.ts'
export type { PubAck } from './outgoing.ts'
export type { PublishOptions } from './publisher.ts'
export type { Admin, Queue, QueueOptions, QueueStats, StatsOptions } from './queue.ts'
export type { RequestOptions } from './requests.ts'
export type { OpenSocket, Socket, SocketHandlers } from './socket.ts'
export type { Status } from './status.ts'
export type { CloseOptions, Handler, SubscribeOptions, Subscription } from './subscription.ts'
