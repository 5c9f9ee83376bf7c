import { describe, expect, it } from 'vitest'
import type { FaultReport, FaultTarget } from '../../../jepsen-lite/nemesis.ts'
import { Faults } from '../../../jepsen-lite/run/faults.ts'
import { Recorder } from '../../../jepsen-lite/run/recorder.ts'
import type { ScheduledFault } from '../../../jepsen-lite/run/schedule.ts'
import { eventually } from '../../support/eventually.ts'

const target = {} as FaultTarget
const report = (what: string, kills: number): FaultReport => ({ what, done: { kills } })

/** A fault that writes down what is done with it. */
function fault(number: number, atMs: number, holdMs: number, log: string[], failing?: 'begin' | 'end'): ScheduledFault {
  const step = (name: 'begin' | 'end') => async (given: FaultTarget) => {
    expect(given).toBe(target)
    log.push(`${name} ${number}`)
    if (failing === name) throw new Error('too late')
    return report(`${name} ${number}`, 1)
  }
  const name = `fault ${number}`
  const made = { name, holdMs, begin: step('begin'), end: step('end') }
  return { number, atMs, holdMs, nemesis: 'kill', name, fault: made }
}

function faultsOf(schedule: readonly ScheduledFault[]) {
  const began = process.hrtime.bigint()
  const now = () => Number(process.hrtime.bigint() - began)
  const recorder = new Recorder(now)
  return { recorder, faults: new Faults(schedule, target, recorder, now) }
}

const never = new AbortController().signal

describe('faults', () => {
  it('begin at their time, hold, end, may overlap, and are told in history and windows', async () => {
    const log: string[] = []
    const { faults, recorder } = faultsOf([fault(0, 20, 500, log), fault(1, 40, 10, log), fault(2, 1_000, 0, log)])
    await faults.run(never)
    expect(log).toEqual(['begin 0', 'begin 1', 'end 1', 'end 0', 'begin 2', 'end 2'])
    expect(faults.active).toEqual([])
    expect(faults.windows.map(({ name, what, done }) => [name, what, done])).toEqual([
      ['fault 0', 'begin 0; end 0', { kills: 2 }],
      ['fault 1', 'begin 1; end 1', { kills: 2 }],
      ['fault 2', 'begin 2; end 2', { kills: 2 }],
    ])
    for (const [i, { from, to }] of faults.windows.entries()) {
      expect(from).toBeGreaterThanOrEqual([20, 40, 1_000][i]! * 1e6)
      expect(to - from).toBeGreaterThanOrEqual([500, 10, 0][i]! * 1e6)
    }
    expect(recorder.events.map(({ process, type, f }) => [process, type, f])).toEqual(
      Array.from({ length: 6 }, () => ['nemesis', 'info', 'kill']),
    )
  })

  it('end at once when the run stops, and begin no more', async () => {
    const log: string[] = []
    const { faults } = faultsOf([fault(0, 0, 60_000, log), fault(1, 60_000, 0, log)])
    const stop = new AbortController()
    const done = faults.run(stop.signal)
    await eventually(() => faults.active.length > 0 || undefined, { what: 'the first fault holds' })
    expect(faults.active).toEqual(['fault 0'])
    stop.abort()
    await done
    expect(log).toEqual(['begin 0', 'end 0'])
  })

  it('are ended even if they could not begin, and tell why', async () => {
    const log: string[] = []
    const { faults, recorder } = faultsOf([fault(0, 0, 1, log, 'begin'), fault(1, 0, 1, log, 'end')])
    await faults.run(never)
    expect(log.sort()).toEqual(['begin 0', 'begin 1', 'end 0', 'end 1'])
    expect(faults.windows.map(({ error }) => error)).toEqual([
      'fault 0 could not begin: too late',
      'fault 1 could not end: too late',
    ])
    expect(recorder.events.filter(({ error }) => error !== undefined)).toHaveLength(2)
  })
})
