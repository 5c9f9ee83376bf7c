/**
 * A log that is used as Raft, checkpoints, installs and compactions use it, and a model of what it must hold: material for the
 * property test of all that together, on a disk that crashes, tears and rots.
 *
 * The model knows the *truth*, what the cluster has committed at each index, and the list of all records in the order of the calls. What
 * a start finds must be the effect of a prefix of that list that covers every resolved call, or the start must say what it lacks.
 */
import { expect } from 'vitest'
import { findMisfit } from '../../../node/storage/fit.ts'
import type { GroupLog } from '../../../node/storage/group-log.ts'
import type { RecoveryReport } from '../../../node/storage/recovery-report.ts'
import { nothingRemoved, type SegmentManifest, withRemoved } from '../../../node/storage/segment-manifest.ts'
import type { Wal } from '../../../node/storage/wal.ts'
import { type Entry, EntryType, type HardState } from '../../../raft/index.ts'
import { findStrangers } from './strangers.ts'
import { directory, group, World } from './world.ts'

type Record =
  | { readonly type: 'hardState'; readonly hardState: HardState }
  | { readonly type: 'entry'; readonly entry: Entry }
  | { readonly type: 'base'; readonly index: number; readonly term: number }
  | { readonly type: 'kept' }

interface State {
  hardState: HardState
  base: { index: number; term: number }
  /** From base.index + 1 on. */
  log: Entry[]
}

function emptyState(): State {
  return { hardState: { term: 0, vote: '', commit: 0 }, base: { index: 0, term: 0 }, log: [] }
}

function lastOf({ base, log }: State): number {
  return base.index + log.length
}

function apply(state: State, record: Record): void {
  if (record.type === 'hardState') state.hardState = record.hardState
  else if (record.type === 'entry') {
    state.log = [...state.log.slice(0, record.entry.index - state.base.index - 1), record.entry]
  } else if (record.type === 'base') {
    state.base = { index: record.index, term: record.term }
    state.log = []
  }
}

function text({ index, term, type, data }: Entry): string {
  return `${index}@${term}#${type}:${Buffer.from(data).toString('latin1')}`
}

export class RaftLike {
  readonly world: World
  wal!: Wal
  log!: GroupLog
  /** What is committed, by index: row `index - 1`. */
  readonly truth: Entry[] = []
  /** Indexes that messages refer to. */
  needed = new Set<number>()
  checkpoint: { mark: { index: number; term: number; membership: Entry }; origin: 'local' | 'installed' } | undefined
  readonly seen = { damages: 0, forgets: 0, torn: 0, removed: 0, rewritten: 0, repaired: 0, installs: 0, misfits: 0 }
  #state = emptyState()
  /** What the records from `#records` on are applied to. */
  #foundation = emptyState()
  #records: Record[] = []
  #resolved = 0
  #unanswered: Promise<unknown>[] = []
  #compacting: Promise<unknown> | undefined
  #life = 0
  #removed = nothingRemoved
  #written = 0
  /** The disk was damaged since the last start. */
  #isDamaged = false
  #wasDamaged = false
  #termMax = 0
  #termFloor = 1

  constructor(seed: number) {
    this.world = new World(seed)
  }

  // ---- use

  append(cutBack: number, sizes: readonly number[], commitLag: number): void {
    const state = this.#state
    const { commit } = state.hardState
    const floor = Math.max(commit, state.base.index, this.checkpoint?.mark.index ?? 0)
    // Whoever leads knows what is committed: a log that differs is cut there.
    const differs = state.log.find((entry) => entry.index <= this.truth.length && !this.#isTrue(entry))
    const wanted = Math.min(lastOf(state) + 1 - cutBack, differs?.index ?? Number.POSITIVE_INFINITY)
    const first = Math.max(floor + 1, wanted)
    const before = this.#termAt(first - 1)
    let term = Math.max(this.#termFloor, before, state.hardState.term) + (first <= lastOf(state) ? 1 : 0)
    const entries: Entry[] = []
    for (const [i, size] of sizes.entries()) {
      const index = first + i
      // What is committed is the same whoever sends it again.
      const known = this.truth[index - 1]
      const entry = known ?? this.#mint(index, term, size)
      term = Math.max(term, entry.term)
      entries.push(entry)
    }
    const last = first - 1 + entries.length
    const hardState = {
      term,
      vote: `n${this.#written % 3}`,
      commit: Math.max(commit, Math.min(last, last - commitLag)),
    }
    // Of entries that replace others Raft may tell at once that they are committed; on the disk nothing may speak of them before them.
    const isCut = first <= lastOf(state)
    const told = isCut ? { ...hardState, commit: Math.min(hardState.commit, Math.max(commit, first - 1)) } : hardState
    this.#records.push(
      { type: 'hardState', hardState: told },
      ...entries.map((entry) => ({ type: 'entry', entry }) as const),
    )
    apply(state, { type: 'hardState', hardState: told })
    for (const entry of entries) apply(state, { type: 'entry', entry })
    for (let index = this.truth.length + 1; index <= told.commit; index++) {
      this.truth.push(state.log[index - state.base.index - 1] as Entry)
    }
    this.#await(this.log.append({ hardState, entries }))
  }

  async read(share: number, bytesMax: number): Promise<void> {
    const from = Math.floor(share * (lastOf(this.#state) + 2))
    const { firstIndex } = this.log.held.index
    const expected = this.#state.log.slice(from - this.#state.base.index - 1)
    const found = await this.world.settle(this.log.read(from, bytesMax))
    expect(found.length > 0).toBe(from >= firstIndex && from <= lastOf(this.#state))
    if (from > this.#state.base.index) expect(found.map(text)).toEqual(expected.slice(0, found.length).map(text))
  }

  /** The machine's state up to a committed, synced entry; the log below it is dropped, and what no message refers to. */
  checkpointAndCompact(share: number, keepTrailing: number, isLive: (index: number) => boolean): void {
    if (this.#compacting !== undefined) return
    const index = Math.min(this.#state.hardState.commit, this.#syncedLast())
    const before = this.checkpoint?.mark.index ?? 0
    const at = before + Math.floor(share * (index - before + 1))
    if (at < before || at > index || at < this.#state.base.index) return
    if (at > before) this.checkpoint = { mark: this.#markAt(at), origin: 'local' }
    const firstIndex = Math.max(this.log.held.index.firstIndex, at + 1 - keepTrailing)
    const live = new Set<number>()
    for (let i = 1; i <= at; i++) if ((this.needed.has(i) || i > before) && this.log.holds(i) && isLive(i)) live.add(i)
    this.needed = live
    const plan = { group, firstIndex, checkpointIndex: at, live: new Set([...live].sort((a, b) => a - b)) }
    const compacting = this.wal.compact(plan).then((result) => {
      this.seen.removed += result.removed
      this.seen.rewritten += result.rewritten
      this.#compacting = undefined
    })
    compacting.catch(() => {})
    this.#compacting = compacting
  }

  /** The leader's checkpoint replaces the log: its bodies first, then its mark in the store, then the log's restart. */
  async install(ahead: number, sizes: readonly number[], isLive: (index: number) => boolean): Promise<void> {
    const { settle } = this.world
    await settle.call(this.world, this.#compacting ?? Promise.resolve())
    const target = Math.max(lastOf(this.#state), this.truth.length) + ahead
    const term = Math.max(this.#termFloor, this.#state.hardState.term, this.truth.at(-1)?.term ?? 0) + 1
    while (this.truth.length < target) {
      this.truth.push(this.#mint(this.truth.length + 1, term, sizes[this.truth.length % sizes.length] ?? 0))
    }
    const references = this.truth.map(({ index }) => index).filter(isLive)
    const missing = (await this.log.missing(references)).map((index) => this.truth[index - 1] as Entry)
    for (const _ of missing) this.#records.push({ type: 'kept' })
    this.#await(this.log.keep(missing))
    await settle.call(this.world, Promise.all(this.#unanswered))
    this.checkpoint = { mark: this.#markAt(target), origin: 'installed' }
    this.needed = new Set(references)
    this.seen.installs++
    this.#reset(this.checkpoint.mark)
  }

  // ---- death and return

  crash(): void {
    this.#life++
    this.world.files.crash()
    // But for what is torn of one batch.
    if (!this.#wasDamaged) expect(findStrangers(this.world, this.#removed).length).toBeLessThan(2)
    this.#unanswered = []
    this.#compacting = undefined
  }

  async stop(): Promise<void> {
    await this.world.settle(this.wal.close())
    expect(this.#resolved).toBe(this.#records.length)
    // Closed in the middle: what was to be removed is removed another time.
    await this.#compacting?.catch(() => {})
    this.crash()
  }

  async damage(which: number, how: 'rot' | 'lose' | 'shorten'): Promise<void> {
    const names = await this.world.settle(this.world.files.list(directory))
    const name = names[which % names.length]
    if (name === undefined) return
    const path = `${directory}/${name}`
    // Nothing proves yet that this one was in use: its loss cannot be told from files that were never filled.
    if (how !== 'rot' && names.indexOf(name) + 2 >= names.length) return
    this.#isDamaged = true
    this.#wasDamaged = true
    if (how === 'rot') this.world.files.rot(path)
    else if (how === 'lose') this.world.files.lose(path)
    else this.world.files.setContents(path, this.world.files.contents(path).slice(0, which % 9_000))
  }

  /** Opens the log and judges what it finds, twice; mends what is missing as the node would. */
  async open(): Promise<void> {
    // A leader never mints two entries of one index: what a crash takes is followed by another term.
    this.#termFloor = this.#termMax + 1
    const first = await this.#start()
    await this.#judge(first)
    const before = await this.#summary()
    if (first.length > 0) {
      this.crash()
      const second = await this.#start()
      expect(second, 'a second start has nothing to tell').toEqual([])
      expect(await this.#summary(), 'a second start finds the same').toEqual(before)
    }
    this.#isDamaged = false
    await this.#repair()
    await this.checkHeld()
  }

  async #start(): Promise<RecoveryReport[]> {
    const told: RecoveryReport[] = []
    this.wal = await this.world.open({
      segmentBytes: 8192,
      batchBytesMax: 4000,
      idleMarkerMs: 20,
      mustExist: this.#life > 0,
      manifest: this.#manifest(),
      onDoubt: async (report) => void told.push(report),
      ...(this.checkpoint && { checkpoint: { group, mark: this.checkpoint.mark } }),
    })
    this.log = this.wal.group(group)
    const misfit = findMisfit(this.log.recovered(), this.checkpoint)
    if (misfit !== undefined) {
      this.seen.misfits++
      if (misfit.forgets) expect(told, `${misfit.what}: noticed by the log already`).toMatchObject([{ forgets: true }])
      await this.world.settle(this.log.reset(misfit.base))
    }
    return told
  }

  async #judge(told: readonly RecoveryReport[]): Promise<void> {
    const [report] = told
    if (report?.torn !== undefined) this.seen.torn++
    if (report !== undefined && report.damages.length > 0) this.seen.damages++
    if (!this.#isDamaged) expect(report?.damages ?? [], 'crashes are never taken for damage').toEqual([])
    const isForgetting = this.#isDamaged && report?.forgets === true
    if (isForgetting) this.seen.forgets++
    const found = await this.#found()
    if (!isForgetting) this.#matchPrefix(found)
    this.#foundation = { hardState: found.hardState, base: { ...found.base }, log: [...found.log] }
    this.#state = found
    this.#records = []
    this.#resolved = 0
  }

  /** The log above the checkpoint. */
  async #found(): Promise<State> {
    const { hardState, firstIndex, lastIndex, baseTerm, termRuns } = this.log.recovered()
    const log: Entry[] = []
    while (firstIndex + log.length <= lastIndex) {
      const entries = await this.world.settle(this.log.read(firstIndex + log.length, 100_000))
      expect(entries.length).toBeGreaterThan(0)
      log.push(...entries)
    }
    const starts = log.filter((entry, i) => log[i - 1]?.term !== entry.term)
    expect(termRuns).toEqual(starts.map(({ index, term }) => ({ firstIndex: index, term })))
    expect(firstIndex - 1).toBeLessThanOrEqual(this.checkpoint?.mark.index ?? 0)
    expect(hardState.commit).toBeLessThanOrEqual(lastIndex)
    return { hardState, base: { index: firstIndex - 1, term: baseTerm }, log }
  }

  #matchPrefix(found: State): void {
    const state: State = { ...this.#foundation, log: [...this.#foundation.log] }
    for (let count = 0; ; count++) {
      if (count >= this.#resolved && this.#same(state, found)) return
      const record = this.#records[count]
      expect(record, 'a prefix of the records gives what was found, and holds every resolved call').toBeDefined()
      apply(state, record as Record)
    }
  }

  #same(state: State, found: State): boolean {
    const mark = this.checkpoint?.mark.index ?? 0
    const above = ({ base, log }: State) => log.slice(Math.max(0, mark - base.index)).map(text)
    const { term, vote, commit } = state.hardState
    // An install that a crash came between has reset the log to its mark.
    const last = Math.max(lastOf(state), this.checkpoint?.origin === 'installed' ? mark : 0)
    if (lastOf(found) !== last) return false
    if (found.hardState.term !== term || found.hardState.vote !== vote) return false
    // A start may know more of it from a checkpoint, and writes that down.
    const least = Math.min(commit, last)
    if (found.hardState.commit < least || found.hardState.commit > Math.max(least, mark)) return false
    return JSON.stringify(above(state)) === JSON.stringify(above(found))
  }

  /** What messages refer to and is missing is fetched from another node. */
  async #repair(): Promise<void> {
    const missing = await this.log.missing([...this.needed])
    if (!this.#wasDamaged) expect(missing, 'only damage loses what is needed').toEqual([])
    const fetched = missing.map((index) => this.truth[index - 1] as Entry)
    this.seen.repaired += fetched.length
    for (const _ of fetched) this.#records.push({ type: 'kept' })
    this.#await(this.log.keep(fetched))
    await this.world.settle(Promise.all(this.#unanswered))
  }

  /** Everything that is needed is held, and nothing that is held is wrong. */
  async checkHeld(): Promise<void> {
    const settled = Math.max(this.checkpoint?.mark.index ?? 0, this.#state.hardState.commit)
    const found = new Set<number>()
    for (let from = 0; ; ) {
      const entries = await this.world.settle(this.log.readHeld(from, 3_000))
      if (entries.length === 0) break
      for (const entry of entries) {
        expect(entry.index).toBeGreaterThanOrEqual(from)
        from = entry.index + 1
        found.add(entry.index)
        expect(this.log.holds(entry.index)).toBe(true)
        const truth = this.truth[entry.index - 1]
        if (entry.index <= settled) expect(text(entry), 'what is held is what was committed').toBe(truth && text(truth))
      }
    }
    for (const index of this.needed) expect(found.has(index), `entry ${index} is needed`).toBe(true)
    expect(await this.log.missing([...this.needed])).toEqual([])
  }

  async finish(): Promise<void> {
    await this.world.settle(Promise.all([...this.#unanswered, this.#compacting]))
    await this.checkHeld()
    await this.stop()
    await this.open()
  }

  // ---- helpers

  async #summary(): Promise<object> {
    const { hardState, firstIndex, lastIndex, baseTerm } = this.log.recovered()
    // But for the commit index, of which the first start has written down what it found out.
    return {
      term: hardState.term,
      vote: hardState.vote,
      firstIndex,
      lastIndex,
      baseTerm,
      missing: await this.log.missing([...this.needed]),
    }
  }

  #reset(mark: { index: number; term: number }): void {
    this.#records.push({ type: 'base', index: mark.index, term: mark.term })
    apply(this.#state, { type: 'base', index: mark.index, term: mark.term })
    this.#await(this.log.reset(mark))
  }

  #await(promise: Promise<void>): void {
    const upTo = this.#records.length
    const life = this.#life
    this.#unanswered.push(
      promise.then(() => {
        if (life === this.#life) this.#resolved = Math.max(this.#resolved, upTo)
      }),
    )
  }

  /** Up to where the log is synced, as it is now. */
  #syncedLast(): number {
    const state: State = { ...this.#foundation, log: [...this.#foundation.log] }
    for (const record of this.#records.slice(0, this.#resolved)) apply(state, record)
    let last = lastOf(state)
    // What an append under way replaces is not what is held.
    for (const record of this.#records.slice(this.#resolved)) {
      if (record.type === 'entry') last = Math.min(last, record.entry.index - 1)
    }
    return last
  }

  #termAt(index: number): number {
    const { base, log } = this.#state
    return index === base.index ? base.term : (log[index - base.index - 1]?.term ?? 0)
  }

  #markAt(index: number) {
    const { term } = this.truth[index - 1] as Entry
    return { index, term, membership: { index: 1, term: 1, type: EntryType.membership, data: Buffer.alloc(0) } }
  }

  #isTrue(entry: Entry): boolean {
    const truth = this.truth[entry.index - 1]
    return truth !== undefined && text(truth) === text(entry)
  }

  #mint(index: number, term: number, size: number): Entry {
    this.#written++
    this.#termMax = Math.max(this.#termMax, term)
    return { index, term, type: EntryType.command, data: Buffer.alloc(size, `${this.#written};`) }
  }

  /** As durable as the store makes it: after a while. */
  #manifest(): SegmentManifest {
    const life = this.#life
    const read = () => this.#removed
    return {
      get value() {
        return read()
      },
      remove: (sequences) =>
        new Promise((resolve) => {
          this.world.scheduler.after(0.3, () => {
            if (life !== this.#life) return
            this.#removed = withRemoved(this.#removed, sequences)
            resolve()
          })
        }),
    }
  }
}
