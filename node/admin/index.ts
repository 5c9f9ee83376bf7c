/** The only door of the admin interface. */
export { type AdminHandler, type AdminOptions, createAdminHandler } from './http.ts'
export { NodeMetrics } from './metrics.ts'
export type {
  AdminSource,
  MemberStatus,
  MessageTotals,
  MetricsSnapshot,
  NodeStatus,
  QueueMetrics,
  RaftMetrics,
  Verdict,
} from './source.ts'
