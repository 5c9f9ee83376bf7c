/** The only door of the admin interface. */
export type { ClusterControl } from './cluster.ts'
export { type AdminHandler, type AdminOptions, createAdminHandler } from './http.ts'
export { NodeMetrics } from './metrics.ts'
export type {
  AdminSource,
  MemberProgress,
  MemberStatus,
  MessageTotals,
  MetricsSnapshot,
  NodeStatus,
  QueueMetrics,
  RaftMetrics,
  Verdict,
} from './source.ts'
