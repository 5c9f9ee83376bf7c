import { describe, expect, it } from 'vitest'
import { checkRequestReply, NOBODY } from '../../../jepsen-lite/check/request-reply.ts'
import type { Json } from '../../../jepsen-lite/history.ts'
import { fc } from '../../support/property.ts'
import { bad, found, good, Story } from './story.ts'

const verdict = (story: Story) => found(checkRequestReply(story.history, { concurrency: 1 }))

const ask = (id: number, topic = 't') => ({ id, topic })
const invoked = (...requests: Json[]) => new Story().invoke(0, 'request', { requests })
const served = (id: number, topic = 't', token = `1-${id}`) => ({ id, topic, token })
const serve = (story: Story, id: number, topic = 't') => story.tell('1 responder', 'serve', served(id, topic))
const replied = (id: number, reply: Json = { id, token: `1-${id}` }) => ({ ...ask(id), as: 'replied', reply })
const refused = (id: number, error: string, topic = 't') => ({ ...ask(id, topic), as: 'refused', error })

describe('requests are right', () => {
  it('when each gets its own reply, or its own error', () => {
    const story = serve(serve(invoked(ask(1), ask(2)), 2), 1)
    const thrown = { ...ask(2), as: 'thrown', reply: { id: 2, token: '1-2' } }
    expect(verdict(story.ok(0, { requests: [replied(1), thrown] }).drained())).toEqual(good)
  })

  it('when a reply comes too late, or never', () => {
    const story = serve(invoked(ask(1), ask(2)), 1)
    const result = checkRequestReply(
      story
        .info(0, {
          requests: [
            { ...ask(1), as: 'unknown', error: 'Timeout: late' },
            { ...ask(2), as: 'unknown' },
          ],
        })
        .drained(1).history,
      { concurrency: 1 },
    )
    expect(found(result)).toEqual(good)
    expect(result.counts).toMatchObject({ unknown: 2, servedAndUnknown: 1 })
  })

  it('when the responder is heard later than the asker whom it has answered before', () => {
    const answered = () => serve(invoked(ask(1)).ok(0, { requests: [replied(1)] }), 1)
    expect(verdict(answered().heardLate(1.5).drained())).toEqual(good)
    expect(verdict(answered().heardLate(0.5).drained())).toEqual(bad('forged'))
  })

  it('when the worker of the asker was killed, and the request is served later', () => {
    expect(verdict(serve(invoked(ask(1)).info(0), 1).drained(1))).toEqual(good)
  })

  it.each([
    'NoResponders: nobody',
    'Connection: not sent in time',
    'NoQuorum: not sent in time',
    'Overloaded: too many',
  ])('when a topic without responders is refused with %s', (error) => {
    const story = invoked(ask(1, NOBODY)).fail(0, { requests: [refused(1, error, NOBODY)] })
    expect(verdict(story.drained())).toEqual(good)
  })

  it('when the responder was closed, so that no handler gave the error', () => {
    const story = invoked(ask(1)).ok(0, { requests: [{ ...ask(1), as: 'thrown', error: 'no responder here' }] })
    expect(verdict(story.drained())).toEqual(good)
  })
})

describe('requests are wrong', () => {
  it('when one gets the reply to another', () => {
    const story = serve(serve(invoked(ask(1), ask(2)), 1), 2)
    const crossed = [replied(1, { id: 2, token: '1-2' }), replied(2)]
    expect(verdict(story.ok(0, { requests: crossed }).drained())).toEqual(bad('crossed'))
  })

  it('when one gets the error of another', () => {
    const story = serve(serve(invoked(ask(1), ask(2)), 1), 2)
    const thrown = { ...ask(1), as: 'thrown', reply: { id: 2, token: '1-2' } }
    expect(verdict(story.ok(0, { requests: [thrown, replied(2)] }).drained())).toEqual(bad('crossed'))
  })

  it('when one is served under another topic', () => {
    expect(
      verdict(
        serve(invoked(ask(1)), 1, 'u')
          .ok(0, { requests: [replied(1)] })
          .drained(),
      ),
    ).toEqual(bad('crossed'))
  })

  it('when a reply is to the right request and nobody gave it', () => {
    const story = serve(invoked(ask(1)), 1).ok(0, { requests: [replied(1, { id: 1, token: '9-9' })] })
    expect(verdict(story.drained())).toEqual(bad('forged'))
  })

  it('when a reply comes before anybody has served the request', () => {
    expect(verdict(serve(invoked(ask(1)).ok(0, { requests: [replied(1)] }), 1).drained())).toEqual(bad('forged'))
  })

  it('when a body is another one than was sent, on its way there or back', () => {
    const there = invoked(ask(1)).tell('1 responder', 'serve', { ...served(1), corrupt: true })
    expect(verdict(there.ok(0, { requests: [replied(1)] }).drained())).toEqual(bad('corrupt'))
    const back = serve(invoked(ask(1)), 1).ok(0, { requests: [{ ...replied(1), corrupt: true }] })
    expect(verdict(back.drained())).toEqual(bad('corrupt'))
  })

  it('when a process responds, and it is said after the heal that nobody does', () => {
    const drained = (unheard: Json) => new Story().did(0, 'drain', null, { unheard })
    expect(verdict(drained([]))).toEqual(good)
    expect(verdict(drained(['nobody responds']))).toEqual(bad('unheard'))
    const unsure = new Story().invoke(0, 'drain').fail(0, { unheard: ['nobody responds'] })
    expect(verdict(unsure.drained(1))).toEqual(good)
  })

  it('when a request is served that nobody made', () => {
    expect(verdict(serve(new Story(), 5).drained())).toEqual(bad('forged'))
  })

  it('when one is served twice', () => {
    const story = serve(serve(invoked(ask(1)), 1), 1)
    expect(verdict(story.ok(0, { requests: [replied(1)] }).drained())).toEqual(bad('served twice'))
  })

  it('when one that nobody knows the end of is served twice', () => {
    expect(verdict(serve(serve(invoked(ask(1)).info(0), 1), 1).drained(1))).toEqual(bad('served twice'))
  })

  it('when one is said to have reached nobody and was served, before or after', () => {
    const error = { requests: [refused(1, 'NoResponders: nobody')] }
    expect(
      verdict(
        serve(invoked(ask(1)), 1)
          .fail(0, error)
          .drained(),
      ),
    ).toEqual(bad('denied'))
    expect(verdict(serve(invoked(ask(1)).fail(0, error), 1).drained())).toEqual(bad('denied'))
  })

  it('when a topic without responders is refused for another reason, or as if somebody had thrown', () => {
    const story = invoked(ask(1, NOBODY)).fail(0, { requests: [refused(1, 'NotFound: what', NOBODY)] })
    expect(verdict(story.drained())).toEqual(bad('miscoded'))
    const thrown = { ...ask(1, NOBODY), as: 'thrown', error: 'no responder here' }
    expect(
      verdict(
        invoked(ask(1, NOBODY))
          .ok(0, { requests: [thrown] })
          .drained(),
      ),
    ).toEqual(bad('miscoded'))
  })
})

describe('any run of right responders', () => {
  const outcomes = fc.array(fc.constantFrom('replied', 'thrown', 'late', 'lost', 'refused'), {
    minLength: 2,
    maxLength: 30,
  })

  function told(kinds: readonly string[], reply: (id: number) => Json): Story {
    const story = new Story()
    for (const [id, kind] of kinds.entries()) {
      story.invoke(id, 'request', { requests: [ask(id)] })
      if (kind !== 'lost' && kind !== 'refused') serve(story, id)
      if (kind === 'refused') story.fail(id, { requests: [refused(id, 'NoResponders: nobody')] })
      else if (kind === 'late' || kind === 'lost') story.info(id, { requests: [{ ...ask(id), as: 'unknown' }] })
      else story.ok(id, { requests: [{ ...ask(id), as: kind, reply: reply(id) }] })
    }
    return story.drained(1_000)
  }
  const right = (id: number) => ({ id, token: `1-${id}` })

  it('is valid', () => {
    fc.assert(
      fc.property(outcomes, (kinds) => {
        expect(verdict(told(kinds, right))).toEqual(good)
      }),
    )
  })

  it('is invalid when one reply goes astray', () => {
    fc.assert(
      fc.property(outcomes, fc.nat(), fc.nat(), (kinds, a, b) => {
        const answered = [...kinds.keys()].filter((id) => kinds[id] === 'replied' || kinds[id] === 'thrown')
        fc.pre(answered.length > 1)
        const victim = answered[a % answered.length]!
        const other = answered.filter((id) => id !== victim)[b % (answered.length - 1)]!
        expect(verdict(told(kinds, (id) => right(id === victim ? other : id)))).toEqual(bad('crossed'))
      }),
    )
  })
})
