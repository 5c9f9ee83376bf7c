/**
 * A member's log as its driver sees it, with the oracle listening: what is written, when it is durable, what is read.
 *
 * Never: changes anything on the way.
 */
import type { LogStorage, NodeId } from '../../raft/index.ts'
import type { Oracle } from './oracle.ts'
import type { Trace } from './trace.ts'

export interface WatchedLog {
  readonly id: NodeId
  readonly log: LogStorage
  readonly oracle: Oracle
  readonly trace: Trace
  /** Whether the process that opened the log still runs: what comes later is nobody's. */
  readonly isAlive: () => boolean
  /** A write is on its way. */
  readonly onWriting: () => void
}

export function watchedLog({ id, log, oracle, trace, isAlive, onWriting }: WatchedLog): LogStorage {
  const model = oracle.model(id)
  const resolved = () => {
    if (isAlive()) model.resolved()
  }
  return {
    recovered: () => log.recovered(),
    append: (batch) => {
      const { hardState, entries } = batch
      trace.note('append', id, hardState?.term, hardState?.vote, entries[0]?.index, entries.length)
      oracle.onAppend(id, batch)
      onWriting()
      return log.append(batch).then(resolved)
    },
    read: async (from, bytesMax) => {
      const { cuts } = model
      const entries = await log.read(from, bytesMax)
      if (isAlive()) oracle.onRead(id, entries, cuts)
      return entries
    },
    reset: (base) => {
      trace.note('reset', id, base.index, base.term)
      oracle.onReset(id, base)
      onWriting()
      return log.reset(base).then(resolved)
    },
  }
}
