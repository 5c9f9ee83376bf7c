/**
 * Whether there is room for more messages: on this node's disk, and on those of enough others. Each tells the others of its own.
 *
 * Never: decides what is refused (proposer.ts).
 */
import type { Clock } from '../raft/index.ts'
import { diskReserveBytesMin, type NodeConfig } from './config.ts'
import { DiskSpace } from './disk-space.ts'
import { PeerSpace, type PeerSpaceOptions } from './peer-space.ts'

export interface RoomOptions extends Pick<PeerSpaceOptions, 'electorate'> {
  readonly clock: Clock
  readonly config: NodeConfig
  readonly freeBytes: () => Promise<number>
  /** See DiskSpace. */
  readonly writtenBytes: () => number
  /** Of the current checkpoint, if there is one. */
  readonly checkpointBytes: () => number | undefined
  /** Called at each look at which the own disk is nearly full. */
  readonly onFull: () => void
  /** Tells every other node how it stands with the own disk. */
  readonly tell: (isFull: boolean) => void
}

export class Room {
  readonly disk: DiskSpace
  readonly peers: PeerSpace

  constructor(options: RoomOptions) {
    const { clock, config, checkpointBytes, electorate, freeBytes, onFull, tell, writtenBytes } = options
    const { logger, diskReserveBytes, segmentBytes } = config
    const needed = () => diskReserveBytesMin(segmentBytes, checkpointBytes())
    this.disk = new DiskSpace({
      clock,
      logger,
      reserveBytes: () => (diskReserveBytes === 0 ? 0 : Math.max(diskReserveBytes, needed())),
      freeBytes,
      writtenBytes,
      onFull: () => {
        onFull()
        tell(true)
      },
      onRoom: () => tell(false),
    })
    this.peers = new PeerSpace({ clock, electorate })
  }

  /** Asked for each publish, so it is cheap. */
  get isShort(): boolean {
    return this.disk.isFull || this.peers.isShort
  }

  start(): void {
    this.disk.start()
  }

  stop(): void {
    this.disk.stop()
    this.peers.stop()
  }
}
