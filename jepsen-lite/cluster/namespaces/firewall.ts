/**
 * The packet filter of one node's namespace. Each impairment is a table of its own: they know nothing of each other, and a packet has to pass
 * all of them. What they count is packets, headers and retransmissions included.
 */
import { type Impairment, type ImpairmentEffect, resetting } from '../../nemesis.ts'
import { inside, tell } from './commands.ts'

/** A way as its packets look in this namespace: those that come in, or those that go out. */
export interface FilteredWay {
  readonly hook: 'input' | 'output'
  readonly source: string
  readonly destination: string
}

/** What packets it can do without: bytes that are dropped come again, so what is meant to come late does. */
const held: ReadonlySet<Impairment['type']> = new Set(['stall', 'rate'])

/** In the order of nft's priorities: what swallows a packet does so before anybody could answer it. */
const PRIORITIES: Readonly<Record<Impairment['type'], number>> = {
  blackhole: -3,
  stall: -2,
  reset: -1,
  refuse: -1,
  rate: 0,
  delay: 0,
}

/** For one packet of full size to pass, whatever the rate. */
const BURST_BYTES = 1_500

/** Why there is no such rule, or undefined. */
export function cannotFilter(type: Impairment['type']): string | undefined {
  return type === 'delay'
    ? 'a packet filter drops packets, it cannot hold them back: that needs --network proxies'
    : undefined
}

interface Listed {
  readonly nftables: readonly { readonly rule?: { readonly expr: readonly { readonly counter?: Counter }[] } }[]
}

interface Counter {
  readonly packets: number
  readonly bytes: number
}

export class Firewall {
  readonly #nft: readonly string[]
  /** One change after the other. */
  #busy: Promise<unknown> = Promise.resolve()

  constructor(namespace: string) {
    this.#nft = [...inside(namespace), 'nft']
  }

  /** Resolves when it holds. */
  add(name: string, way: FilteredWay, impairment: Impairment): Promise<void> {
    return this.#alone(async () => {
      await tell([...this.#nft, '-f', '-'], tableOf(name, way, impairment))
    })
  }

  /** Resolves with what it did when it holds no longer. */
  remove(name: string, { type }: Impairment): Promise<ImpairmentEffect> {
    return this.#alone(async () => {
      const listed = JSON.parse(await tell([...this.#nft, '-j', 'list', 'table', 'inet', name])) as Listed
      await tell([...this.#nft, 'delete', 'table', 'inet', name])
      return effectOf(type, listed)
    })
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(work)
    this.#busy = done.catch(() => {})
    return done
  }
}

/** In nft's language: one transaction. */
function tableOf(name: string, { hook, source, destination }: FilteredWay, impairment: Impairment): string {
  const other = hook === 'input' ? 'output' : 'input'
  const isOnWay = `ip saddr ${source} ip daddr ${destination}`
  const isOnWayBack = `ip saddr ${destination} ip daddr ${source}`
  const verdict = verdictOf(impairment)
  const priority = PRIORITIES[impairment.type]
  const chains = [chainOf(hook, priority, `${isOnWay} ${verdict}`)]
  // Who sends is told at once; so that both ends are, whichever speaks first, the way back answers the same.
  if (resetting.has(impairment.type)) chains.push(chainOf(other, priority, `${isOnWayBack} ${verdict}`))
  return `table inet ${name} {\n${chains.join('\n')}\n}\n`
}

function chainOf(hook: string, priority: number, rule: string): string {
  return `chain ${hook} { type filter hook ${hook} priority ${priority}; policy accept; ${rule}; }`
}

function verdictOf(impairment: Impairment): string {
  switch (impairment.type) {
    case 'blackhole':
    case 'stall':
      return 'counter drop'
    case 'reset':
    case 'refuse':
      // Resets themselves pass: the other end hears of it by them.
      return 'tcp flags & rst == 0 counter reject with tcp reset'
    case 'rate':
      return `limit rate over ${impairment.bytesPerSecond} bytes/second burst ${BURST_BYTES} bytes counter drop`
    case 'delay':
      throw new Error(cannotFilter('delay'))
  }
}

function effectOf(type: Impairment['type'], { nftables }: Listed): ImpairmentEffect {
  const counters = nftables.flatMap(({ rule }) => (rule?.expr ?? []).flatMap(({ counter }) => counter ?? []))
  const bytes = counters.reduce((sum, counter) => sum + counter.bytes, 0)
  const packets = counters.reduce((sum, counter) => sum + counter.packets, 0)
  return {
    bytesDropped: held.has(type) ? 0 : bytes,
    bytesDelayed: held.has(type) ? bytes : 0,
    socketsReset: resetting.has(type) ? packets : 0,
  }
}
