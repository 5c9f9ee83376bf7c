/** In which order clients of a run try the nodes: a matter of numbers that the seed fixes, never of the SDK's dice. */
import type { ConnectOptions } from '../../client/index.ts'

/** Options that begin with the server so many places down the list, and then go round. */
export function beginningAt<T extends ConnectOptions>(place: number, connectOptions: T): T {
  const servers = [connectOptions.servers].flat()
  const first = place % servers.length
  return { ...connectOptions, serverOrder: 'listed', servers: [...servers.slice(first), ...servers.slice(0, first)] }
}
