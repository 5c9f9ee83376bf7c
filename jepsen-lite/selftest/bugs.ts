/**
 * Bugs to plant in a copy of the build, each as a careless change would bring it about: a suite that finds none of them proves nothing.
 *
 * Each names the run that finds it. Those that no run of a minute finds for sure name the break of the simulator that does; which of the
 * two it is, is in docs/FAULTS.md.
 */

export interface Edit {
  /** Of the build, from its folder. */
  readonly file: string
  /** Stands there exactly once. */
  readonly find: string
  readonly replace: string
}

/** The run that finds it. */
export interface Finder {
  readonly workload: string
  /** As for `--nemesis`. */
  readonly nemesis: string
  readonly seconds: number
  /** Where the first run finds nothing, further ones with the seeds behind it are made. */
  readonly seed: number
  /** Default: three. */
  readonly nodes?: number
  /** Operations a second, if not the workload's own. */
  readonly rate?: number
  readonly nodeOptions?: Readonly<Record<string, unknown>>
}

export interface PlantedBug {
  readonly name: string
  /** What the product does instead. */
  readonly rule: string
  readonly edits: readonly Edit[]
  readonly finder: Finder
  /** What it is found as: another anomaly is luck, or another bug. */
  readonly anomalies: readonly string[]
  /** Found fast and for sure enough to be looked for at every change. */
  readonly quick: boolean
}

/** What is left to the simulators: name of the bug, and of the break in test/sim/breaks.ts or test/system/breaks.ts that is the same. */
export interface SimulatedBug {
  readonly name: string
  readonly rule: string
  readonly simulator: 'core' | 'system'
  readonly planted: string
  /** Why a run of real processes does not find it for sure. */
  readonly why: string
}

const small = { checkpointBytes: 65_536 }

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'ack before sync',
    rule: 'a confirmed message is synced on a majority',
    edits: [
      {
        file: 'node/storage/wal.js',
        find: 'await this.#writer.write(buffers, batchBytes);',
        replace:
          'for (const { append, completes } of taken.parts)\n            if (completes)\n                append.resolve();\n' +
          '        await this.#writer.write(buffers, batchBytes);',
      },
    ],
    // A node that is its own majority: whatever it forgets is gone.
    finder: { workload: 'queue', nemesis: 'lost-writes', seconds: 15, seed: 1, rate: 500, nodes: 1 },
    anomalies: ['lost', 'dropped', 'repeated', 'resurrected', 'duplicated', 'diverged'],
    quick: false,
  },
  {
    name: 'ack before commit',
    rule: 'an entry is committed when a majority has it',
    edits: [
      { file: 'raft/quorum.js', find: 'if (count > half)\n            reached = value', replace: 'reached = value' },
    ],
    // By seeds that first cut the leader off from its peers, and not from its clients.
    finder: { workload: 'queue', nemesis: 'partition', seconds: 10, seed: 1055, rate: 500 },
    anomalies: ['lost', 'dropped', 'repeated', 'resurrected', 'duplicated', 'diverged'],
    quick: false,
  },
  {
    name: 'stale length',
    rule: 'a consistent answer is of the present: a majority is asked before it is given',
    edits: [
      {
        file: 'node/gateway/queries.js',
        find: 'if (query.consistent === true)',
        replace: 'if (query.consistent === undefined)',
      },
    ],
    finder: { workload: 'linearizable', nemesis: 'lag', seconds: 20, seed: 1, rate: 300 },
    anomalies: ['nonlinearizable'],
    quick: false,
  },
  {
    name: 'goes on after a failed write',
    rule: 'a node whose write or sync has failed stops itself',
    edits: [
      {
        file: 'node/core.js',
        find: 'this.#options.onFailed(failure);',
        replace: "if (failure.code !== 'StorageFailed') this.#options.onFailed(failure);",
      },
    ],
    finder: { workload: 'queue', nemesis: 'failing-sync', seconds: 12, seed: 3 },
    anomalies: ['survived'],
    quick: true,
  },
  {
    name: 'stale ack accepted',
    rule: 'an ack that comes too late is told to be stale',
    edits: [
      {
        file: 'node/queue/settle.js',
        find: 'notice: { tag: logHeader.sequence(view, at), stale }',
        replace: 'notice: { tag: logHeader.sequence(view, at), stale: [] }',
      },
    ],
    finder: { workload: 'consumers', nemesis: 'none', seconds: 12, seed: 1 },
    anomalies: ['resurrected', 'prefetch'],
    quick: true,
  },
  {
    name: 'session table missing from the checkpoint',
    rule: 'a checkpoint holds how far each session came',
    edits: [
      {
        file: 'node/queue/restore.js',
        find: 'session.lastSequence = lastSequence;',
        replace: 'session.lastSequence = Math.min(0, lastSequence);',
      },
    ],
    finder: { workload: 'exactly-once', nemesis: 'kill', seconds: 20, seed: 1, nodeOptions: small },
    anomalies: ['diverged', 'repeated', 'duplicated'],
    quick: false,
  },
  {
    name: 'sequence check off',
    rule: 'a repeated publish is not applied again',
    edits: [
      {
        file: 'node/queue/publish.js',
        find: 'const repeats = Math.min(expected - first, count)',
        replace: 'const repeats = Math.min(0, count)',
      },
    ],
    finder: { workload: 'exactly-once', nemesis: 'slow-sync', seconds: 20, seed: 1 },
    anomalies: ['repeated', 'duplicated'],
    quick: false,
  },
  {
    name: 'effects run twice',
    rule: 'what is given back returns to its queue once',
    edits: [
      {
        file: 'node/queue/settle.js',
        find: 'messages.push(ms === 0 ? 0 : state.timeMs + ms, open.indexAt(row), open.positionAt(row), open.attemptAt(row));',
        replace:
          'for (let i = 0; i < 2; i++)\n            messages.push(ms === 0 ? 0 : state.timeMs + ms, open.indexAt(row), open.positionAt(row), open.attemptAt(row));',
      },
    ],
    finder: { workload: 'consumers', nemesis: 'none', seconds: 12, seed: 1 },
    anomalies: ['repeated'],
    quick: true,
  },
  {
    name: 'lost redelivery',
    rule: 'what a session holds open returns to its queue when it is gone',
    edits: [
      {
        file: 'node/queue/consumers.js',
        find: 'if (!queue.deleted)\n            queue.returned.push(0, ',
        replace: 'if (queue.deleted)\n            queue.returned.push(0, ',
      },
    ],
    finder: { workload: 'consumers', nemesis: 'clients', seconds: 15, seed: 1 },
    anomalies: ['dropped', 'lost'],
    quick: true,
  },
  {
    name: 'FIFO broken on requeue',
    rule: 'a message that comes back returns to its old place',
    edits: [
      {
        file: 'node/queue/message-heap.js',
        find: 'if (!this.#isAfter(parent, dueMs, index, position))\n                break;',
        replace: 'break;',
      },
    ],
    finder: { workload: 'consumers', nemesis: 'none', seconds: 12, seed: 1 },
    anomalies: ['reordered'],
    quick: true,
  },
  {
    name: 'reply to the wrong session',
    rule: 'a reply goes to the session that asked',
    edits: [
      {
        file: 'node/volatile.js',
        find: 'const { asker, request, message, code, error } = reply;\n        const session = this.#options.session(asker);',
        replace:
          'const { asker, request, message, code, error } = reply;\n' +
          '        const own = this.#options.session(asker);\n' +
          '        const session = request % 5 === 0 && this.last?.socket.open ? this.last : own;\n' +
          '        this.last = own;',
      },
    ],
    finder: { workload: 'request-reply', nemesis: 'none', seconds: 8, seed: 1 },
    anomalies: ['crossed', 'forged', 'denied'],
    quick: true,
  },
  {
    name: 'responders of other nodes not seen',
    rule: 'a request finds a responder at whichever node',
    edits: [
      {
        file: 'node/volatile.js',
        find: 'const responders = this.#within(machine.listeners(waiting.topic));',
        replace:
          'const responders = this.#within(machine.listeners(waiting.topic)).filter(({ to }) => to.node === node);',
      },
    ],
    finder: { workload: 'request-reply', nemesis: 'none', seconds: 8, seed: 1 },
    anomalies: ['unheard'],
    quick: true,
  },
  {
    name: 'half a fan-out',
    rule: 'a publish is in all bound queues or in none',
    edits: [
      {
        file: 'node/queue/publish.js',
        find: 'queue.ready.pushRun(index, position, count);',
        replace:
          'if (queue !== queues[1] || index % 7 !== 0)\n            queue.ready.pushRun(index, position, count);',
      },
    ],
    finder: { workload: 'fanout', nemesis: 'none', seconds: 8, seed: 1 },
    anomalies: ['partial'],
    quick: true,
  },
]

export const simulatedBugs: readonly SimulatedBug[] = [
  {
    name: 'vote forgotten on restart',
    rule: 'a vote is on the disk before it is told',
    simulator: 'core',
    planted: 'forget the vote in a crash',
    why: 'it takes a restart between two votes of one term',
  },
  {
    name: 'no PreVote',
    rule: 'a node that comes back does not raise the term',
    simulator: 'core',
    planted: 'campaign without a pre-vote',
    why: 'an election more is no harm that a client can tell from that of the fault',
  },
  {
    name: 'log cut at the first bad record',
    rule: 'who may have forgotten what it promised does not count',
    simulator: 'system',
    planted: 'raise no doubt over what recovery has lost',
    why: 'the damaged node has to lead, with the help of one that lags',
  },
]
