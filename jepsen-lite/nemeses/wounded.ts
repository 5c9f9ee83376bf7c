/**
 * Faults that hurt what a node had synced. A replicated log stands that on a minority only, so each asks first (FaultTarget.wound), and
 * the node counts as hurt until it has said that it is whole again.
 */
import type { Damage } from '../files/damage.ts'
import type { Fault, FaultReport, FaultTarget } from '../nemesis.ts'

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
  /** Starts it again; by default that is all. */
  start?(target: FaultTarget, node: string): Promise<string>
}

export function wounding({ name, node, holdMs, whileRunning = false, figure, hurt, start }: WoundingOptions): Fault {
  let isHurt = false
  let takeBack = () => {}
  return {
    name: `${name} ${node}`,
    holdMs,
    async begin(target): Promise<FaultReport> {
      if (!target.wound(node)) return { what: `${node} is spared: another one is hurt`, done: {} }
      isHurt = true
      // What it finds while it runs may end it, as it should.
      if (whileRunning) takeBack = target.expectEnd(node)
      const work = async () => hurt(target.dataDir(node))
      const damage = whileRunning ? await work() : await target.whileDown(node, work)
      if (damage === undefined) return { what: `${node}: there was nothing to hurt`, done: {} }
      return { what: `${node}: ${damage.what}`, done: { [figure]: Math.max(1, damage.bytes) } }
    },
    async end(target): Promise<FaultReport> {
      if (!isHurt) return { what: '', done: {} }
      // Only a start looks at all of its files, and has what is damaged repaired.
      if (whileRunning) await target.kill(node)
      takeBack()
      await target.start(node)
      const told = start === undefined ? '' : await start(target, node)
      target.healed(node)
      return { what: `started ${node}${told}`, done: {} }
    },
  }
}
