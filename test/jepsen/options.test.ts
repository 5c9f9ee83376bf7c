import { describe, expect, it } from 'vitest'
import type { NetworkKind } from '../../jepsen-lite/cluster/networks.ts'
import type { Nemesis } from '../../jepsen-lite/nemesis.ts'
import { type GivenOptions, runOptionsOf, UsageError } from '../../jepsen-lite/options.ts'
import { workloads } from '../../jepsen-lite/workloads/index.ts'

function nemesis(name: string, why?: string): Nemesis {
  const draw = () => {
    throw new Error('not asked')
  }
  return { name, about: '', draw, bite: () => undefined, unavailable: async () => why }
}

/** One that cannot delay, and one that this machine has not got. */
const networks: readonly NetworkKind[] = [
  {
    name: 'proxies',
    about: '',
    unavailable: async () => undefined,
    cannot: (type) => (type === 'delay' ? 'it has no patience' : undefined),
  },
  { name: 'namespaces', about: '', unavailable: async () => 'needs root', cannot: () => undefined },
]
const late: Nemesis = { ...nemesis('late'), impairments: ['stall', 'delay'] }

const catalogue = {
  workloads,
  networks,
  nemeses: [nemesis('kill'), nemesis('cut'), nemesis('tc', 'needs root'), nemesis('pause'), nemesis('slow'), late],
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
    const chosen = { nemesis: undefined, nemeses: ['cut', 'kill'], network: 'proxies' }
    expect(settings).toEqual({ ...given, ...chosen, ...defaultsOf(queue!) })
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

  it('leave out of a mix what the workload is immune to, and do it where it is named', async () => {
    const workload = { ...workloads[0]!, immuneTo: ['kill', 'late'] }
    const namesUnder = async (nemesis: string, seed: number) =>
      (await runOptionsOf({ ...given, nemesis, seed }, { ...catalogue, workloads: [workload] })).settings.nemeses
    const mixes = await Promise.all(Array.from({ length: 30 }, (_, seed) => namesUnder('mix', seed)))
    expect(new Set(mixes.flat())).toEqual(new Set(['cut', 'pause', 'slow']))
    expect(await namesUnder('kill', 1)).toEqual(['kill'])
  })

  it.each([
    [{ workload: 'nothing' }, "there is no workload 'nothing'"],
    [{ nemesis: 'kill,flood' }, "there is no nemesis 'flood'"],
    [{ nemesis: 'kill,tc' }, 'tc cannot be done here: needs root'],
    [{ nemesis: 'kill,late' }, 'late cannot be done here: it has no patience'],
    [{ network: 'pigeons' }, "there is no network 'pigeons': see --list"],
    [{ network: 'namespaces' }, 'the network namespaces cannot be had here: needs root'],
  ])('refuse %o in one sentence', async (change, message) => {
    const refused = runOptionsOf({ ...given, ...change }, catalogue)
    await expect(refused).rejects.toThrow(UsageError)
    await expect(refused).rejects.toThrow(message)
  })
})

function defaultsOf({ concurrency, rate }: { concurrency: number; rate: number }) {
  return { concurrency, rate }
}
