/**
 * Questions of clients that the node answers from its own replica, after a ReadIndex barrier when the client wants what
 * a majority confirms.
 */
import { InvariantError } from '../../raft/index.ts'
import { MeshError } from '../../wire/errors.ts'
import { FrameKind } from '../../wire/frame.ts'
import { queueNameProblem } from '../../wire/names.ts'
import { encodeSessionFrame, type Query } from '../../wire/session-frames.ts'
import type { Machine, QueueStats } from '../queue/index.ts'
import type { ClientSession } from './client-session.ts'

/** A longer answer would be above what a client takes in one frame (4 MiB). */
const ANSWER_BYTES_MAX = 3 * 1024 * 1024
/** Bytes of one queue's row beside its name and patterns, at the least: the names of its fields. */
const STATS_BYTES_MIN = 100

export interface QuerySource {
  readonly machine: Machine
  /** Resolves when this replica holds all that was committed at the call. */
  readonly barrier: () => Promise<unknown>
  /** What /status tells. */
  readonly status: () => unknown
}

export function answerQuery(source: QuerySource, session: ClientSession, query: Query): void {
  if (!session.queries.take()) {
    refuse(session, query, new MeshError('Overloaded', 'too many queries are waiting for answers'))
    return
  }
  const ready = (failure?: unknown) => session.queries.ready(() => answer(source, session, query, failure))
  if (query.consistent === true) source.barrier().then(() => ready(), ready)
  else ready()
}

/** Bytes of the answer. What goes wrong with one client's question ends that client's socket, not the process. */
function answer(source: QuerySource, session: ClientSession, query: Query, failure: unknown): number {
  if (!session.socket.open) return 0
  try {
    if (failure !== undefined) throw new MeshError('NoQuorum', String(failure))
    if (session.congested) throw new MeshError('Overloaded', 'the client does not read what was sent to it')
    const frame = encodeSessionFrame(FrameKind.answer, { id: query.id, value: evaluate(source, query) })
    if (frame.length > ANSWER_BYTES_MAX) throw tooLong()
    session.send(frame)
    return frame.length
  } catch (error) {
    if (error instanceof InvariantError) throw error
    if (error instanceof MeshError) refuse(session, query, error)
    else session.socket.fail(error)
    return 0
  }
}

function refuse(session: ClientSession, { id }: Query, { code, message }: MeshError): void {
  session.send(encodeSessionFrame(FrameKind.answer, { id, code, message }))
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
      return allQueues(machine)
    case 'cluster':
      return status()
    default:
      throw new MeshError('Protocol', `'${what as string}' cannot be asked for`)
  }
}

/** Stops as soon as it is clear that the answer would be too long. */
function allQueues(machine: Machine): QueueStats[] {
  const all: QueueStats[] = []
  let bytes = 0
  for (const name of machine.queueNames()) {
    const stats = machine.queueStats(name)!
    bytes += STATS_BYTES_MIN + name.length
    for (const binding of stats.bindings) bytes += binding.length
    if (bytes > ANSWER_BYTES_MAX) throw tooLong()
    all.push(stats)
  }
  return all
}

function tooLong(): MeshError {
  return new MeshError('LimitExceeded', `the answer is longer than ${ANSWER_BYTES_MAX} bytes; ask for single queues`)
}
