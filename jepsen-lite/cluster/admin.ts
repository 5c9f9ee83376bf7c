/**
 * A node's HTTP side, as an operator asks it. Whoever does not answer in time is an expected case here, not an error.
 */

/** What of `/status` is looked at. */
export interface NodeStatus {
  readonly node: string
  readonly term: number
  readonly leader?: string
  readonly role: string
  readonly appliedIndex: number
  readonly member: 'voter' | 'learner' | 'none'
  readonly doubt: number
  readonly missingBodies: number
  readonly stateHash?: string
}

export class Admin {
  readonly #url: string
  readonly #headers: Readonly<Record<string, string>>

  /** `url` is the node's WebSocket URL; `token` one of the cluster's, if it has any. */
  constructor(url: string, token?: string) {
    this.#url = url.replace(/^ws/, 'http')
    this.#headers = { connection: 'close', ...(token !== undefined && { authorization: `Bearer ${token}` }) }
  }

  async isReady(withinMs: number): Promise<boolean> {
    return (await this.#get('/readyz', withinMs))?.ok === true
  }

  /** The hash walks the node's whole state: only on request. */
  async status(withinMs: number, wants: { readonly stateHash?: boolean } = {}): Promise<NodeStatus | undefined> {
    const answer = await this.#get(wants.stateHash ? '/status' : '/status?stateHash=0', withinMs)
    return answer?.ok ? (JSON.parse(answer.text) as NodeStatus) : undefined
  }

  async #get(path: string, withinMs: number): Promise<{ readonly ok: boolean; readonly text: string } | undefined> {
    try {
      const signal = AbortSignal.timeout(withinMs)
      const response = await fetch(new URL(path, this.#url), { headers: this.#headers, signal })
      return { ok: response.ok, text: await response.text() }
    } catch {
      return undefined
    }
  }
}
