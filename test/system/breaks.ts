/**
 * Breaks to be planted above Raft: each takes one precaution out of the router, the gateway, the sessions, the SDK, the machine, or
 * what stands between the log and the disk, as a careless change would. The simulator must object to every one of them.
 *
 * Never: applied to the sources themselves (test/sim/bundle.ts).
 */
import type { PlantedBreak } from '../sim/breaks.ts'

export const systemWorker = 'test/system/worker.ts'

type Patch = readonly [file: string, find: string, replace: string]

function planted(name: string, rule: string, ...patches: readonly Patch[]): PlantedBreak {
  return { name, rule, edits: patches.map(([file, find, replace]) => ({ file, find, replace })) }
}

const router: readonly PlantedBreak[] = [
  planted('let go of a frame once it is sent', 'a gateway keeps frames until it sees them applied', [
    'node/router.ts',
    '    frames.sequenced.push({ frame, last })\n',
    '',
  ]),
  planted('forget node commands when the leader changes', 'node commands are held until they take effect', [
    'node/router.ts',
    '    for (const { frame, stall } of this.#commands.values()) {\n      stall.reset()\n',
    '    this.#commands.clear()\n    for (const { frame, stall } of this.#commands.values()) {\n      stall.reset()\n',
  ]),
]

const sessions: readonly PlantedBreak[] = [
  planted('leave a session attached when its socket closes', 'a closed socket detaches its session (trap 38)', [
    'node/gateway/gateway.ts',
    '      if (this.#sessions.get(session) === client) this.#detach(effect.to)\n',
    '',
  ]),
  planted('keep what a session holds after it is gone', 'open deliveries return when the grace is over', [
    'node/queue/sessions.ts',
    '  state.timers.stop(session.grace)\n  returnAllBut(state, session, [])\n',
    '  state.timers.stop(session.grace)\n',
  ]),
  planted('let a detached session live for ever', 'the lease of a detached session ends', [
    'node/queue/sessions.ts',
    '  state.timers.set(session.lease, sinceMs + session.leaseMs)\n',
    '',
  ]),
]

const sdk: readonly PlantedBreak[] = [
  planted('hold nothing over a reconnect', 'a hello lists what is still held, and the rest is dropped', [
    'client/session.ts',
    'if (runs.length > 0) held.push({ consumer: incarnation, runs })',
    '',
  ]),
  planted('send nothing again on a new attachment', 'what was sent and has no outcome is sent again', [
    'client/sequencer.ts',
    '    this.#trim()\n    this.#resend = true\n',
    '    this.#trim()\n',
  ]),
  planted('count on from what the cluster has judged', 'a sequence once sent is bound to its content (trap 48)', [
    'client/sequencer.ts',
    '    this.#trim()\n    this.#resend = true\n',
    '    this.#trim()\n    this.#lastSequence = lastSequence\n    this.#resend = true\n',
  ]),
  planted('call a publish without an outcome not applied', 'errors say whether it may have happened (trap 48)', [
    'client/publisher.ts',
    "message}`, { outcome: 'unknown' })",
    "message}`, { outcome: 'not-applied' })",
  ]),
]

const machine: readonly PlantedBreak[] = [
  planted('forget the timers when leadership moves', 'timers live in the state, and each leader arms them (trap 33)', [
    'node/group.ts',
    '      this.#proposer.begin(this.machine)\n      this.#proposer.watchTimers(this.machine.nextTimerMs())\n',
    '      this.#proposer.begin(this.machine)\n',
  ]),
  planted('apply a repeated publish again', 'a repeat gets its old outcome (trap 35)', [
    'node/queue/publish.ts',
    'const repeats = Math.min(expected - first, count)',
    'const repeats = Math.min(0, count)',
  ]),
  planted('leave the second queue out now and then', 'a publish reaches all bound queues or none', [
    'node/queue/publish.ts',
    '    queue.ready.pushRun(index, position, count)\n',
    '    if (queue === queues[1] && index % 7 === 0) continue\n    queue.ready.pushRun(index, position, count)\n',
  ]),
  planted('decide by dice', 'no randomness in apply (trap 31)', [
    'node/queue/credit.ts',
    'else queue.turn = consumer.next\n',
    'else queue.turn = Math.random() < 0.5 ? consumer : consumer.next\n',
  ]),
  planted("let the wall clock drive the machine's time", 'no wall clock moves a timer (trap 31)', [
    'node/proposer.ts',
    'return reign.timeMs + (this.#options.clock.now() - reign.sinceMs)',
    'return reign.timeMs + Math.max(0, this.#options.wallNow() - 1_700_000_000_000 - 0 * reign.sinceMs)',
  ]),
]

const storage: readonly PlantedBreak[] = [
  planted('jump to a later state and tell nobody', 'after an install the sessions here hear where they stand', [
    'node/group.ts',
    '    onRestored(effects)\n',
    '',
  ]),
  planted('restore no outcomes from a checkpoint', 'a repeat gets its old outcome (trap 35)', [
    'node/queue/restore.ts',
    '      addNew(session.outcomes, outcome.sequence, outcome)\n',
    '',
  ]),
  planted('restore sessions that have published nothing', 'a checkpoint holds how far each session came (trap 35)', [
    'node/queue/restore.ts',
    '    session.lastSequence = lastSequence\n',
    '    session.lastSequence = Math.min(0, lastSequence)\n',
  ]),
  planted('compact without regard to what queues refer to', 'live bodies outlive the log (trap 43)', [
    'node/checkpointing/checkpointer.ts',
    '        live,\n',
    '        live: { has: () => false, size: 0, *[Symbol.iterator]() {} },\n',
  ]),
]

const members: readonly PlantedBreak[] = [
  planted(
    'take an emptied directory for the one that it was',
    'an empty disk under a known id does not vote (trap 19)',
    [
      'raft/membership.ts',
      'return one.id === other.id && one.incarnation === other.incarnation\n',
      'return one.id === other.id\n',
    ],
  ),
  planted('raise no doubt over what recovery has lost', 'who may have forgotten counts for nothing (trap 22)', [
    'node/storage/open-storage.ts',
    '    if (!report.forgets) return\n',
    '    if (report.forgets || !report.forgets) return\n',
  ]),
  planted('leave a new directory a learner for ever', 'a caught-up learner takes the place of the voter that it was', [
    'node/membership-keeper.ts',
    "      if (replaces && this.#peer(id)?.incarnation === incarnation) return { type: 'promote', id }\n",
    '',
  ]),
]

export const breaks: readonly PlantedBreak[] = [...router, ...sessions, ...sdk, ...machine, ...storage, ...members]
