/** How the HTTP side answers: JSON or text, never cached. */
import type { ServerResponse } from 'node:http'
import type { ErrorCode } from '../../wire/errors.ts'

export function sendError(response: ServerResponse, status: number, code: ErrorCode, message: string): void {
  sendJson(response, status, { error: { code, message } })
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
