/**
 * How a node dies with its runner, however that ends. A node hears by its channel that its parent is gone, and stops; one that is paused hears
 * nothing and would be there for ever. On Linux the kernel kills it: util-linux's `setpriv` asks for that, and becomes the node.
 */
import { spawnSync } from 'node:child_process'

const COMMAND = ['setpriv', '--pdeathsig', 'KILL', '--'] as const

let isThere: boolean | undefined

/** The command that goes before a node's own; empty where there is no such thing. */
export function dyingWithParent(): readonly string[] {
  const [program, ...args] = COMMAND
  isThere ??= spawnSync(program, [...args, 'true']).status === 0
  return isThere ? COMMAND : []
}
