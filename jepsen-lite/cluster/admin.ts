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

  /** One figure of /metrics, without labels. */
  async metric(name: string, withinMs: number): Promise<number | undefined> {
    const answer = await this.#get('/metrics', withinMs)
    const line = answer?.ok ? answer.text.split('\n').find((each) => each.startsWith(`${name} `)) : undefined
    return line === undefined ? undefined : Number(line.slice(name.length + 1))
  }

  /** By the node's own wall clock, milliseconds since 1970, to the second: every answer of HTTP has its date. */
  async time(withinMs: number): Promise<number | undefined> {
    const date = (await this.#get('/livez', withinMs))?.date
    return date ? Date.parse(date) : undefined
  }

  async #get(path: string, withinMs: number): Promise<Answer | undefined> {
    try {
      const signal = AbortSignal.timeout(withinMs)
      const response = await fetch(new URL(path, this.#url), { headers: this.#headers, signal })
      return { ok: response.ok, text: await response.text(), date: response.headers.get('date') }
    } catch {
      return undefined
    }
  }
}

interface Answer {
  readonly ok: boolean
  readonly text: string
  readonly date: string | null
}
