/** Every nemesis there is. */
import type { Nemesis } from '../nemesis.ts'
import { bitFlip } from './bit-flip.ts'
import { clients } from './clients.ts'
import { clock } from './clock.ts'
import { delay } from './delay.ts'
import { failingSync } from './failing-sync.ts'
import { fullDisk } from './full-disk.ts'
import { kill } from './kill.ts'
import { lag } from './lag.ts'
import { lostWrites } from './lost-writes.ts'
import { members } from './members.ts'
import { partition } from './partition.ts'
import { pause } from './pause.ts'
import { rolling } from './rolling.ts'
import { slowConsumer } from './slow-consumer.ts'
import { slowLink } from './slow-link.ts'
import { slowSync } from './slow-sync.ts'
import { smallDisk } from './small-disk.ts'
import { stall } from './stall.ts'
import { tornTail } from './torn-tail.ts'
import { transfer } from './transfer.ts'
import { wipe } from './wipe.ts'

/** In the order in which `--list` shows them. */
export const nemeses: readonly Nemesis[] = [
  kill,
  partition,
  pause,
  delay,
  lag,
  stall,
  slowLink,
  transfer,
  members,
  rolling,
  clients,
  slowConsumer,
  lostWrites,
  slowSync,
  failingSync,
  fullDisk,
  smallDisk,
  tornTail,
  bitFlip,
  wipe,
  clock,
]
