import { describe, expect, it } from 'vitest'
import { checkFanout } from '../../../jepsen-lite/check/fanout.ts'
import type { Event, Json } from '../../../jepsen-lite/history.ts'
import { fc } from '../../support/property.ts'
import { bad, found, good, Story } from './story.ts'

const options = {
  concurrency: 1,
  bound: { all: ['t.#'], red: ['t.*.red'] },
  own: (process: number) => `own.${process}`,
}
const RED = 't.1.red'
const BLUE = 't.1.blue'

const verdict = (story: Story) => found(checkFanout(story.history, options))
const copy = (queue: string, id: number, topic = RED) => ({ consumer: `0 ${queue}#1`, queue, id, topic })
const published = (topic = RED) => new Story().did(0, 'publish', { id: 1, topic })

describe('fan-out is right', () => {
  it('when each bound queue has one copy, however often it is delivered', () => {
    const story = published().take(copy('all', 1), 'nack').take(copy('red', 1))
    expect(verdict(story.take({ ...copy('all', 1), attempt: 2 }).drained())).toEqual(good)
  })

  it('when only the queues have it whose patterns match', () => {
    expect(
      verdict(
        published(BLUE)
          .take(copy('all', 1, BLUE))
          .drained(),
      ),
    ).toEqual(good)
  })

  it('when what is not acknowledged is everywhere or nowhere', () => {
    const unknown = () => new Story().invoke(0, 'publish', { id: 1, topic: RED }).info(0)
    expect(verdict(unknown().drained(1))).toEqual(good)
    expect(verdict(unknown().take(copy('all', 1)).take(copy('red', 1)).drained(1))).toEqual(good)
  })

  it('when one that nobody acknowledged is stored so late that one queue was looked at before, and another after', () => {
    const unknown = new Story().invoke(0, 'publish', { id: 1, topic: RED }).info(0)
    expect(verdict(unknown.drained(1).take(copy('red', 1)))).toEqual(good)
  })

  it('when a queue lacks what was published while its binding was uncertain', () => {
    const story = new Story().invoke(1, 'bind', { pattern: RED }).did(0, 'publish', { id: 1, topic: RED }).ok(1)
    expect(verdict(story.take(copy('all', 1)).take(copy('red', 1)).drained())).toEqual(good)
  })

  it('is not decided while a queue was not drained', () => {
    expect(verdict(published())).toEqual({ valid: 'unknown', types: [] })
  })
})

describe('fan-out is wrong', () => {
  it('when an acknowledged publish is nowhere', () => {
    expect(verdict(published().drained())).toEqual(bad('lost'))
  })

  it('when an acknowledged publish is in half of its queues', () => {
    expect(verdict(published().take(copy('all', 1)).drained())).toEqual(bad('partial'))
  })

  it('when one that nobody acknowledged is in half of its queues', () => {
    const story = new Story().invoke(0, 'publish', { id: 1, topic: RED }).info(0)
    const result = checkFanout(story.take(copy('red', 1)).drained(1).history, options)
    expect(found(result)).toEqual(bad('partial'))
    expect(result.anomalies[0]).toMatchObject({ events: [0, 1, 2], message: expect.stringContaining('not in all') })
  })

  it('when a queue that was surely bound lacks it', () => {
    const story = new Story().did(1, 'bind', { pattern: RED }).did(0, 'publish', { id: 1, topic: RED })
    expect(verdict(story.take(copy('all', 1)).take(copy('red', 1)).drained())).toEqual(bad('partial'))
  })

  it('when a queue has it that is not bound to its topic', () => {
    const story = published(BLUE)
      .take(copy('all', 1, BLUE))
      .take(copy('red', 1, BLUE))
    expect(verdict(story.drained())).toEqual(bad('misrouted'))
  })

  it('when a queue has it that was surely unbound before', () => {
    const story = new Story().did(1, 'bind', { pattern: RED }).did(1, 'unbind', { pattern: RED })
    story.did(0, 'publish', { id: 1, topic: RED }).take(copy('all', 1)).take(copy('red', 1)).take(copy('own.1', 1))
    expect(verdict(story.drained())).toEqual(bad('misrouted'))
  })

  it('when a queue has it that nobody ever bound to anything', () => {
    const story = published().take(copy('all', 1)).take(copy('red', 1)).take(copy('own.7', 1))
    expect(verdict(story.drained())).toEqual(bad('misrouted'))
  })

  it('when its topic is another one', () => {
    const story = published()
      .take(copy('all', 1, BLUE))
      .take(copy('red', 1))
    expect(verdict(story.drained())).toEqual(bad('misrouted'))
  })

  it('when it comes from nowhere', () => {
    expect(verdict(new Story().take(copy('all', 9)).drained())).toEqual(bad('unexpected'))
  })

  it('when it was refused', () => {
    const story = new Story().invoke(0, 'publish', { id: 1, topic: RED }).fail(0)
    expect(verdict(story.take(copy('all', 1)).take(copy('red', 1)).drained())).toEqual(bad('unexpected'))
  })

  it('when a queue has it twice, as two messages or as one', () => {
    const story = () => published().take(copy('all', 1)).take(copy('red', 1))
    const other = { ...copy('red', 1), message: 'other' }
    expect(verdict(story().take(other).drained())).toEqual(bad('duplicated'))
    const same = { ...copy('red', 1), consumer: '5 red#1' }
    expect(verdict(story().deliver(same).drained())).toEqual(bad('repeated'))
  })

  it('when it comes again after a confirmed ack', () => {
    const story = published()
      .take(copy('all', 1))
      .take(copy('red', 1))
      .take({ ...copy('red', 1), attempt: 2 })
    expect(verdict(story.drained())).toEqual(bad('resurrected'))
  })

  it('when one of its copies is gone that was given back, or whose consumer went away', () => {
    const story = () => published().take(copy('all', 1))
    expect(verdict(story().take(copy('red', 1), 'nack').drained())).toEqual(bad('dropped'))
    expect(verdict(story().deliver(copy('red', 1)).drained())).toEqual(bad('dropped'))
    const again = { ...copy('red', 1), attempt: 2 }
    expect(verdict(story().take(copy('red', 1), 'nack').take(again).drained())).toEqual(good)
  })
})

describe('any run of a right cluster', () => {
  const step = fc.record({
    what: fc.constantFrom('publish', 'publish', 'publish', 'bind', 'unbind'),
    topic: fc.constantFrom(RED, BLUE),
    stored: fc.boolean(),
    known: fc.integer({ min: 0, max: 3 }),
  })
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

  /** A cluster that is right: publishes of process 0, bindings of process 1, some with unknown outcome (each by a process of its own). */
  function run(steps: readonly Step[]): Story {
    const story = new Story()
    const bound = new Set<string>()
    let unknowns = 100
    const copies: { queue: string; id: number; topic: string }[] = []
    for (const [id, { what, topic, stored, known }] of steps.entries()) {
      if (what !== 'publish') {
        story.did(1, what, { pattern: topic })
        if (what === 'bind') bound.add(topic)
        else bound.delete(topic)
        continue
      }
      const isKnown = known > 0
      const process = isKnown ? 0 : unknowns++
      story.invoke(process, 'publish', { id, topic })
      if (isKnown && stored) story.ok(process)
      else if (isKnown) story.fail(process)
      else story.info(process)
      if (!stored) continue
      copies.push({ queue: 'all', id, topic })
      if (topic === RED) copies.push({ queue: 'red', id, topic })
      if (bound.has(topic)) copies.push({ queue: 'own.1', id, topic })
    }
    for (const each of copies) story.take(copy(each.queue, each.id, each.topic))
    return story.drained()
  }

  const idOf = (value: Json) => (value as { id: number }).id

  /** Without the three events of the n-th copy; indexes stay, since the checker reads them and not places. */
  function without(history: readonly Event[], n: number): { history: Event[]; queue: string; id: number } {
    const delivered = history.filter(({ f }) => f === 'deliver')
    const { process, value } = delivered[n % delivered.length]!
    const { queue, message } = value as { queue: string; message: string }
    const isIt = (event: Event) =>
      event.process === process && (event.value as { message?: string }).message === message
    return { history: history.filter((event) => !isIt(event)), queue, id: idOf(value) }
  }

  it('is valid', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        expect(found(checkFanout(run(steps).history, options))).toEqual(good)
      }),
    )
  })

  it('is invalid without one copy: of what was acknowledged, or of what is in another queue', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), fc.nat(), (steps, n) => {
        const { history } = run(steps)
        fc.pre(history.some(({ f }) => f === 'deliver'))
        const less = without(history, n)
        const end = history.findLast(({ f, value }) => f === 'publish' && idOf(value) === less.id)
        const isElsewhere = less.history.some(({ f, value }) => f === 'deliver' && idOf(value) === less.id)
        // Nobody knows when an unknown publish took effect, so that its queue may have been unbound.
        fc.pre(end!.type === 'ok' || less.queue !== 'own.1')
        const expected = isElsewhere ? bad('partial') : end!.type === 'ok' ? bad('lost') : good
        expect(found(checkFanout(less.history, options))).toEqual(expected)
      }),
    )
  })
})
