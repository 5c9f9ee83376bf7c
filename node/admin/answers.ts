/** How the HTTP side answers: JSON or text, never cached. */
import type { ServerResponse } from 'node:http'
import type { ErrorCode, Outcome } from '../../wire/errors.ts'

/** `outcome` where something was to be changed: whether it was. */
export function sendError(
  response: ServerResponse,
  status: number,
  code: ErrorCode,
  message: string,
  outcome?: Outcome,
): void {
  sendJson(response, status, { error: { code, message, outcome } })
}

export function sendJson(response: ServerResponse, status: number, value: object): void {
  send(response, status, 'application/json; charset=utf-8', `${JSON.stringify(value)}\n`)
}

/** Node's own HTTP code leaves the body out of the answer to HEAD. */
export function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(body)
}
