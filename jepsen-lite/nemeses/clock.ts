/**
 * Wall clocks that jump, drift, or go to and fro (libfaketime). Nothing that was promised may hang on them; the monotonic clock stays as it is.
 */
import { setTimeout as sleep } from 'node:timers/promises'
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
/** A clock that is so far off is seen: a node tells the time to the second, and at times one that is a second old. */
const SEEN_MS = 3_000

export const clock: Nemesis = {
  name: 'clock',
  about: 'let the wall clocks of nodes jump, drift, or go to and fro (libfaketime)',
  launch: { fakeClock: true },
  unavailable: async () =>
    findFakeTime() === undefined ? 'libfaketime is not installed (Debian: package libfaketime)' : undefined,
  draw(random, nodes) {
    const hit = random.shuffle(nodes).slice(0, random.between(1, nodes.length)).sort()
    const holdMs = random.between(HOLD_MS_MIN, HOLD_MS_MAX)
    // One at least is off by so much that it can be seen.
    const settings = new Map(hit.map((node, i) => [node, i === 0 ? drawLargeSetting(random) : drawSetting(random)]))
    return random.chance(0.3) ? strobe(settings, holdMs) : step(settings, holdMs)
  },
  bite: ({ clocksSeenOff = 0 }) => (clocksSeenOff > 0 ? undefined : 'no node told a wrong time'),
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

function drawLargeSetting(random: Random): Setting {
  if (random.chance(0.2)) return { offsetMs: 0, rate: Math.max(...RATES) }
  const offsetMs = random.pick(JUMP_MS.filter((ms) => ms > 2 * SEEN_MS)) * (random.chance(0.5) ? 1 : -1)
  return { offsetMs: Math.round(offsetMs * (0.5 + random.next())), rate: random.chance(0.3) ? random.pick(RATES) : 1 }
}

function step(settings: Settings, holdMs: number): Fault {
  return {
    name: `clocks of ${[...settings].map(([node, setting]) => `${node} ${textOf(setting)}`).join(', ')}`,
    holdMs,
    begin: async (target) => {
      await setClocks(target, settings)
      const what = [...settings].map(([node, setting]) => `${node} ${textOf(setting)}`).join(', ')
      return { what, done: { clockSettings: settings.size } }
    },
    async end(target) {
      const clocksSeenOff = await countOff(target, settings)
      return { what: await resetClocks(target, settings), done: { clocksSeenOff } }
    },
  }
}

/** To and fro until it ends. */
function strobe(settings: Settings, holdMs: number): Fault {
  const over = new AbortController()
  let going: Promise<void> | undefined
  let [clockSettings, clocksSeenOff] = [0, 0]
  const goToAndFro = async (target: FaultTarget) => {
    for (let isNextRight = true; ; isNextRight = !isNextRight) {
      clockSettings += settings.size
      await sleep(STROBE_MS, undefined, { signal: over.signal }).catch(() => {})
      clocksSeenOff += await countOff(target, settings)
      if (over.signal.aborted) return
      await (isNextRight ? resetClocks(target, settings) : setClocks(target, settings))
    }
  }
  return {
    name: `to and fro: clocks of ${[...settings.keys()].join(', ')}`,
    holdMs,
    async begin(target) {
      await setClocks(target, settings)
      going = goToAndFro(target)
      // Heard of at the end.
      going.catch(() => {})
      return { what: 'clocks go to and fro', done: {} }
    },
    async end(target) {
      over.abort()
      // No turn comes after the last.
      await going
      return { what: await resetClocks(target, settings), done: { clockSettings, clocksSeenOff } }
    },
  }
}

async function setClocks(target: FaultTarget, settings: Settings): Promise<void> {
  for (const [node, { offsetMs, rate }] of settings) await target.clock(node, offsetMs, rate)
}

async function resetClocks(target: FaultTarget, settings: Settings): Promise<string> {
  for (const node of settings.keys()) await target.clock(node, 0, 1)
  return `clocks of ${[...settings.keys()].join(',')} are right`
}

/** How many of them tell a wrong time at this moment. */
async function countOff(target: FaultTarget, settings: Settings): Promise<number> {
  const told = await Promise.all([...settings.keys()].map((node) => target.timeOf(node)))
  return told.filter((time) => time !== undefined && Math.abs(time - Date.now()) > SEEN_MS).length
}

function textOf({ offsetMs, rate }: Setting): string {
  const by = `${offsetMs < 0 ? '' : '+'}${offsetMs / 1000} s`
  return rate === 1 ? by : `${offsetMs === 0 ? '' : `${by}, `}${rate} times as fast`
}
