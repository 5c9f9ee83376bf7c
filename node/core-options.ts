/** What a node's core is given: everything that differs between a process and the simulator. */
import type { Clock } from '../raft/index.ts'
import type { NodeConfig } from './config.ts'
import type { RecoveredState } from './group.ts'
import type { MeshHandlers, MeshPort } from './peers/mesh-port.ts'
import type { NodeStorage } from './storage/open-storage.ts'

export interface NodeCoreOptions {
  readonly config: NodeConfig
  readonly storage: NodeStorage
  /** What the storage's checkpoint holds (`readCheckpoint`), if there is one. */
  readonly recovered: RecoveredState | undefined
  readonly clock: Clock
  readonly wallNow: () => number
  /** In [0, 1). */
  readonly random: () => number
  readonly mintClusterId: () => string
  /** A safe integer that nobody can guess. */
  readonly mintNonce: () => number
  /** Called once, from the constructor; the mesh calls its handlers only after `start`. */
  readonly makeMesh: (handlers: MeshHandlers) => MeshPort
  /** Called at most once: the node cannot go on and has to be stopped. */
  readonly onFailed: (failure: Error) => void
}
