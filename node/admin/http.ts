/**
 * The HTTP side of a node's port: health, readiness, status, metrics, and the changes of the members (cluster.ts).
 *
 *     GET /livez    200 while the event loop turns
 *     GET /healthz  200 while the process is well, else 503
 *     GET /readyz   200 while the node serves clients, else 503 with the reason
 *     GET /status   JSON of one moment; ?stateHash=0 leaves out the hash, which walks the whole state
 *     GET /metrics  Prometheus' text format
 *
 * Where clients need a token, all but the probes ask for one too (`Authorization: Bearer …`): they name queues and
 * members, or change them. The probes never do, since orchestrators cannot log in.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { send, sendError, sendJson } from './answers.ts'
import { type ClusterControl, changeCluster, isClusterPath } from './cluster.ts'
import { NodeMetrics } from './metrics.ts'
import type { AdminSource, Verdict } from './source.ts'

export interface AdminOptions {
  /** Holds the sync histogram, which is fed before there is a source. Default: a new one. */
  readonly metrics?: NodeMetrics
  /** One of them opens /status and /metrics; none: they are open. */
  readonly tokens?: readonly string[]
  /** Carries out changes of the members; without it there are none. */
  readonly cluster?: ClusterControl
}

export type AdminHandler = (request: IncomingMessage, response: ServerResponse) => void

type Route = (url: URL, response: ServerResponse) => void

export function createAdminHandler(source: AdminSource, options: AdminOptions = {}): AdminHandler {
  const { metrics = new NodeMetrics(), tokens = [], cluster } = options
  const open: Record<string, Route> = {
    '/livez': (_, response) => sendVerdict(response, { ok: true }),
    '/healthz': (_, response) => sendVerdict(response, source.healthy()),
    '/readyz': (_, response) => sendVerdict(response, source.ready()),
  }
  const guarded: Record<string, Route> = {
    '/status': (url, response) => {
      sendJson(response, 200, source.status({ stateHash: url.searchParams.get('stateHash') !== '0' }))
    },
    // A rejection would be a defect of ours: it ends the process like every unhandled one.
    '/metrics': async (_, response) => send(response, 200, metrics.contentType, await metrics.render(source.metrics())),
  }
  return (request, response) => {
    const target = `http://node${request.url ?? '/'}`
    const url = URL.canParse(target) ? new URL(target) : undefined
    const path = url?.pathname ?? ''
    const route = Object.hasOwn(open, path) ? open[path] : Object.hasOwn(guarded, path) ? guarded[path] : undefined
    const changes = cluster !== undefined && isClusterPath(path)
    if (url === undefined || (route === undefined && !changes))
      return sendError(response, 404, 'NotFound', `nothing is served at ${path}`)
    const methods = changes ? ['POST'] : ['GET', 'HEAD']
    if (!methods.includes(request.method ?? '')) {
      response.setHeader('Allow', methods.join(', '))
      return sendError(response, 405, 'Validation', `${path} answers ${methods.join(' and ')} alone`)
    }
    if (!Object.hasOwn(open, path) && !isAllowed(request, tokens)) {
      response.setHeader('WWW-Authenticate', 'Bearer')
      return sendError(response, 401, 'Unauthorized', `${path} needs a token of this cluster`)
    }
    // A rejection would be a defect of ours: it ends the process like every unhandled one.
    if (changes) void changeCluster(cluster, path, request, response)
    else route?.(url, response)
  }
}

function isAllowed(request: IncomingMessage, tokens: readonly string[]): boolean {
  if (tokens.length === 0) return true
  const shown = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  // Every token is compared, in constant time: the answer's delay tells nothing about them.
  return shown !== undefined && tokens.filter((token) => timingSafeEqual(digest(shown), digest(token))).length > 0
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function sendVerdict(response: ServerResponse, { ok, reason, warnings = [] }: Verdict): void {
  const warned = warnings.length > 0 ? { warnings } : {}
  if (ok) sendJson(response, 200, { status: 'ok', ...warned })
  else sendJson(response, 503, { status: 'unavailable', reason: reason ?? 'unknown', ...warned })
}
