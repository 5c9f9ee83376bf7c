import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RunResult } from '../../../jepsen-lite/run/result.ts'
import { type PlantedBug, plantedBugs, simulatedBugs } from '../../../jepsen-lite/selftest/bugs.ts'
import { edited, misfits, plant } from '../../../jepsen-lite/selftest/plant.ts'
import { findPlantedBugs } from '../../../jepsen-lite/selftest/selftest.ts'
import { workloads } from '../../../jepsen-lite/workloads/index.ts'
import { breaks as coreBreaks } from '../../sim/breaks.ts'
import { realDiskFolder } from '../../support/place.ts'
import { breaks as systemBreaks } from '../../system/breaks.ts'

const finder = { workload: 'queue', nemesis: 'kill', seconds: 1, seed: 5 }
const bugOf = (find: string): PlantedBug => ({
  name: 'a bug',
  rule: 'a rule',
  edits: [{ file: 'a.js', find, replace: 'two' }],
  finder,
  anomalies: ['lost'],
  quick: true,
})
const verdictOf = (valid: boolean | 'unknown' | 'crashed') => {
  const type = valid === 'crashed' ? 'crashed' : 'lost'
  const anomalies = valid === false || valid === 'crashed' ? [{ type, message: '1', events: [] }] : []
  return { verdict: { valid: valid === 'crashed' ? false : valid, anomalies } } as unknown as RunResult
}

describe('a planted bug', () => {
  let packageFolder: string
  let told: string[]

  beforeEach(() => {
    packageFolder = realDiskFolder()
    mkdirSync(path.join(packageFolder, 'dist'))
    writeFileSync(path.join(packageFolder, 'package.json'), '{}')
    writeFileSync(path.join(packageFolder, 'dist/a.js'), 'one; other')
    told = []
  })
  afterEach(() => rmSync(packageFolder, { recursive: true, force: true }))

  const hooks = (verdicts: (boolean | 'unknown' | 'crashed')[], seeds: number[] = []) => ({
    packageFolder,
    folder: path.join(packageFolder, 'data'),
    run: async (_: unknown, seed: number) => {
      seeds.push(seed)
      return verdictOf(verdicts.shift() ?? true)
    },
    tell: (line: string) => void told.push(line),
  })

  it('is in the copy of the build and not in the build', () => {
    const copy = path.join(packageFolder, 'data/copy')
    plant(bugOf('one').edits, packageFolder, copy)
    expect(readFileSync(path.join(copy, 'dist/a.js'), 'utf8')).toBe('two; other')
    expect(readFileSync(path.join(packageFolder, 'dist/a.js'), 'utf8')).toBe('one; other')
  })

  it('whose patch fits nowhere, or twice, is not planted, and is told', async () => {
    expect(() => edited('a b a', 'a', 'c', 'x.js')).toThrow('fits 2 times')
    expect(misfits([bugOf('one'), bugOf('three')], packageFolder)).toEqual([
      'a bug: the patch of a.js fits 0 times: three',
    ])
    const [finding] = await findPlantedBugs([bugOf('three')], hooks([false]))
    expect(finding).toMatchObject({ anomaly: undefined, problem: expect.stringContaining('fits 0 times') })
    expect(told[0]).toMatch(/^NOT FOUND/)
  })

  it('is found by a run that is invalid for its sake, and by no other; three seeds are tried', async () => {
    const seeds: number[] = []
    const [found] = await findPlantedBugs([bugOf('one')], hooks([true, 'unknown', false], seeds))
    expect(found).toMatchObject({ anomaly: 'lost: 1', attempts: 3 })
    expect(seeds).toEqual([5, 6, 7])
    const [missed] = await findPlantedBugs([bugOf('one')], hooks([true, 'unknown', 'crashed', false]))
    expect(missed).toMatchObject({ anomaly: undefined, attempts: 3 })
  })
})

it('every bug names a workload that there is, and what is left to a simulator is planted there', () => {
  expect(plantedBugs.filter((bug) => !workloads.some(({ name }) => name === bug.finder.workload))).toEqual([])
  const planted = { core: coreBreaks, system: systemBreaks }
  const absent = simulatedBugs.filter((bug) => !planted[bug.simulator].some(({ name }) => name === bug.planted))
  expect(absent).toEqual([])
})
