/** A fault of links: one impairment on some ways for some time. What partitions, delays, stalls and slow links have in common. */
import type { EndImpairment, Fault, FaultTarget, Impairment, ImpairmentEffect, Totals } from '../nemesis.ts'

/** Bytes from one to another. */
export type WayName = readonly [from: string, to: string]

export interface LinkFaultOptions {
  readonly name: string
  readonly holdMs: number
  readonly impairment: Impairment
  /** Which ways, and in words what that means; asked for when the fault begins. */
  readonly find: (target: FaultTarget) => Promise<{ readonly what: string; readonly ways: readonly WayName[] }>
}

export function linkFault({ name, holdMs, impairment, find }: LinkFaultOptions): Fault {
  const ends: EndImpairment[] = []
  return {
    name,
    holdMs,
    async begin(target) {
      const { what, ways } = await find(target)
      await Promise.all(ways.map(async ([from, to]) => ends.push(await target.links.impair(from, to, impairment))))
      return { what, done: {} }
    },
    async end() {
      const done = { bytesDropped: 0, bytesDelayed: 0, socketsReset: 0 }
      for (const effect of await Promise.all(ends.map((end) => end()))) {
        done.bytesDropped += effect.bytesDropped
        done.bytesDelayed += effect.bytesDelayed
        done.socketsReset += effect.socketsReset
      }
      return { what: describe(done), done }
    },
  }
}

export function didDelay({ bytesDelayed = 0 }: Totals): string | undefined {
  return bytesDelayed > 0 ? undefined : 'no byte was held back'
}

/** Both directions between each of `some` and each of `others`. */
export function between(some: readonly string[], others: readonly string[]): WayName[] {
  return some.flatMap((one) =>
    others.flatMap((other): WayName[] => [
      [one, other],
      [other, one],
    ]),
  )
}

/** From each of `some` to each of `others`. */
export function towards(some: readonly string[], others: readonly string[]): WayName[] {
  return some.flatMap((from) => others.map((to): WayName => [from, to]))
}

export function without(nodes: readonly string[], node: string): string[] {
  return nodes.filter((each) => each !== node)
}

function describe({ bytesDropped, bytesDelayed, socketsReset }: ImpairmentEffect): string {
  const parts = [
    [bytesDropped, 'bytes dropped'],
    [bytesDelayed, 'bytes held back'],
    [socketsReset, 'sockets reset'],
  ] as const
  const told = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  return told.join(', ') || 'nothing was lost or late'
}
