/**
 * What a responder gets with a request and sends back with its reply, opaque to it: where the reply goes, and the nonce that makes
 * it the reply to this attempt. Who was not sent the request cannot know it.
 */
export interface RequestAddress {
  /** The node that waits for the reply. */
  readonly node: string
  readonly asker: number
  readonly request: number
  readonly nonce: number
}

export function writeToken({ node, asker, request, nonce }: RequestAddress): string {
  return `${asker}:${request}:${nonce}:${node}`
}

const shape = /^(\d{1,16}):(\d{1,16}):(\d{1,16}):([^:]+)$/

/** Undefined for what no node has written. */
export function readToken(token: string): RequestAddress | undefined {
  const [, asker, request, nonce, node] = shape.exec(token) ?? []
  if (node === undefined) return undefined
  const address = { node, asker: Number(asker), request: Number(request), nonce: Number(nonce) }
  // A peer would close the link on which such a number came: one client could cut nodes from each other.
  const isCounted = [address.asker, address.request, address.nonce].every(Number.isSafeInteger)
  return isCounted ? address : undefined
}
