/**
 * A made-up run for the report's tests: as many operations as asked for, faults that overlap, elections, an anomaly, and values that try to
 * break out of every format. It is drawn from a seed and claims nothing about any cluster.
 */
import type { Event, Json } from '../../../jepsen-lite/history.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import type { FaultWindow, RunResult, WatchSample } from '../../../jepsen-lite/run/result.ts'

export const NASTY =
  '</script><script>alert("x")</script> <img src=x onerror=\'alert(1)\'> & "quotes" \\ back\nline\r\ttab \u0000\u0007\u2028\u2029\u202e ünï 漢字 🧪 \ud800'

export interface SyntheticOptions {
  readonly operations?: number
  readonly seconds?: number
  readonly seed?: number
  readonly valid?: RunResult['verdict']['valid']
  /** Put into values, errors, names of faults and settings. */
  readonly text?: string
}

const CONCURRENCY = 10
const NODES = ['n1', 'n2', 'n3']

export function syntheticRun(options: SyntheticOptions = {}): RunResult {
  const { operations = 4000, seconds = 60, seed = 7, valid = false, text = 'order' } = options
  const faults = drawFaults(seconds, seed, text)
  const history = drawHistory(operations, seconds, seed, text, faults)
  const anomalies = valid === false ? anomaliesIn(history, text) : []
  return {
    settings: {
      workload: 'queue',
      nemeses: ['kill', 'partition', 'slow-disk'],
      seconds,
      seed,
      nodes: 3,
      concurrency: CONCURRENCY,
      rate: Math.round(operations / seconds),
      bin: 'dist/node/cli/main.js',
      network: 'proxies',
      nodeOptions: text === 'order' ? {} : { text },
    },
    versions: { meshmq: '0.1.0', node: 'v20.20.2', commit: '5085d29c0ffee', platform: 'linux x64' },
    startedAt: '2026-11-22T06:20:00.000Z',
    verdict: {
      valid,
      reasons:
        valid === true
          ? []
          : valid === false
            ? anomalies.map(({ type, message }) => `${type}: ${message}`)
            : ['partition did not bite: no byte was dropped'],
      anomalies,
      counts: { acknowledged: 2801, lost: anomalies.length, unexpected: 0, duplicated: 0, recovered: 3 },
      bite: [
        { nemesis: 'kill', faults: 3, done: { kills: 4 } },
        valid === 'unknown'
          ? { nemesis: 'partition', faults: 2, done: { bytesDropped: 0 }, problem: 'no byte was dropped' }
          : { nemesis: 'partition', faults: 2, done: { bytesDropped: 48_213 } },
      ],
    },
    history,
    schedule: faults.map(({ number, nemesis, name, from, to }) => ({
      number,
      atMs: from / 1e6,
      holdMs: (to - from) / 1e6,
      nemesis,
      name,
    })),
    faults,
    phases: [
      { name: 'start', from: 0, to: 1.4e9 },
      { name: 'setup', from: 1.4e9, to: 1.6e9 },
      { name: 'faults', from: 1.6e9, to: seconds * 1e9 },
      { name: 'heal', from: seconds * 1e9, to: (seconds + 1.1) * 1e9 },
      { name: 'drain', from: (seconds + 1.1) * 1e9, to: (seconds + 2.4) * 1e9 },
      { name: 'agree', from: (seconds + 2.4) * 1e9, to: (seconds + 2.6) * 1e9 },
    ],
    watch: drawWatch(seconds, faults),
    evidence: { elections: 5, kills: 4, bytesDropped: 48_213, bytesDelayed: 0, hashesEqual: 1 },
    nodes: NODES,
  }
}

function drawFaults(seconds: number, seed: number, text: string): FaultWindow[] {
  const random = seeded(seed, 'faults')
  const kinds: readonly Pick<FaultWindow, 'nemesis' | 'name' | 'what' | 'done'>[] = [
    { nemesis: 'kill', name: 'kill the leader', what: 'killed n2 (led term 3), started it again', done: { kills: 1 } },
    { nemesis: 'partition', name: 'partition n1 | n2,n3', what: 'cut n1 off', done: { bytesDropped: 24_106 } },
    {
      nemesis: 'slow-disk',
      name: `syncs of n3 take 80 ms longer${text === 'order' ? '' : text}`,
      what: 'slowed 212 syncs',
      done: { syncsSlowed: 212 },
    },
  ]
  const faults: FaultWindow[] = []
  for (let at = 4; at < seconds - 3; at += 3 + random.next() * 7) {
    const from = at * 1e9
    faults.push({
      number: faults.length,
      ...random.pick(kinds),
      from,
      to: Math.min(seconds * 1e9, from + (1 + random.next() * 6) * 1e9),
    })
  }
  return faults
}

function drawHistory(
  operations: number,
  seconds: number,
  seed: number,
  text: string,
  faults: readonly FaultWindow[],
): Event[] {
  const random = seeded(seed, 'history')
  const events: Omit<Event, 'index'>[] = []
  const step = ((seconds - 2) * 1e9 * CONCURRENCY) / operations
  let next = CONCURRENCY
  for (let slot = 0; slot < CONCURRENCY; slot++) {
    let process: number = slot
    let time = 1.6e9 + random.next() * step
    for (let i = 0; time < seconds * 1e9; i++) {
      const f = random.chance(0.68) ? 'publish' : 'receive'
      const value: Json = f === 'publish' ? `${text}-${slot}-${i}` : null
      const hit = faults.filter(({ from, to }) => from <= time && time <= to)
      const slow = hit.some(({ nemesis }) => nemesis === 'slow-disk')
      const stuck = hit.some(({ nemesis, from }) => nemesis !== 'slow-disk' && time - from < 0.4e9)
      const usual = 0.25e6 * Math.exp(random.next() * 2.2) * (slow ? 25 + random.next() * 60 : 1)
      const long = stuck ? (random.next() * 0.9 + 0.1) * 1.6e9 : usual
      const type = stuck ? random.pick(['ok', 'ok', 'fail', 'info'] as const) : random.chance(0.002) ? 'info' : 'ok'
      const end = time + long
      events.push({ time, process, type: 'invoke', f, value })
      const result: Json =
        f === 'receive' && type === 'ok' ? [`${text}-${random.below(CONCURRENCY)}-${Math.max(0, i - 3)}`] : value
      const error =
        type === 'info'
          ? `Timeout: no answer within 1000 ms${text === 'order' ? '' : text}`
          : type === 'fail'
            ? 'NotLeader: n2 does not lead'
            : undefined
      events.push({ time: end, process, type, f, value: result, ...(error !== undefined && { error }) })
      if (type === 'info') {
        process = slot + CONCURRENCY * Math.ceil(next / CONCURRENCY)
        next += CONCURRENCY
      }
      time = Math.max(end, time + step * (0.5 + random.next()))
    }
  }
  for (const { name, from, to, what } of faults) {
    events.push({ time: from, process: 'nemesis', type: 'info', f: 'begin', value: name })
    events.push({ time: to, process: 'nemesis', type: 'info', f: 'end', value: what })
  }
  for (let i = 0; i < 300; i++) {
    events.push({
      time: (2 + (i / 300) * (seconds - 2)) * 1e9,
      process: 'billing-1',
      type: 'ok',
      f: 'delivered',
      value: i,
    })
  }
  events.sort((a, b) => a.time - b.time)
  return events.map((event, index) => ({ index, ...event, time: Math.round(event.time) }))
}

function anomaliesIn(history: readonly Event[], text: string) {
  const published = history.filter(({ f, type }) => f === 'publish' && type === 'ok')
  return [0.31, 0.62].map((part) => {
    const event = published[Math.floor(published.length * part)] as Event
    const invoked = history.findLast(
      ({ process, type, index }) => process === event.process && type === 'invoke' && index < event.index,
    ) as Event
    return {
      type: 'lost',
      message: `${String(event.value)} was acknowledged after ${((event.time - invoked.time) / 1e6).toFixed(1)} ms and never received${text === 'order' ? '' : text}`,
      events: [event.index],
    }
  })
}

function drawWatch(seconds: number, faults: readonly FaultWindow[]): WatchSample[] {
  const samples: WatchSample[] = []
  let term = 2
  let leader: string | undefined = 'n2'
  for (let time = 1.4e9; time < (seconds + 2) * 1e9; time += 0.2e9) {
    const fault = faults.find(({ nemesis, from }) => nemesis === 'kill' && from <= time && time < from + 1.2e9)
    const isNew = fault !== undefined && time - fault.from < 0.2e9
    if (isNew) {
      leader = undefined
    } else if (leader === undefined) {
      term++
      leader = NODES[term % 3] as string
    }
    const down = fault === undefined ? [] : [NODES[fault.number % 3]]
    samples.push({ time, leader, term, ready: NODES.filter((node) => !down.includes(node)) })
  }
  return samples
}
