/** A node's HTTP side as tests ask it. */
import type { NodeStatus } from '../../node/admin/source.ts'
import { eventually } from './eventually.ts'

/** `url` is the node's WebSocket URL. */
export function get(url: string, path: string, headers: Record<string, string> = {}): Promise<Response> {
  const target = new URL(path, url.replace(/^ws/, 'http'))
  return fetch(target, { headers: { connection: 'close', ...headers }, signal: AbortSignal.timeout(5_000) })
}

export async function isReady(url: string): Promise<boolean> {
  const response = await get(url, '/readyz')
  await response.arrayBuffer()
  return response.ok
}

export async function statusOf(url: string, path = '/status'): Promise<NodeStatus> {
  return (await (await get(url, path)).json()) as NodeStatus
}

/** The value of one metric without labels, or of the only series of one with labels. */
export async function metricOf(url: string, name: string): Promise<number> {
  const text = await (await get(url, '/metrics')).text()
  const line = text.split('\n').find((each) => each.startsWith(`${name} `) || each.startsWith(`${name}{`))
  if (line === undefined) throw new Error(`no metric ${name}`)
  return Number(line.slice(line.lastIndexOf(' ')))
}

/** The leader's id, once all of these nodes name the same one. */
export function agreedLeader(urls: readonly string[]): Promise<string> {
  return eventually(
    async () => {
      const leaders = new Set((await Promise.all(urls.map((url) => statusOf(url)))).map(({ leader }) => leader))
      return leaders.size === 1 ? [...leaders][0] : undefined
    },
    { what: `the nodes at ${urls.join(', ')} agree on a leader` },
  )
}

/**
 * The state hash that all of these nodes share, once nothing moves any more: equal applied index, equal hash. Different hashes at the
 * same index throw at once: those replicas have diverged, and no waiting mends that.
 */
export async function agreedState(urls: readonly string[]): Promise<string> {
  const agreed = await eventually(
    async () => {
      const all = await Promise.all(urls.map((url) => statusOf(url, '/status?stateHash=1')))
      const [first] = all
      return all.every(({ appliedIndex }) => appliedIndex === first!.appliedIndex) ? all : undefined
    },
    { what: 'all nodes have applied the same entries' },
  )
  const hashes = new Set(agreed.map(({ stateHash }) => stateHash))
  const [hash] = hashes
  if (hashes.size !== 1 || hash === undefined) {
    const told = agreed.map(({ node, stateHash }) => `${node} ${stateHash}`).join(', ')
    throw new Error(`replicas differ at index ${agreed[0]!.appliedIndex}: ${told}`)
  }
  return hash
}
