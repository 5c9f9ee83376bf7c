/**
 * Questions of clients that the node answers from its own replica, after a ReadIndex barrier when the client wants what
 * a majority confirms.
 */
import { InvariantError } from '../../raft/index.ts'
import { MeshError } from '../../wire/errors.ts'
import { FrameKind } from '../../wire/frame.ts'
import { queueNameProblem } from '../../wire/names.ts'
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
  if (query.consistent !== true) return answer(source, session, query)
  source
    .barrier()
    .then(
      () => answer(source, session, query),
      (error) => refuse(session, query, new MeshError('NoQuorum', String(error))),
    )
    // What goes wrong with one client's question ends that client's socket, not the process.
    .catch((error: unknown) => {
      if (error instanceof InvariantError) throw error
      session.socket.fail(error)
    })
}

function answer(source: QuerySource, session: ClientSession, query: Query): void {
  try {
    session.socket.send(encodeSessionFrame(FrameKind.answer, { id: query.id, value: evaluate(source, query) }))
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    refuse(session, query, error)
  }
}

function refuse(session: ClientSession, { id }: Query, { code, message }: MeshError): void {
  session.socket.send(encodeSessionFrame(FrameKind.answer, { id, code, message }))
}

function evaluate({ machine, status }: QuerySource, { what, name = '' }: Query): unknown {
  switch (what) {
    case 'queue': {
      const problem = queueNameProblem(name)
      if (problem !== undefined) throw new MeshError('NotFound', problem)
      const stats = machine.queueStats(name)
      if (stats === undefined) throw new MeshError('NotFound', `there is no queue '${name}'`)
      return stats
    }
    case 'queues':
      return machine.queueNames().map((queue) => machine.queueStats(queue))
    case 'cluster':
      return status()
    default:
      throw new MeshError('Protocol', `'${what as string}' cannot be asked for`)
  }
}
