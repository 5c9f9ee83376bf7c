/** Every kind of network that a cluster can be given. */
import type { Impairment } from '../nemesis.ts'
import { cannotFilter } from './namespaces/firewall.ts'
import { namespacesUnavailable } from './namespaces/unavailable.ts'

export interface NetworkKind {
  readonly name: 'proxies' | 'namespaces'
  /** One line for `--list`. */
  readonly about: string
  /** Why it is not to be had on this machine, or undefined. */
  unavailable(): Promise<string | undefined>
  /** Why its links cannot be impaired so, or undefined. */
  cannot(type: Impairment['type']): string | undefined
}

/** The first is the default. */
export const networks: readonly NetworkKind[] = [
  {
    name: 'proxies',
    about: 'nodes on loopback, a TCP proxy on each way between them and their clients',
    unavailable: async () => undefined,
    cannot: () => undefined,
  },
  {
    name: 'namespaces',
    about: 'a network namespace for each node, on one bridge, and nftables: lost packets are sent again (Linux, root)',
    unavailable: () => namespacesUnavailable(),
    cannot: cannotFilter,
  },
]
