/**
 * Faults that hurt what a node had synced. A replicated log stands that on a minority only, so each asks first (FaultTarget.wound), and
 * the node counts as hurt until it has said that it is whole again.
 */
import type { Damage } from '../files/damage.ts'
import type { ExpectedEnd, Fault, FaultReport, FaultTarget } from '../nemesis.ts'

export interface WoundingOptions {
  readonly name: string
  readonly node: string
  /** How long the node stays down; one that is hurt while it runs stays up so long. */
  readonly holdMs: number
  /** Under the node's process, or after that was killed. */
  readonly whileRunning?: boolean
  /** What a hurt byte, or a hurt node, counts as. */
  readonly figure: string
  /** undefined: there was nothing to hurt. */
  hurt(dataDir: string): Damage | undefined
  /** Starts it again, if a start is not all that it takes, and says what more that was. */
  start?(target: FaultTarget, node: string): Promise<string>
}

export function wounding({ name, node, holdMs, whileRunning = false, figure, hurt, start }: WoundingOptions): Fault {
  let isSpared = true
  let isHurt = false
  let expected: ExpectedEnd | undefined
  return {
    name: `${name} ${node}`,
    holdMs,
    async begin(target): Promise<FaultReport> {
      if (!target.wound(node)) return { what: `${node} is spared: another one is hurt`, done: {} }
      isSpared = false
      // What it finds while it runs may end it, as it should.
      if (whileRunning) expected = target.expectEnd(node, { codes: ['DamagedLog'] })
      const work = async () => hurt(target.dataDir(node))
      const damage = whileRunning ? await work() : await target.whileDown(node, work)
      if (damage === undefined) return { what: `${node}: there was nothing to hurt`, done: {} }
      isHurt = true
      return { what: `${node}: ${damage.what}`, done: { [figure]: Math.max(1, damage.bytes) } }
    },
    async end(target): Promise<FaultReport> {
      if (isSpared) return { what: '', done: {} }
      // Only a start looks at all of its files, and has what is damaged repaired.
      if (whileRunning) await target.kill(node)
      expected?.over()
      const more = isHurt && start !== undefined ? await start(target, node) : await target.start(node)
      target.healed(node)
      return { what: `started ${node}${more ?? ''}`, done: {} }
    },
  }
}
