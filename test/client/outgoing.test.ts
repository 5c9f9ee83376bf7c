import { describe, expect, it } from 'vitest'
import { CommandItem } from '../../client/outgoing.ts'

describe('a command on its way', () => {
  it('rejects when what follows from its result throws: nobody waits for ever', async () => {
    const failure = new Error('cannot use the result')
    const item = new CommandItem({ type: 'listen', pattern: 'x' }, 0, 0, () => {
      throw failure
    })
    item.judged(1, undefined, { listener: 7 })
    expect(item.isOver).toBe(true)
    await expect(item.promise).rejects.toBe(failure)
  })
})
