/**
 * Volatile requests and replies on their way to other nodes: those of one turn travel together, in parcels of bounded size.
 *
 * Bounded by what is gathered in one turn; what a link does not take is given back at once. Never: a retry.
 */
import { inFrames } from '../wire/in-frames.ts'
import type { VolatileReply, VolatileRequest } from './peers/volatile-codec.ts'

/** What a row takes beside its message and its texts, bytes. */
const ROW_BYTES = 64

export interface VolatileOutOptions {
  /** False: there is no way to the node. */
  readonly sendRequests: (node: string, requests: readonly VolatileRequest[]) => boolean
  readonly sendReplies: (node: string, replies: readonly VolatileReply[]) => boolean
  readonly onUnsentRequest: (request: VolatileRequest) => void
  readonly onUnsentReply: (node: string, reply: VolatileReply) => void
}

export class VolatileOut {
  readonly #options: VolatileOutOptions
  #requests = new Map<string, VolatileRequest[]>()
  #replies = new Map<string, VolatileReply[]>()
  #scheduled = false

  constructor(options: VolatileOutOptions) {
    this.#options = options
  }

  request(node: string, request: VolatileRequest): void {
    this.#gather(this.#requests, node, request)
  }

  reply(node: string, reply: VolatileReply): void {
    this.#gather(this.#replies, node, reply)
  }

  /** Sends what this turn has gathered so far. */
  flush(): void {
    const { sendRequests, sendReplies, onUnsentRequest, onUnsentReply } = this.#options
    this.#scheduled = false
    const requests = this.#requests
    const replies = this.#replies
    this.#requests = new Map()
    this.#replies = new Map()
    for (const [node, all] of requests) {
      for (const rows of inFrames(all, rowBytes)) if (!sendRequests(node, rows)) rows.forEach(onUnsentRequest)
    }
    for (const [node, all] of replies) {
      for (const rows of inFrames(all, replyBytes)) {
        if (!sendReplies(node, rows)) for (const row of rows) onUnsentReply(node, row)
      }
    }
  }

  #gather<T>(out: Map<string, T[]>, node: string, item: T): void {
    const items = out.get(node)
    if (items === undefined) out.set(node, [item])
    else items.push(item)
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(() => this.flush())
  }
}

/** What a request takes between nodes, bytes. */
export function rowBytes({ topic, message }: { readonly topic: string; readonly message: Uint8Array | null }): number {
  return ROW_BYTES + topic.length + (message?.length ?? 0)
}

function replyBytes({ message, error }: VolatileReply): number {
  return ROW_BYTES + (message?.length ?? 0) + (error?.length ?? 0)
}
