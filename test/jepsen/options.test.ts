import { describe, expect, it } from 'vitest'
import type { Nemesis } from '../../jepsen-lite/nemesis.ts'
import { type GivenOptions, runOptionsOf, UsageError } from '../../jepsen-lite/options.ts'
import { workloads } from '../../jepsen-lite/workloads/index.ts'

function nemesis(name: string, why?: string): Nemesis {
  const draw = () => {
    throw new Error('not asked')
  }
  return { name, about: '', draw, bite: () => undefined, unavailable: async () => why }
}

const catalogue = {
  workloads,
  nemeses: [nemesis('kill'), nemesis('cut'), nemesis('tc', 'needs root'), nemesis('pause'), nemesis('slow')],
}
const given: GivenOptions = {
  workload: 'queue',
  nemesis: 'cut,kill',
  seconds: 60,
  seed: 7,
  nodes: 3,
  bin: '/bin/meshmq.js',
  nodeOptions: {},
}
const namesOf = async (nemesis: string, seed = 7) =>
  (await runOptionsOf({ ...given, nemesis, seed }, catalogue)).settings.nemeses

describe('the options of a run', () => {
  it('take concurrency and rate from the workload unless they are given', async () => {
    const [queue] = workloads
    const { settings, workload } = await runOptionsOf(given, catalogue)
    expect(workload).toBe(queue)
    expect(settings).toEqual({ ...given, nemesis: undefined, nemeses: ['cut', 'kill'], ...defaultsOf(queue!) })
    const own = await runOptionsOf({ ...given, concurrency: 2, rate: 0 }, catalogue)
    expect(own.settings).toMatchObject({ concurrency: 2, rate: 0 })
  })

  it('understand none, all that can be done here, and a mix that the seed draws', async () => {
    expect(await namesOf('none')).toEqual([])
    expect(await namesOf('all')).toEqual(['kill', 'cut', 'pause', 'slow'])
    expect(await namesOf('mix')).toEqual(await namesOf('mix'))
    const mixes = await Promise.all(Array.from({ length: 30 }, (_, seed) => namesOf('mix', seed)))
    expect(new Set(mixes.map((mix) => [...mix].sort().join())).size).toBeGreaterThan(5)
    for (const mix of mixes) {
      expect(mix.length).toBeGreaterThanOrEqual(2)
      expect(mix).not.toContain('tc')
    }
  })

  it.each([
    [{ workload: 'nothing' }, "there is no workload 'nothing'"],
    [{ nemesis: 'kill,flood' }, "there is no nemesis 'flood'"],
    [{ nemesis: 'kill,tc' }, 'tc cannot be done here: needs root'],
  ])('refuse %o in one sentence', async (change, message) => {
    const refused = runOptionsOf({ ...given, ...change }, catalogue)
    await expect(refused).rejects.toThrow(UsageError)
    await expect(refused).rejects.toThrow(message)
  })
})

function defaultsOf({ concurrency, rate }: { concurrency: number; rate: number }) {
  return { concurrency, rate }
}
