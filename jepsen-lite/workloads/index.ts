/** Every workload there is. Workers load this file too, and find theirs by its name. */
import type { Workload } from '../workload.ts'
import { consumers } from './consumers.ts'
import { exactlyOnce } from './exactly-once.ts'
import { fanout } from './fanout.ts'
import { fifo } from './fifo.ts'
import { linearizable } from './linearizable.ts'
import { queue } from './queue.ts'
import { requestReply } from './request-reply.ts'

export const workloads: readonly Workload[] = [queue, fifo, fanout, consumers, exactlyOnce, requestReply, linearizable]
