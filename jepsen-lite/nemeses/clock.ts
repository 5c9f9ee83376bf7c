/**
 * Wall clocks that jump, drift, or go to and fro (libfaketime). Nothing that was promised may hang on them; the monotonic clock stays as it is.
 */
import { findFakeTime } from '../files/fake-clock.ts'
import type { Fault, FaultTarget, Nemesis } from '../nemesis.ts'
import type { Random } from '../random.ts'

const HOLD_MS_MIN = 2_000
const HOLD_MS_MAX = 8_000
/** Of a jump, milliseconds: from a leap second to a wrong year. */
const JUMP_MS = [50, 1_000, 15_000, 3_600_000, 400 * 86_400_000]
const RATES = [0.2, 0.9, 1.1, 3, 20]
/** libfaketime looks at its file once a second. */
const STROBE_MS = 1_100

export const clock: Nemesis = {
  name: 'clock',
  about: 'let the wall clocks of nodes jump, drift, or go to and fro (libfaketime)',
  launch: { fakeClock: true },
  unavailable: async () =>
    findFakeTime() === undefined ? 'libfaketime is not installed (Debian: package libfaketime)' : undefined,
  draw(random, nodes) {
    const hit = random.shuffle(nodes).slice(0, random.between(1, nodes.length)).sort()
    const holdMs = random.between(HOLD_MS_MIN, HOLD_MS_MAX)
    const settings = new Map(hit.map((node) => [node, drawSetting(random)]))
    return random.chance(0.3) ? strobe(settings, holdMs) : step(settings, holdMs)
  },
  bite: ({ clockSettings = 0 }) => (clockSettings > 0 ? undefined : 'no clock was set'),
}

interface Setting {
  readonly offsetMs: number
  readonly rate: number
}

type Settings = ReadonlyMap<string, Setting>

function drawSetting(random: Random): Setting {
  if (random.chance(0.35)) return { offsetMs: 0, rate: random.pick(RATES) }
  const offsetMs = random.pick(JUMP_MS) * (random.chance(0.5) ? 1 : -1)
  return { offsetMs: Math.round(offsetMs * (0.5 + random.next())), rate: random.chance(0.3) ? random.pick(RATES) : 1 }
}

function step(settings: Settings, holdMs: number): Fault {
  return {
    name: `clocks of ${[...settings].map(([node, setting]) => `${node} ${textOf(setting)}`).join(', ')}`,
    holdMs,
    begin: (target) => setClocks(target, settings),
    end: (target) => resetClocks(target, settings),
  }
}

/** To and fro until it ends. */
function strobe(settings: Settings, holdMs: number): Fault {
  let timer: NodeJS.Timeout | undefined
  let turns = 0
  const turn = async (target: FaultTarget) => {
    turns++
    await (turns % 2 === 1 ? setClocks(target, settings) : resetClocks(target, settings))
  }
  return {
    name: `to and fro: clocks of ${[...settings.keys()].join(', ')}`,
    holdMs,
    async begin(target) {
      await turn(target)
      timer = setInterval(() => void turn(target), STROBE_MS)
      return { what: 'clocks go to and fro', done: { clockSettings: 1 } }
    },
    async end(target) {
      clearInterval(timer)
      const { what } = await resetClocks(target, settings)
      return { what, done: { clockSettings: turns } }
    },
  }
}

async function setClocks(target: FaultTarget, settings: Settings) {
  for (const [node, { offsetMs, rate }] of settings) await target.clock(node, offsetMs, rate)
  const what = [...settings].map(([node, setting]) => `${node} ${textOf(setting)}`).join(', ')
  return { what, done: { clockSettings: settings.size } }
}

async function resetClocks(target: FaultTarget, settings: Settings) {
  for (const node of settings.keys()) await target.clock(node, 0, 1)
  return { what: `clocks of ${[...settings.keys()].join(',')} are right`, done: {} }
}

function textOf({ offsetMs, rate }: Setting): string {
  const by = `${offsetMs < 0 ? '' : '+'}${offsetMs / 1000} s`
  return rate === 1 ? by : `${offsetMs === 0 ? '' : `${by}, `}${rate} times as fast`
}
