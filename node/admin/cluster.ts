/**
 * The one part of the HTTP side that changes something: operators' changes of the members.
 *
 *     POST /cluster/add       { "id": "n4", "promote": true, "timeoutMs": 30000 }
 *     POST /cluster/promote   { "id": "n4" }
 *     POST /cluster/remove    { "id": "n4" }
 *     POST /cluster/transfer  { "to": "n2" }   leadership; without `to`: to whoever has caught up best
 *
 * Answers when the change is committed. A node that does not lead answers 307 with the leader's address. An error tells by its `outcome` whether
 * anything was done: `not-applied` may be asked again elsewhere.
 *
 * Any web page can send requests to loopback, so whatever comes from a page (it has an Origin) is refused, and so is a body that is not
 * declared as JSON, which a page may not send elsewhere without being asked first.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { type ErrorCode, MeshError } from '../../wire/errors.ts'
import type { MembershipOperation, OperationAnswer } from '../membership-operations.ts'
import { sendError, sendJson } from './answers.ts'

export interface ClusterControl {
  /** Rejects with MeshError. */
  run(operation: MembershipOperation): Promise<OperationAnswer>
  /** Under which its peers reach a node. */
  urlOf(id: string): string | undefined
}

const BODY_BYTES_MAX = 4096
const TIMEOUT_MS_DEFAULT = 30_000
const TIMEOUT_MS_MAX = 3_600_000

const id = z.string().min(1).max(63)
const timeoutMs = z.int().min(1).max(TIMEOUT_MS_MAX).default(TIMEOUT_MS_DEFAULT)

const operations = {
  '/cluster/add': z.strictObject({ id, promote: z.boolean().default(false), timeoutMs }),
  '/cluster/promote': z.strictObject({ id, timeoutMs }),
  '/cluster/remove': z.strictObject({ id, timeoutMs }),
  '/cluster/transfer': z.strictObject({ to: id.optional(), timeoutMs }),
}

type Path = keyof typeof operations

export function isClusterPath(path: string): path is Path {
  return Object.hasOwn(operations, path)
}

/** `request` is a POST of somebody who may do this. */
export async function changeCluster(
  control: ClusterControl,
  path: Path,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    if (request.headers.origin !== undefined)
      throw new MeshError('Unauthorized', 'web pages may not change the cluster')
    const operation = readOperation(path, await readBody(request))
    const answer = await control.run(operation)
    if (answer.done) {
      const { voters, learners, leader } = answer
      return sendJson(response, 200, { voters, learners, leader })
    }
    sendElsewhere(control, path, answer.leader, response)
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    sendError(response, statuses[error.code] ?? 500, error.code, error.message, error.outcome)
  }
}

const statuses: Partial<Record<ErrorCode, number>> = {
  Validation: 400,
  Unauthorized: 403,
  NotFound: 404,
  Precondition: 409,
  PayloadTooLarge: 413,
  NoQuorum: 503,
  Timeout: 504,
}

function sendElsewhere(
  control: ClusterControl,
  path: Path,
  leader: string | undefined,
  response: ServerResponse,
): void {
  const url = leader === undefined ? undefined : control.urlOf(leader)
  if (url === undefined) return sendError(response, 503, 'NoQuorum', 'no leader is known', 'not-applied')
  response.setHeader('Location', new URL(path, url.replace(/^ws/, 'http')).href)
  sendJson(response, 307, { leader: { id: leader, url } })
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new MeshError('Validation', 'the body must be application/json')
  }
  const text = await readText(request)
  try {
    return JSON.parse(text)
  } catch {
    throw new MeshError('Validation', 'the body is no JSON')
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length
      chunks.push(chunk)
      if (bytes > BODY_BYTES_MAX) break
    }
  } catch (error) {
    // Whoever asked has gone away in the middle of it.
    throw new MeshError('Connection', 'the request was cut short', { cause: error })
  }
  if (bytes > BODY_BYTES_MAX) throw new MeshError('PayloadTooLarge', `the body is above ${BODY_BYTES_MAX} bytes`)
  return Buffer.concat(chunks).toString()
}

function readOperation(path: Path, body: unknown): MembershipOperation {
  switch (path) {
    case '/cluster/add':
      return { what: 'add', ...valid(operations[path], body) }
    case '/cluster/promote':
      return { what: 'promote', ...valid(operations[path], body) }
    case '/cluster/remove':
      return { what: 'remove', ...valid(operations[path], body) }
    case '/cluster/transfer': {
      const { to, timeoutMs } = valid(operations[path], body)
      return { what: 'transfer', to, timeoutMs }
    }
  }
}

function valid<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  throw new MeshError(
    'Validation',
    parsed.error.issues.map(({ path, message }) => [...path, message].join(': ')).join('; '),
  )
}
