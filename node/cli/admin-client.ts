/** Asks a node's HTTP side. Whoever does not answer is an expected case here, not an error; what a node refuses is read by `refusalOf`. */
import { type ErrorCode, errorKinds, isErrorCode, MeshError, type Outcome } from '../../wire/errors.ts'

export interface AdminAnswer {
  readonly ok: boolean
  readonly value: unknown
}

const ANSWER_TIMEOUT_MS = 1_000

/** The answer to a change: a node that does not lead says where the leader is. */
export interface ChangeAnswer extends AdminAnswer {
  readonly location: string | undefined
}

/** `url` is the node's WebSocket URL; undefined when nothing that speaks our language answers there in time. */
export async function fetchAdmin(url: string, path: string, token?: string): Promise<AdminAnswer | undefined> {
  try {
    const response = await fetch(httpUrl(url, path), { headers: headersOf(token), signal: within(ANSWER_TIMEOUT_MS) })
    return { ok: response.ok, value: await response.json() }
  } catch {
    return undefined
  }
}

/** Redirections are the caller's to follow, since `fetch` would leave the token behind. */
export async function postAdmin(
  url: string,
  path: string,
  body: object,
  timeoutMs: number,
  token?: string,
): Promise<ChangeAnswer | undefined> {
  try {
    const response = await fetch(httpUrl(url, path), {
      method: 'POST',
      redirect: 'manual',
      headers: { ...headersOf(token), 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: within(timeoutMs),
    })
    const location = response.headers.get('location') ?? undefined
    return { ok: response.ok, value: await response.json(), location }
  } catch {
    return undefined
  }
}

/** What an answer that is not ok says. */
export function refusalOf({ value }: AdminAnswer): MeshError {
  const { code, message, outcome } =
    (value as { error?: { code?: unknown; message?: unknown; outcome?: unknown } }).error ?? {}
  const known: ErrorCode = isErrorCode(code) ? code : 'Remote'
  return new MeshError(known, typeof message === 'string' ? message : 'the node refused without a reason', {
    outcome: isOutcome(outcome) ? outcome : errorKinds[known].outcome,
  })
}

function isOutcome(value: unknown): value is Outcome {
  return value === 'not-applied' || value === 'applied' || value === 'unknown'
}

function httpUrl(url: string, path: string): URL {
  return new URL(path, url.replace(/^ws/, 'http'))
}

function headersOf(token: string | undefined): Record<string, string> {
  return { connection: 'close', ...(token !== undefined && { authorization: `Bearer ${token}` }) }
}

function within(ms: number): AbortSignal {
  return AbortSignal.timeout(ms)
}
