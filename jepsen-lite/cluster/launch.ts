/**
 * What a node's process is started with so that faults can reach into it: the file shim, a clock of its own, a small disk. Each of them only
 * where a nemesis asks for it: the other runs test nodes as users have them.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { beginFileFault, sendToShim } from '../files/control.ts'
import { fakeClockLaunch, setFakeClock } from '../files/fake-clock.ts'
import { shimLaunch } from '../files/launch.ts'
import { rollBack } from '../files/roll-back.ts'
import { mountSmallDisk } from '../files/small-disk.ts'
import type { EndFileFault, FileFault, LaunchNeeds, Totals } from '../nemesis.ts'
import type { Random } from '../random.ts'
import type { NodePlan } from './layout.ts'

/** For a shim to answer that its files are without faults. */
const SHIM_MS = 2_000

export class NodeLaunch {
  /** Arguments of Node itself. */
  readonly nodeArgs: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly #plan: NodePlan
  readonly #needs: LaunchNeeds
  readonly #random: Random
  /** Where libfaketime reads the time. */
  readonly #clockFile: string
  #clock = { offsetMs: 0, rate: 1, setAt: 0 }
  #startedAt = 0
  #unmount = async () => {}
  #closed: Promise<void> | undefined

  constructor(plan: NodePlan, needs: LaunchNeeds, random: Random) {
    this.#plan = plan
    this.#needs = needs
    this.#random = random
    this.#clockFile = path.join(path.dirname(plan.log), `${plan.id}.clock`)
    const shim = needs.shim ? shimLaunch(plan) : { args: [], env: {} }
    const clock = needs.fakeClock ? fakeClockLaunch(this.#clockFile) : { env: {} }
    this.nodeArgs = shim.args
    this.env = { ...shim.env, ...clock.env }
  }

  /** Before the first start. */
  async prepare(): Promise<void> {
    const { dataDir, id, log } = this.#plan
    if (this.#needs.smallDisk === undefined) return
    const folder = path.join(path.dirname(log), 'disks')
    mkdirSync(folder, { recursive: true })
    const image = path.join(folder, `${id}.ext4`)
    this.#unmount = await mountSmallDisk({ image, directory: dataDir, bytes: this.#needs.smallDisk })
  }

  /** Right before each start: libfaketime counts a rate from there. */
  starting(): void {
    this.#startedAt = Date.now()
    if (this.#needs.fakeClock) this.#writeClock()
  }

  /** From now on the node's clock is so far off, and goes on at this rate, whatever it did before. */
  setClock(offsetMs: number, rate: number): void {
    if (!this.#needs.fakeClock) throw new Error(`${this.#plan.id} has no clock of its own`)
    this.#clock = { offsetMs, rate, setAt: Date.now() }
    this.#writeClock()
  }

  get hasShim(): boolean {
    return this.#needs.shim === true
  }

  async breakFiles(child: ChildProcess | undefined, fault: FileFault): Promise<EndFileFault> {
    if (!this.hasShim || child === undefined) return async () => undefined
    return beginFileFault(child, fault)
  }

  /** The machine's clock, and files without faults. */
  async heal(child: ChildProcess | undefined): Promise<void> {
    if (this.#needs.fakeClock) this.setClock(0, 1)
    if (this.hasShim && child !== undefined) await sendToShim(child, { type: 'clear' }, SHIM_MS)
  }

  /** The node's process must be gone. */
  rollBack(): Totals {
    const { dataDir, journal } = this.#plan
    return rollBack({ dataDir, journal, random: this.#random })
  }

  /** Takes its disk away. The node must be gone, or about to be. */
  close(): Promise<void> {
    this.#closed ??= this.#unmount()
    return this.#closed
  }

  #writeClock(): void {
    const { offsetMs, rate, setAt } = this.#clock
    const driftedMs = (rate - 1) * (Date.now() - setAt)
    setFakeClock(this.#clockFile, { offsetMs: offsetMs + driftedMs, rate, startedAt: this.#startedAt })
  }
}
