/**
 * Questions of clients that the node answers from its own replica, after a ReadIndex barrier when the client wants what
 * a majority confirms.
 */
import { MeshError } from '../../wire/errors.ts'
import { FrameKind } from '../../wire/frame.ts'
import { encodeSessionFrame, type Query } from '../../wire/session-frames.ts'
import type { Machine } from '../queue/index.ts'
import type { ClientSession } from './client-session.ts'

export interface QuerySource {
  readonly machine: Machine
  /** Resolves when this replica holds all that was committed at the call. */
  readonly barrier: () => Promise<unknown>
  /** What /status tells. */
  readonly status: () => unknown
}

export function answerQuery(source: QuerySource, session: ClientSession, query: Query): void {
  const answer = () => {
    const { id } = query
    try {
      session.socket.send(encodeSessionFrame(FrameKind.answer, { id, value: evaluate(source, query) }))
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      const { code, message } = error
      session.socket.send(encodeSessionFrame(FrameKind.answer, { id, code, message }))
    }
  }
  if (query.consistent !== true) return answer()
  source.barrier().then(answer, (error) => {
    const answered = { id: query.id, code: 'NoQuorum' as const, message: String(error) }
    session.socket.send(encodeSessionFrame(FrameKind.answer, answered))
  })
}

function evaluate({ machine, status }: QuerySource, { what, name }: Query): unknown {
  switch (what) {
    case 'queue': {
      const stats = typeof name === 'string' ? machine.queueStats(name) : undefined
      if (stats === undefined) throw new MeshError('NotFound', `there is no queue '${name ?? ''}'`)
      return stats
    }
    case 'queues':
      return machine.queueNames().map((queue) => machine.queueStats(queue))
    case 'cluster':
      return status()
    default:
      throw new MeshError('Protocol', `'${String(what)}' cannot be asked for`)
  }
}
