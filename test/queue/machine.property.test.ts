import { describe, expect, it } from 'vitest'
import { Machine } from '../../node/queue/index.ts'
import { fc } from '../support/property.ts'
import { applyToBoth } from './beside-model.ts'
import { randomLog } from './random-log.ts'

const RUNS = 200
describe('random logs', () => {
  it('reach every kind of effect and every way that a message can go', () => {
    const kinds = new Set<string>()
    const totals = new Set<string>()
    for (const log of fc.sample(randomLog, { numRuns: 60, seed: 7 })) {
      const { effects, machine } = applyToBoth(log)
      for (const effect of effects.flat()) {
        kinds.add(effect.type)
        if (effect.type === 'detached') kinds.add(effect.reason)
        if (effect.type === 'outcome') kinds.add(effect.outcome.code ?? 'ok')
        if (effect.type === 'attachRefused') kinds.add(`refused ${effect.code}`)
      }
      for (const [name, total] of Object.entries(machine.totals)) if (total > 0) totals.add(name)
    }
    const refusals = [
      'DiskFull',
      'NotFound',
      'Precondition',
      'Validation',
      'ok',
      'refused Precondition',
      'refused SessionLost',
    ]
    const reasons = ['closed', 'moved', 'nodeLost', 'socketClosed']
    const types = ['attachRefused', 'attached', 'bootRefused', 'cancelled', 'confirm', 'deliver', 'detached', 'gap']
    expect([...kinds].sort()).toEqual(
      [...refusals, ...reasons, ...types, 'outcome', 'received', 'settled', 'staleFrame'].sort(),
    )
    expect([...totals].sort()).toEqual(Object.keys(new Machine().totals).sort())
  })
})

describe('the machine', () => {
  it('does what the naive model does, after every entry of random logs', () => {
    fc.assert(
      fc.property(randomLog, (log) => {
        applyToBoth(log)
      }),
      { numRuns: RUNS },
    )
  })

  it('gives the same effects and the same hash when a log is applied again', () => {
    fc.assert(
      fc.property(randomLog, (log) => {
        const { entries, effects, machine } = applyToBoth(log)
        const replica = new Machine()
        for (const [i, entry] of entries.entries()) {
          expect(replica.apply(i + 1, 7, Uint8Array.from(entry))).toEqual(effects[i])
        }
        expect(replica.stateHash()).toBe(machine.stateHash())
      }),
      { numRuns: RUNS / 5 },
    )
  })
})
