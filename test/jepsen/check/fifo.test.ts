import { describe, expect, it } from 'vitest'
import { checkFifo } from '../../../jepsen-lite/check/fifo.ts'
import { bad, found, good, type Handed, Story } from './story.ts'

const queue = 'q'
const handed = (id: number, attempt = 1, consumer = 'c1'): Handed => ({ consumer, queue, id, attempt })

class FifoStory extends Story {
  publish(ids: number[], process = 1): this {
    return this.did(process, 'publish', { queue, ids })
  }

  consumer(name: string): this {
    return this.tell(name, 'subscribe', { queue, prefetch: 1 })
  }
}

const story = () => new FifoStory().consumer('c1')
const judged = (told: Story) => found(checkFifo(told.drained().history, 1))

describe('first attempts at the messages of a queue', () => {
  it('come in the order in which one process has published them', () => {
    const told = () => story().publish([1]).publish([2])
    expect(judged(told().take(handed(1)).take(handed(2)))).toEqual(good)
    expect(judged(told().take(handed(2)).take(handed(1)))).toEqual(bad('reordered'))
  })

  it('come in the order of one operation that sent several', () => {
    expect(judged(story().publish([1, 2, 3]).take(handed(1)).take(handed(2)).take(handed(3)))).toEqual(good)
    expect(judged(story().publish([1, 2, 3]).take(handed(1)).take(handed(3)).take(handed(2)))).toEqual(bad('reordered'))
  })

  it('come in the order of real time, whoever published', () => {
    const told = () => story().publish([1], 1).publish([2], 2)
    expect(judged(told().take(handed(2)).take(handed(1)))).toEqual(bad('reordered'))
    const beside = story()
      .invoke(1, 'publish', { queue, ids: [1] })
      .publish([2], 2)
      .ok(1)
    expect(judged(beside.take(handed(2)).take(handed(1)))).toEqual(good)
  })

  it('come at any place when nobody knows when they were stored', () => {
    const told = story()
      .invoke(1, 'publish', { queue, ids: [1] })
      .info(1)
      .publish([2], 2)
    expect(judged(told.take(handed(2)).take(handed(1)))).toEqual(good)
  })

  it('are compared beyond one that is not in order itself', () => {
    const told = story().publish([1]).publish([2]).publish([3])
    expect(judged(told.take(handed(3)).take(handed(2)).take(handed(1)))).toEqual(bad('reordered'))
    expect(checkFifo(told.history, 1).anomalies).toHaveLength(2)
  })

  it('are not compared with redeliveries, which have places of their own', () => {
    const told = story().publish([1, 2, 3]).take(handed(1), 'nack').take(handed(2)).take(handed(3))
    expect(judged(told.take(handed(1, 2)))).toEqual(good)
  })
})

describe('one consumer after another', () => {
  it('gets first what the former one had not got, and not what should have come before that', () => {
    const told = () => story().publish([1]).publish([2]).publish([3])
    const later = (id: number) => handed(id, 1, 'c2')
    const all = told().take(handed(1)).consumer('c2').take(later(2)).take(later(3))
    expect(judged(all)).toEqual(good)
    const swapped = told().take(handed(2)).consumer('c2').take(later(1)).take(later(3))
    expect(judged(swapped)).toEqual(bad('reordered'))
  })

  it('is not compared with what was handed out when it was there already', () => {
    const told = story().publish([1]).publish([2]).consumer('c2')
    expect(judged(told.take(handed(2)).take(handed(1, 1, 'c2')))).toEqual(good)
  })
})

describe('two consumers that are heard late', () => {
  it('are compared by when the second one began, not by when that was heard', () => {
    const told = () => story().publish([1]).publish([2])
    const begun = (ms: number) =>
      told()
        .take(handed(2))
        .wait(10)
        .consumer('c2')
        .heardLate(ms)
        .take(handed(1, 1, 'c2'))
    expect(judged(begun(15))).toEqual(good)
    expect(judged(begun(5))).toEqual(bad('reordered'))
    const before = told().consumer('c2').take(handed(2))
    const delivered = before.history.findIndex(({ f }) => f === 'deliver')
    before.history[delivered] = { ...before.history[delivered]!, at: before.history[delivered]!.time - 5e6 }
    expect(judged(before.take(handed(1, 1, 'c2')))).toEqual(bad('reordered'))
  })
})

describe('queues', () => {
  it('are in order each by itself', () => {
    const told = story()
      .publish([1])
      .did(1, 'publish', { queue: 'other', ids: [2] })
    told.take({ consumer: 'c1', queue: 'other', id: 2 })
    expect(judged(told.take(handed(1)))).toEqual(good)
  })
})

describe('beside order', () => {
  it('what was acknowledged comes, and what was refused does not', () => {
    expect(judged(story().publish([1, 2]).take(handed(1)))).toEqual(bad('lost'))
    const refused = story()
      .invoke(1, 'publish', { queue, ids: [1] })
      .fail(1)
    expect(judged(refused.take(handed(1)))).toEqual(bad('unexpected'))
    expect(judged(story().take(handed(9)))).toEqual(bad('unexpected'))
  })

  it('is each message of an operation what was told of it, whatever became of the others', () => {
    const burst = (types: string[]) => ({ queue, messages: types.map((type, place) => ({ id: place + 1, type })) })
    const sent = () => story().invoke(1, 'publish', { queue, ids: [1, 2] })
    const unsure = () => sent().info(1, burst(['ok', 'info']))
    expect(judged(unsure().take(handed(1)))).toEqual(good)
    expect(judged(unsure().take(handed(2)))).toEqual(bad('lost'))
    expect(judged(unsure().publish([3]).take(handed(1)).take(handed(3)).take(handed(2)))).toEqual(good)
    expect(judged(unsure().publish([3]).take(handed(3)).take(handed(1)))).toEqual(bad('reordered'))
    const refused = () => sent().ok(1, burst(['ok', 'fail']))
    expect(judged(refused().take(handed(1)))).toEqual(good)
    expect(judged(refused().take(handed(1)).take(handed(2)))).toEqual(bad('unexpected'))
  })

  it('is an operation of which nothing is told of each message judged as a whole', () => {
    const killed = () =>
      story()
        .invoke(1, 'publish', { queue, ids: [1, 2] })
        .info(1)
    expect(judged(killed())).toEqual(good)
    expect(judged(killed().take(handed(2)))).toEqual(good)
  })

  it('what is given back or lost comes again', () => {
    expect(judged(story().publish([1]).take(handed(1), 'nack'))).toEqual(bad('dropped'))
    expect(judged(story().publish([1]).deliver(handed(1)))).toEqual(bad('dropped'))
    expect(
      judged(
        story()
          .publish([1])
          .deliver(handed(1))
          .take(handed(1, 2, 'c2')),
      ),
    ).toEqual(good)
  })

  it('is each attempt made once, and none after a confirmed ack; one body is one message', () => {
    expect(judged(story().publish([1]).take(handed(1)).take(handed(1, 2)))).toEqual(bad('resurrected'))
    expect(judged(story().publish([1]).deliver(handed(1)).take(handed(1)))).toEqual(bad('repeated'))
    const twice = story()
      .publish([1])
      .take(handed(1))
      .take({ ...handed(1), message: 'another' })
    expect(judged(twice)).toEqual(bad('duplicated'))
  })

  it('is each message handed out under the topic that it was published to', () => {
    expect(
      judged(
        story()
          .publish([1])
          .take({ ...handed(1), topic: 'other' }),
      ),
    ).toEqual(bad('misrouted'))
  })

  it('is no message in a queue that it was not published to, beside its own or instead', () => {
    const elsewhere = { ...handed(1, 1, 'c2'), queue: 'other', topic: 'other' }
    expect(judged(story().publish([1]).take(handed(1)).take(elsewhere))).toEqual(bad('misrouted'))
    expect(judged(story().publish([1]).take(elsewhere))).toEqual(bad('misrouted'))
  })

  it('nothing can be called lost before all is drained', () => {
    expect(found(checkFifo(story().publish([1]).history, 1))).toEqual({ valid: 'unknown', types: [] })
  })
})
