import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { checkFifoQueues } from '../../../jepsen-lite/check/fifo-queue.ts'
import { Budget } from '../../../jepsen-lite/check/linearizable.ts'
import type { Json } from '../../../jepsen-lite/history.ts'
import { type Random, seeded } from '../../../jepsen-lite/random.ts'
import { bad, found, good, Story } from './story.ts'

const queue = 'q'
const EMPTY = { queue, got: [] }

/** Operations on one queue, in few words. */
class QueueStory extends Story {
  publish(id: number, process = 1): this {
    return this.did(process, 'publish', { queue, id })
  }

  /** Null: nothing was there. */
  receive(id: number | null, attempt = 1, process = 1): this {
    return this.did(process, 'receive', { queue }, id === null ? { queue } : { queue, id, attempt })
  }

  length(length: number, process = 1): this {
    return this.did(process, 'length', { queue }, { queue, length })
  }

  /** The queue is empty, after these were taken. */
  end(...got: { id: number; attempt: number }[]): this {
    return this.did(9, 'drain', { queue }, { queue, got })
  }
}

const story = () => new QueueStory()
const judged = (told: Story) => found(checkFifoQueues(told.history))
const NONE = bad('nonlinearizable')

describe('one after the other', () => {
  it.each<[string, Story, unknown]>([
    ['in order, and then nothing', story().publish(1).publish(2).receive(1).receive(2).receive(null).end(), good],
    ['out of order', story().publish(1).publish(2).receive(2).receive(1).end(), NONE],
    ['the same twice', story().publish(1).receive(1).receive(1).end(), NONE],
    ['what was never published', story().receive(3).end(), NONE],
    ['nothing, though something was published', story().publish(1).receive(null).receive(1).end(), NONE],
    [
      'the length of each moment',
      story().length(0).publish(1).publish(2).length(2).receive(1).length(1).receive(2).end(),
      good,
    ],
    ['a length of the past', story().publish(1).publish(2).receive(1).length(2).receive(2).end(), NONE],
    ['taken by the drain', story().publish(1).publish(2).end({ id: 1, attempt: 1 }, { id: 2, attempt: 1 }), good],
    ['acknowledged, and gone', story().publish(1).publish(2).receive(2).end(), NONE],
    ['lost for good', story().publish(1).end(), NONE],
  ])('%s', (_, told, verdict) => {
    expect(judged(told)).toEqual(verdict)
  })

  it('a refused publish must not come, one that nobody knows of may come or not, early or late', () => {
    const refused = story().invoke(1, 'publish', { queue, id: 1 }).fail(1)
    expect(judged(refused.receive(1).end())).toEqual(NONE)
    const unsure = () => story().invoke(1, 'publish', { queue, id: 1 }).info(1)
    expect(judged(unsure().receive(null, 1, 2).end())).toEqual(good)
    expect(judged(unsure().receive(null, 1, 2).publish(2, 2).receive(2, 1, 2).receive(1, 1, 2).end())).toEqual(good)
    expect(judged(unsure().receive(1, 1, 2).receive(1, 1, 2).end())).toEqual(NONE)
  })

  it('is judged for each queue by itself, and tells which, what could be placed and what could not', () => {
    const told = story().did(1, 'publish', { queue: 'other', id: 7 }).publish(1).receive(null)
    told
      .did(9, 'drain', { queue: 'other' }, { queue: 'other', got: [{ id: 7, attempt: 1 }] })
      .end({ id: 1, attempt: 1 })
    const { anomalies } = checkFifoQueues(told.history)
    expect(anomalies).toEqual([
      {
        type: 'nonlinearizable',
        message: 'q: receive nothing (process 1) has no place; the longest order is publish 1 (process 1)',
        events: [2, 3, 4, 5],
      },
    ])
  })
})

describe('at the same time', () => {
  it('either order will do', () => {
    const both = () => story().invoke(1, 'publish', { queue, id: 1 }).invoke(2, 'publish', { queue, id: 2 }).ok(1).ok(2)
    expect(judged(both().receive(1).receive(2).end())).toEqual(good)
    expect(judged(both().receive(2).receive(1).end())).toEqual(good)
  })

  it('nothing is there for a receive that began before the publish ended, and not for one that began after it', () => {
    const beside = story().invoke(1, 'publish', { queue, id: 1 }).invoke(2, 'receive', { queue }).ok(1).ok(2, { queue })
    expect(judged(beside.receive(1).end())).toEqual(good)
    const behind = story().invoke(1, 'publish', { queue, id: 1 }).ok(1).invoke(2, 'receive', { queue }).ok(2, { queue })
    expect(judged(behind.receive(1).end())).toEqual(NONE)
  })
})

describe('a message that was given back', () => {
  it('may have been out of sight before it came for good, and one that came at once may not', () => {
    const told = (attempt: number) => story().publish(1).receive(null).length(0).receive(1, attempt).end()
    expect(judged(told(2))).toEqual(good)
    expect(judged(told(1))).toEqual(NONE)
  })

  it('may be overtaken, and comes once', () => {
    expect(judged(story().publish(1).publish(2).receive(2).receive(1, 2).end())).toEqual(good)
    expect(judged(story().publish(1).publish(2).receive(2).receive(1, 2).receive(1, 3).end())).toEqual(NONE)
  })

  it('does not hide others', () => {
    expect(judged(story().publish(1).publish(2).length(0).receive(1, 2).receive(2).end())).toEqual(NONE)
    expect(judged(story().publish(1).publish(2).length(1).receive(1, 2).receive(2).end())).toEqual(good)
  })
})

describe('a receive of which nobody knows', () => {
  const unknown = () => story().publish(1).invoke(2, 'receive', { queue }).info(2)

  it('may have kept a message, now or later, or none', () => {
    expect(judged(unknown().receive(null).end())).toEqual(good)
    expect(judged(unknown().length(1).receive(null).end())).toEqual(good)
    expect(judged(unknown().receive(1).end())).toEqual(good)
  })

  it('has kept one at the most', () => {
    expect(judged(unknown().publish(3).end())).toEqual(NONE)
    expect(judged(unknown().publish(3).invoke(4, 'receive', { queue }).info(4).end())).toEqual(good)
  })

  it('is one of which the ack has no answer', () => {
    const told = story().publish(1).invoke(2, 'receive', { queue }).info(2, { queue, id: 1, attempt: 1 })
    expect(judged(told.receive(null).end())).toEqual(good)
  })

  it('is an excuse for the message alone that it got, if it says which, and hides no other', () => {
    const told = () =>
      story().publish(5).publish(7).invoke(2, 'receive', { queue }).info(2, { queue, id: 5, attempt: 1 })
    expect(judged(told().receive(7).end())).toEqual(good)
    expect(judged(told().length(1).receive(7).length(0).end())).toEqual(good)
    expect(judged(told().receive(5, 2).end())).toEqual(NONE)
    expect(judged(told().length(0).receive(7).end())).toEqual(NONE)
    expect(judged(told().end())).toEqual(NONE)
  })

  it('is no excuse when what it got came again', () => {
    const told = () =>
      story().publish(5).publish(7).invoke(2, 'receive', { queue }).info(2, { queue, id: 5, attempt: 1 })
    expect(judged(told().receive(5, 2).receive(7).length(0).end())).toEqual(good)
    expect(judged(told().receive(5, 2).length(0).end())).toEqual(NONE)
  })

  it('tells of a message that nobody knew to be published, and that counts as long as it is there', () => {
    const unsure = story().invoke(1, 'publish', { queue, id: 1 }).info(1)
    const told = unsure.length(1, 2).invoke(3, 'receive', { queue }).info(3, { queue, id: 1, attempt: 1 })
    expect(judged(told.length(0, 2).end())).toEqual(good)
  })

  const got = (told: QueueStory, id: Json, attempt: number, process = 2) =>
    told.invoke(process, 'receive', { queue }).info(process, { queue, id, attempt })

  it('got what was published, whatever became of its ack', () => {
    const refused = story().invoke(1, 'publish', { queue, id: 5 }).fail(1)
    expect(judged(got(refused, 5, 1).end())).toEqual(NONE)
    expect(judged(got(story(), 5, 1).end())).toEqual(NONE)
    const later = got(story(), 5, 1).did(1, 'publish', { queue, id: 5 })
    expect(judged(later.end())).toEqual(NONE)
    const unknown = story().invoke(1, 'publish', { queue, id: 5 }).info(1)
    expect(judged(got(unknown, 5, 1).end())).toEqual(good)
  })

  it('got what was next', () => {
    expect(judged(got(story().publish(1).publish(2), 2, 1).receive(1).end())).toEqual(NONE)
    expect(judged(got(story().publish(1).publish(2), 2, 1).receive(1, 2).end())).toEqual(good)
    expect(judged(got(story().publish(1).publish(2).receive(1), 2, 1).end())).toEqual(good)
    const meanwhile = story().publish(1).publish(2).invoke(2, 'receive', { queue }).receive(1)
    expect(judged(meanwhile.info(2, { queue, id: 2, attempt: 1 }).end())).toEqual(good)
  })

  it('got an attempt of its own', () => {
    expect(judged(got(story().publish(5), 5, 1).end({ id: 5, attempt: 1 }))).toEqual(bad('repeated'))
    const twice = got(got(story().publish(5), 5, 1), 5, 1, 4)
    expect(judged(twice.end())).toEqual(bad('repeated'))
    expect(judged(got(story().publish(5), 5, 0).end())).toEqual(bad('repeated'))
    const two = got(got(story().publish(5), 5, 1), 5, 2, 4)
    expect(judged(two.end())).toEqual(good)
  })

  it('got nothing that was acked before for certain', () => {
    const acked = story().publish(5).invoke(2, 'receive', { queue }).receive(5, 1)
    expect(judged(acked.info(2, { queue, id: 5, attempt: 2 }).end())).toEqual(bad('resurrected'))
  })

  it('is no excuse when it surely did not happen', () => {
    const told = story().publish(1).invoke(2, 'receive', { queue }).fail(2)
    expect(judged(told.end())).toEqual(NONE)
  })
})

describe('what is no id', () => {
  it("is nobody's message, whoever gets it, and not nothing", () => {
    const got = { queue, id: null, attempt: 1 }
    expect(judged(story().did(1, 'receive', { queue }, got).end())).toEqual(bad('unexpected'))
    expect(judged(story().invoke(1, 'receive', { queue }).info(1, got).end())).toEqual(bad('unexpected'))
    const zero = story()
      .publish(0)
      .did(9, 'drain', { queue }, { queue, got: [got] })
    expect(judged(zero)).toEqual(bad('unexpected', 'nonlinearizable'))
  })
})

describe('a drain', () => {
  it('that was not finished leaves it unknown whether anything was lost', () => {
    expect(judged(story().publish(1))).toEqual({ valid: 'unknown', types: [] })
    expect(judged(story().did(9, 'drain', { queue }, EMPTY).publish(2)).valid).toBe('unknown')
  })

  it('that failed half-way counts for what it got', () => {
    const told = story().publish(1).publish(2).invoke(9, 'drain', { queue })
    told.info(9, { queue, got: [{ id: 1, attempt: 1 }] })
    expect(judged(told.did(18, 'drain', { queue }, { queue, got: [{ id: 2, attempt: 1 }] }))).toEqual(good)
    expect(judged(told.did(27, 'drain', { queue }, { queue, got: [{ id: 1, attempt: 2 }] }))).toEqual(NONE)
  })

  it('whose client died may have kept anything', () => {
    const told = story().publish(1).publish(2).invoke(9, 'drain', { queue }).info(9)
    expect(judged(told.did(18, 'drain', { queue }, EMPTY))).toEqual(good)
  })
})

describe('the budget', () => {
  it('is one for all queues, and what it does not decide is unknown', () => {
    const told = story().publish(1).receive(1).end()
    const { valid, reason } = checkFifoQueues(told.history, new Budget(2))
    expect({ valid, reason }).toEqual({
      valid: 'unknown',
      reason: '1 queues could not be decided within the budget',
    })
  })
})

describe('a queue as it should be, with clients that fail, give back and ask again', () => {
  const histories = Array.from({ length: 300 }, (_, seed) => trueHistory(seeded(seed)))

  it('is never found wrong, and is decided', () => {
    for (const [seed, { history }] of histories.entries()) {
      expect({ seed, ...found(checkFifoQueues(history)) }).toEqual({ seed, ...good })
    }
  })

  it('is found wrong in most places where one answer is another', () => {
    let caught = 0
    let changed = 0
    for (const [seed, { history }] of histories.entries()) {
      const dice = seeded(seed, 'change')
      const answers = history.filter(({ type, f }) => type === 'ok' && (f === 'length' || f === 'receive'))
      if (answers.length === 0) continue
      const answer = dice.pick(answers)
      const { length } = answer.value as { length?: number }
      const value: Json =
        answer.f === 'length' ? { queue, length: length! + 3 } : { queue, id: dice.below(20), attempt: 1 }
      if (isDeepStrictEqual(value, answer.value)) continue
      changed++
      if (checkFifoQueues(history.map((each) => (each === answer ? { ...each, value } : each))).valid === false)
        caught++
    }
    expect(changed).toBeGreaterThan(250)
    expect(caught / changed).toBeGreaterThan(0.8)
  })
})

interface Doing {
  readonly f: 'publish' | 'receive' | 'length'
  /** Of a publish. */
  readonly id: number
  /** What it has taken; `done` when that is for good. */
  held: { readonly place: number; readonly id: number } | undefined
  done: boolean
  result: Record<string, Json>
}

/** Four processes on one queue; each operation takes effect at some moment between its invocation and its end. */
function trueHistory(dice: Random): QueueStory {
  const told = story()
  const items = new Map<number, { readonly place: number; readonly id: number }>()
  const attempts = new Map<number, number>()
  const processes = [0, 1, 2, 3]
  const doing = new Map<number, Doing>()
  const first = () => [...items.values()].sort((a, b) => a.place - b.place)[0]
  let ids = 0
  let places = 0
  const goOn = (op: Doing): void => {
    if (op.f === 'publish') {
      items.set(op.id, { place: places++, id: op.id })
      op.done = true
    } else if (op.f === 'length') {
      op.result = { queue, length: items.size }
      op.done = true
    } else if (op.held === undefined) {
      op.held = first()
      op.done = op.held === undefined
      if (op.held === undefined) return
      items.delete(op.held.id)
      attempts.set(op.held.id, (attempts.get(op.held.id) ?? 0) + 1)
    } else if (dice.chance(0.15)) {
      items.set(op.held.id, op.held)
      op.held = undefined
    } else {
      op.result = { queue, id: op.held.id, attempt: attempts.get(op.held.id)! }
      op.done = true
    }
  }
  for (let i = 0; i < 160; i++) {
    const slot = dice.below(4)
    const process = processes[slot]!
    const op = doing.get(slot)
    if (op === undefined) {
      const drawn = dice.next()
      const f = drawn < 0.45 ? 'publish' : drawn < 0.6 ? 'length' : 'receive'
      const made: Doing = { f, id: f === 'publish' ? ids++ : -1, held: undefined, done: false, result: { queue } }
      told.invoke(process, f, f === 'publish' ? { queue, id: made.id } : { queue })
      doing.set(slot, made)
    } else if (dice.chance(0.04)) {
      // Nobody knows; what it holds it keeps, or gives back at once.
      if (!op.done && op.f === 'publish' && dice.chance(0.5)) goOn(op)
      if (op.held !== undefined && dice.chance(0.5)) items.set(op.held.id, op.held)
      if (op.held !== undefined && dice.chance(0.5)) {
        told.info(process, { queue, id: op.held.id, attempt: attempts.get(op.held.id)! })
      } else told.info(process)
      processes[slot] = process + 4
      doing.delete(slot)
    } else if (op.done) {
      told.ok(process, op.f === 'publish' ? undefined : op.result)
      doing.delete(slot)
    } else goOn(op)
  }
  for (const [slot, op] of doing) {
    while (!op.done) goOn(op)
    told.ok(processes[slot]!, op.f === 'publish' ? undefined : op.result)
  }
  const got: { id: number; attempt: number }[] = []
  for (let next = first(); next !== undefined; next = first()) {
    items.delete(next.id)
    got.push({ id: next.id, attempt: (attempts.get(next.id) ?? 0) + 1 })
  }
  return told.end(...got)
}
