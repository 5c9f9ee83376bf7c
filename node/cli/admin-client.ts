/** Asks a node's HTTP side. Whoever does not answer is an expected case here, not an error. */

export interface AdminAnswer {
  readonly ok: boolean
  readonly value: unknown
}

const ANSWER_TIMEOUT_MS = 1_000

/** `url` is the node's WebSocket URL; undefined when nothing that speaks our language answers there in time. */
export async function fetchAdmin(url: string, path: string, token?: string): Promise<AdminAnswer | undefined> {
  const headers: Record<string, string> = { connection: 'close' }
  if (token !== undefined) headers.authorization = `Bearer ${token}`
  try {
    const target = new URL(path, url.replace(/^ws/, 'http'))
    const response = await fetch(target, { headers, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })
    return { ok: response.ok, value: await response.json() }
  } catch {
    return undefined
  }
}
