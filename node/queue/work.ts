/**
 * What an entry does besides judging its frames: due timers, and the work that frames and timers begin, in the order in which it
 * began. Work is done right after the frame that began it. Both stop at the entry's bound, so that no detach, deletion or expiry,
 * however large, stalls a replica; while some is left, the machine asks for the next entry at once (`Machine.nextTimerMs`).
 */
import { cancelConsumer, endConsumer, expireDeliveries, finishReturn } from './consumers.ts'
import { mark } from './credit.ts'
import { closeSession, deleteNextExclusive, detachNext, endGrace } from './sessions.ts'
import { type Due, inForce, type Queue, type Work } from './state.ts'
import type { Step } from './step.ts'

export function continueWork(step: Step): void {
  const { work } = step.state
  for (let item = work.first; item !== undefined && step.work > 0; item = work.first) {
    if (!unitOf(step, item)) work.shift()
  }
}

/** Does one unit. Whether there is more of this work. */
function unitOf(step: Step, item: Work): boolean {
  switch (item.type) {
    case 'return':
      step.work -= 1 + finishReturn(step.state, item.consumer)
      return false
    case 'cancelConsumers':
      step.work--
      return cancelNext(step, item.queue)
    case 'deleteExclusive':
      step.work--
      return deleteNextExclusive(step.state, item.session)
    case 'detachBoot':
      step.work--
      return detachNext(step, item.boot)
  }
}

function cancelNext(step: Step, queue: Queue): boolean {
  for (const consumer of queue.consumers.values()) {
    cancelConsumer(step, consumer)
    return queue.consumers.size > 0
  }
  return false
}

/**
 * Ends the receives whose time is over: they found nothing. That can be told only when all that has come back into queues is there and
 * assigned; else the next entry tells, which comes at once.
 */
export function endWaits(step: Step): void {
  const { waits, work, unassigned, timeMs } = step.state
  for (let wait = waits.first; wait !== undefined && wait.atMs <= timeMs && step.work > 0; wait = waits.first) {
    const { id, session, queue } = wait.due
    if (work.length > 0 || unassigned.length > 0 || queue.release.atMs <= timeMs) return
    const to = inForce(session)
    if (to !== undefined) step.effects.push({ type: 'received', to, consumer: id, count: 0 })
    endConsumer(step.state, wait.due)
    step.work--
  }
}

/** Runs the timers that the entry's stamp has passed, in order of time, kind and id. */
export function runDueTimers(step: Step): void {
  const { timers } = step.state
  for (let timer = timers.first; timer !== undefined && step.work > 0; timer = timers.first) {
    if (timer.atMs > step.state.timeMs) return
    step.work -= 1 + run(step, timer.due)
  }
}

/** Every kind stops or moves its timer. Returns how much it touched. */
function run(step: Step, due: Due): number {
  switch (due.type) {
    case 'lease':
      return closeSession(step, due.session, 'expired')
    case 'grace':
      endGrace(step.state, due.session)
      return due.session.consumers.size
    case 'visibility':
      return expireDeliveries(step.state, due.consumer)
    case 'release':
      return releaseDelayed(step, due.queue)
  }
}

/** Brings delayed messages back whose time has come, as many as the entry still may. */
function releaseDelayed(step: Step, queue: Queue): number {
  const { state } = step
  const { delayed, returned } = queue
  let released = 0
  while (delayed.length > 0 && delayed.dueMs <= state.timeMs && released < step.work) {
    returned.push(0, delayed.index, delayed.position, delayed.attempts)
    delayed.shift()
    released++
  }
  if (delayed.length === 0) state.timers.stop(queue.release)
  else state.timers.set(queue.release, delayed.dueMs)
  mark(state, queue)
  return released
}
