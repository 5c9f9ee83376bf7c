/**
 * Applies settle frames. They are not sequenced: an item names a consumer's incarnation and delivery numbers, so a repeat finds
 * nothing open, and a late one can never settle a redelivery (trap 40). What is not open is told back as stale.
 *
 * Work follows what is open, never the length of a run that a frame claims.
 */
import { logHeader } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { readSettleItem, type SettleItem, SettleOutcome, settleItemCount } from '../../wire/settle-frame.ts'
import { SETTLE_ROWS_EXTRA_MAX } from './constants.ts'
import { lighten } from './consumers.ts'
import { mark } from './credit.ts'
import type { Attachment } from './effect.ts'
import { forgetSeen, isSequence, refuseFrame } from './outcomes.ts'
import { holdsRun } from './runs.ts'
import type { Consumer, Session, State } from './state.ts'
import type { Step } from './step.ts'

type StaleRun = readonly [consumer: number, first: number, count: number]

export function applySettle(
  step: Step,
  session: Session,
  to: Attachment,
  view: DataView,
  at: number,
  length: number,
): void {
  const items = settleItemCount(view, at, length)
  if (items === undefined) {
    refuseFrame(step, to, 0, 'a settle frame that does not decode')
    return
  }
  forgetSeen(step.state, session, logHeader.seen(view, at))
  const stale: StaleRun[] = []
  let rowsLeft = session.open + SETTLE_ROWS_EXTRA_MAX
  for (let i = 0; i < items; i++) {
    const item = readSettleItem(view, at, i)
    const consumer = session.consumers.get(item.consumer)
    if (consumer === undefined || consumer.queue.deleted || !isSettle(item) || rowsLeft <= 0) {
      if (item.count > 0) stale.push([item.consumer, item.firstDelivery, item.count])
    } else {
      rowsLeft -= settleRun(step.state, consumer, item, stale)
    }
  }
  step.effects.push({ type: 'settled', to, notice: { tag: logHeader.sequence(view, at), stale } })
}

/** Whether the item says something that can be done. */
function isSettle(item: SettleItem): boolean {
  return (
    isSequence(item.firstDelivery) && item.outcome >= SettleOutcome.accepted && item.outcome <= SettleOutcome.extended
  )
}

/** Settles what is open of one run and lists the rest. Returns how many rows it looked at. */
function settleRun(state: State, consumer: Consumer, item: SettleItem, stale: StaleRun[]): number {
  const { open, held } = consumer
  const openBefore = open.size
  const end = item.firstDelivery + item.count
  const firstRow = open.lowerBound(item.firstDelivery)
  let expected = item.firstDelivery
  let row = firstRow
  for (; row < open.endRow; row++) {
    const delivery = open.deliveryAt(row)
    if (delivery >= end) break
    if (!open.isOpen(row) || (held !== undefined && !holdsRun(held, delivery))) continue
    if (delivery > expected) stale.push([consumer.id, expected, delivery - expected])
    expected = delivery + 1
    settleRow(state, consumer, row, item)
  }
  if (expected < end) stale.push([consumer.id, expected, end - expected])
  settledAll(state, consumer, openBefore - open.size, item)
  return row - firstRow + 1
}

function settleRow(state: State, consumer: Consumer, row: number, item: SettleItem): void {
  const { open, queue } = consumer
  const ms = Math.min(item.ms, limits.delayMsMax)
  if (item.outcome === SettleOutcome.extended) {
    open.setDeadline(row, state.timeMs + ms)
    state.timers.setNoLater(consumer.visibility, state.timeMs + ms)
    return
  }
  if (item.outcome === SettleOutcome.released) {
    const messages = ms === 0 ? queue.returned : queue.delayed
    messages.push(ms === 0 ? 0 : state.timeMs + ms, open.indexAt(row), open.positionAt(row), open.attemptAt(row))
  }
  open.remove(row)
}

/** Counts the settled deliveries of an item and gives their credit back. */
function settledAll(state: State, consumer: Consumer, settled: number, item: SettleItem): void {
  if (settled === 0) return
  const { queue, session } = consumer
  session.open -= settled
  queue.unsettled -= settled
  if (item.outcome === SettleOutcome.released) {
    state.totals.released += settled
    if (item.ms > 0) state.timers.setNoLater(queue.release, queue.delayed.dueMs)
  } else {
    queue.settled += settled
    if (item.outcome === SettleOutcome.accepted) state.totals.acked += settled
    else state.totals.rejected += settled
  }
  lighten(state, consumer)
  mark(state, queue)
}
