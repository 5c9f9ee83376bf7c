import { describe, expect, it } from 'vitest'
import { checkExactlyOnce } from '../../../jepsen-lite/check/exactly-once.ts'
import type { Json } from '../../../jepsen-lite/history.ts'
import { fc } from '../../support/property.ts'
import { bad, found, good, Story } from './story.ts'

const verdict = (story: Story) => found(checkExactlyOnce(story.history, { concurrency: 1 }))

const stored = (id: number, message = `m${id}`) => ({ consumer: '0 taker#1', queue: 'q', id, message })
const acked = (id: number): Json => ({ id, type: 'ok', message: `m${id}` })
const unknown = (id: number): Json => ({ id, type: 'info', error: 'SessionLost: gone' })
const refused = (id: number): Json => ({ id, type: 'fail', error: 'Connection: not sent' })
/** Process 0 has published 1 and 2 in one operation, and 3 in the next. */
const published = () =>
  new Story()
    .did(0, 'publish', { ids: [1, 2] }, { messages: [acked(1), acked(2)] })
    .did(0, 'publish', { ids: [3] }, { messages: [acked(3)] })

describe('publishes are right', () => {
  it('when each acknowledged one is stored once, in the order of the calls', () => {
    const story = published().take(stored(1), 'nack').take(stored(2)).take(stored(3))
    expect(verdict(story.take({ ...stored(1), attempt: 2 }).drained())).toEqual(good)
  })

  it('when one that nobody knows of is stored or not', () => {
    const story = new Story().invoke(0, 'publish', { ids: [1, 2, 3] })
    story.info(0, { messages: [acked(1), unknown(2), unknown(3)] })
    expect(verdict(story.take(stored(1)).take(stored(3)).drained(1))).toEqual(good)
  })

  it('when the worker of the publisher was killed', () => {
    const story = new Story().invoke(0, 'publish', { ids: [1, 2] }).info(0)
    expect(verdict(story.take(stored(1)).drained(1))).toEqual(good)
  })

  it('when one of an operation was refused, and is nowhere', () => {
    const story = new Story().did(0, 'publish', { ids: [1, 2] }, { messages: [acked(1), refused(2)] })
    expect(verdict(story.take(stored(1)).drained())).toEqual(good)
  })

  it('is not decided before the queue is drained', () => {
    expect(verdict(published())).toEqual({ valid: 'unknown', types: [] })
  })
})

describe('publishes are wrong', () => {
  const all = () => published().take(stored(1)).take(stored(2)).take(stored(3))

  it('when an acknowledged one is not stored', () => {
    expect(verdict(published().take(stored(1)).take(stored(2)).drained())).toEqual(bad('lost'))
  })

  it('when one is stored twice', () => {
    expect(verdict(all().take(stored(3, 'm4')).drained())).toEqual(bad('duplicated', 'misnamed'))
  })

  it('when one that nobody knows of is stored twice', () => {
    const story = new Story().invoke(0, 'publish', { ids: [1] }).info(0, { messages: [unknown(1)] })
    expect(verdict(story.take(stored(1)).take(stored(1, 'm2')).drained(1))).toEqual(bad('duplicated'))
  })

  it('when one is in the queue twice under one name', () => {
    expect(
      verdict(
        all()
          .deliver({ ...stored(3), consumer: '1 taker#1' })
          .drained(),
      ),
    ).toEqual(bad('repeated'))
  })

  it('when it is stored under another name than its publisher was told', () => {
    const story = published().take(stored(1)).take(stored(2)).take(stored(3, 'other'))
    expect(verdict(story.drained())).toEqual(bad('misnamed'))
  })

  it('when it was refused and is stored', () => {
    const story = new Story().did(0, 'publish', { ids: [1, 2] }, { messages: [acked(1), refused(2)] })
    expect(verdict(story.take(stored(1)).take(stored(2)).drained())).toEqual(bad('unexpected'))
  })

  it('when nobody published it', () => {
    expect(verdict(all().take(stored(9)).drained())).toEqual(bad('unexpected'))
  })

  it('when those of one operation are stored in another order than that of the calls', () => {
    expect(verdict(published().take(stored(2)).take(stored(1)).take(stored(3)).drained())).toEqual(bad('reordered'))
  })

  it('when those of two operations are', () => {
    expect(verdict(published().take(stored(1)).take(stored(3)).take(stored(2)).drained())).toEqual(bad('reordered'))
  })

  it('when one comes again after its ack was confirmed', () => {
    expect(
      verdict(
        all()
          .take({ ...stored(3), attempt: 2 })
          .drained(),
      ),
    ).toEqual(bad('resurrected'))
  })

  it('when one comes out with another body', () => {
    const { consumer, queue, id, message } = stored(3)
    const told = { queue, id, message, attempt: 1, topic: 't' }
    const story = (more: { readonly [key: string]: Json }) =>
      published()
        .take(stored(1))
        .take(stored(2))
        .tell(consumer, 'deliver', { ...told, ...more })
        .settle(stored(3))
    expect(verdict(story({ corrupt: true }).drained())).toEqual(bad('corrupt'))
    expect(verdict(story({}).drained())).toEqual(good)
  })

  it('when one is gone after it was given back, or while its consumer held it', () => {
    const story = () => published().take(stored(1)).take(stored(2))
    expect(verdict(story().take(stored(3), 'nack').drained())).toEqual(bad('dropped'))
    expect(verdict(story().deliver(stored(3)).drained())).toEqual(bad('dropped'))
    const again = { ...stored(3), consumer: '1 taker#1', attempt: 2 }
    expect(verdict(story().deliver(stored(3)).take(again).drained())).toEqual(good)
  })
})

describe('any run of a right cluster', () => {
  const batches = fc.array(
    fc.array(fc.constantFrom('ok', 'ok', 'stored', 'gone', 'fail'), { minLength: 1, maxLength: 5 }),
    { minLength: 1, maxLength: 10 },
  )

  /** Batches one after the other, each by a process of its own; what is stored, in order. */
  function told(all: readonly (readonly string[])[]): { story: Story; there: number[] } {
    const story = new Story()
    const there: number[] = []
    let next = 0
    for (const [process, kinds] of all.entries()) {
      const ids = kinds.map(() => next++)
      story.invoke(process, 'publish', { ids })
      const messages = ids.map((id, i) => {
        if (kinds[i] === 'ok' || kinds[i] === 'stored') there.push(id)
        if (kinds[i] === 'fail') return refused(id)
        return kinds[i] === 'ok' ? acked(id) : unknown(id)
      })
      if (kinds.some((kind) => kind === 'stored' || kind === 'gone')) story.info(process, { messages })
      else story.ok(process, { messages })
    }
    return { story, there }
  }

  it('is valid', () => {
    fc.assert(
      fc.property(batches, (all) => {
        const { story, there } = told(all)
        for (const id of there) story.take(stored(id))
        expect(verdict(story.drained(1_000))).toEqual(good)
      }),
    )
  })

  it('is invalid when any message is there twice', () => {
    fc.assert(
      fc.property(batches, fc.nat(), (all, n) => {
        const { story, there } = told(all)
        fc.pre(there.length > 0)
        for (const id of there) story.take(stored(id))
        story.take(stored(there[n % there.length]!, 'again'))
        expect(verdict(story.drained(1_000)).types).toContain('duplicated')
      }),
    )
  })
})
