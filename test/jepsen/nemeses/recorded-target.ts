/** A cluster as a fault sees it, on paper: it notes what is done to it, and answers as it is told to. */
import type {
  EndFileFault,
  ExpectedEnd,
  FaultTarget,
  FileFault,
  Impairment,
  OwnEndings,
  Totals,
} from '../../../jepsen-lite/nemesis.ts'

export interface CliResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export const done: CliResult = { code: 0, stdout: 'done', stderr: '' }

export class RecordedTarget implements FaultTarget {
  readonly nodes: readonly string[]
  readonly calls: string[] = []
  readonly down = new Set<string>()
  /** Ways that are impaired at the moment, with what. */
  readonly impaired = new Map<symbol, { readonly from: string; readonly to: string; readonly impairment: Impairment }>()
  readonly links: FaultTarget['links']
  currentLeader: string | undefined
  /** Who is not ready, however long one waits. */
  readonly late = new Set<string>()
  isWoundable = true
  workersKilled = 0
  dataDirectory = '/nowhere'
  /** Who may end by itself, and how; `lasting`: whose present life still may when nothing is expected any more. */
  readonly expected = new Map<string, OwnEndings>()
  readonly lasting = new Set<string>()
  readonly #ownEnds = new Map<string, number>()
  /** Who went on though it had to end. */
  readonly survivors: string[] = []
  /** What /metrics tells, by node. */
  readonly metrics = new Map<string, Readonly<Record<string, number>>>()
  readonly clocks = new Map<string, { readonly offsetMs: number; readonly rate: number }>()
  /** What happens when the shim breaks files; and what it says in the end that it did. */
  onBreak: (node: string, fault: FileFault) => void = () => {}
  bites: (node: string, fault: FileFault) => Totals = () => ({})
  /** Hears each command. */
  answer: (args: readonly string[]) => CliResult = () => done

  constructor(count: number, leader = 'n1') {
    this.nodes = Array.from({ length: count }, (_, i) => `n${i + 1}`)
    this.currentLeader = leader
    const { impaired } = this
    this.links = {
      clients: 'clients',
      bytesDropped: 0,
      bytesDelayed: 0,
      impair(from, to, impairment) {
        const key = Symbol()
        impaired.set(key, { from, to, impairment })
        return () => {
          impaired.delete(key)
          return { bytesDropped: 3, bytesDelayed: 2, socketsReset: 1 }
        }
      },
    }
  }

  /** As `from>to`, sorted. */
  get ways(): string[] {
    return [...this.impaired.values()].map(({ from, to }) => `${from}>${to}`).sort()
  }

  async leader(): Promise<string | undefined> {
    return this.currentLeader
  }

  isRunning(node: string): boolean {
    return !this.down.has(node)
  }

  async kill(node: string): Promise<boolean> {
    const ran = this.isRunning(node)
    if (ran) this.calls.push(`kill ${node}`)
    this.down.add(node)
    return ran
  }

  async cutPower(node: string): Promise<Totals | undefined> {
    this.calls.push(`cut ${node}`)
    this.down.add(node)
    return { powerCuts: 1, rolledBackBytes: 10 }
  }

  async whileDown<T>(node: string, work: () => Promise<T>): Promise<T> {
    this.calls.push(`work on ${node}`)
    this.down.add(node)
    return work()
  }

  expectEnd(node: string, endings: OwnEndings): ExpectedEnd {
    const before = this.#ownEnds.get(node) ?? 0
    const ownEnds = this.#ownEnds
    this.expected.set(node, endings)
    return {
      get count() {
        return (ownEnds.get(node) ?? 0) - before
      },
      over: () => void this.expected.delete(node),
      overWithItsLife: () => {
        this.expected.delete(node)
        this.lasting.add(node)
      },
    }
  }

  /** As its code is expected to. */
  endByItself(node: string): void {
    this.down.add(node)
    this.#ownEnds.set(node, (this.#ownEnds.get(node) ?? 0) + 1)
  }

  async mustEnd(node: string): Promise<void> {
    this.calls.push(`must end ${node}`)
    if (this.isRunning(node)) this.survivors.push(node)
  }

  async start(node: string): Promise<void> {
    if (this.isRunning(node)) return
    this.calls.push(`start ${node}`)
    this.down.delete(node)
  }

  async stop(node: string): Promise<void> {
    this.calls.push(`stop ${node}`)
    this.down.add(node)
  }

  pause(node: string): void {
    this.calls.push(`pause ${node}`)
  }

  resume(node: string): void {
    this.calls.push(`resume ${node}`)
  }

  async ready(node: string): Promise<boolean> {
    return this.isRunning(node) && !this.late.has(node)
  }

  async cli(args: readonly string[]): Promise<CliResult> {
    if (args[1] !== 'status') this.calls.push(args.slice(1).join(' '))
    return this.answer(args)
  }

  dataDir(): string {
    return this.dataDirectory
  }

  wound(node: string): boolean {
    this.calls.push(`wound ${node}`)
    return this.isWoundable
  }

  healed(node: string): void {
    this.calls.push(`healed ${node}`)
  }

  async breakFiles(node: string, fault: FileFault): Promise<EndFileFault> {
    if (!this.isRunning(node)) return async () => undefined
    this.calls.push(`break ${node} ${fault.type}`)
    this.onBreak(node, fault)
    return async () => {
      if (!this.isRunning(node)) return undefined
      this.calls.push(`mend ${node} ${fault.type}`)
      return this.bites(node, fault)
    }
  }

  async metric(node: string, name: string): Promise<number | undefined> {
    return this.isRunning(node) ? this.metrics.get(node)?.[name] : undefined
  }

  async timeOf(node: string): Promise<number | undefined> {
    return this.isRunning(node) ? Date.now() + (this.clocks.get(node)?.offsetMs ?? 0) : undefined
  }

  async clock(node: string, offsetMs: number, rate: number): Promise<void> {
    this.clocks.set(node, { offsetMs, rate })
  }

  async killWorker(): Promise<number> {
    return this.workersKilled
  }
}
