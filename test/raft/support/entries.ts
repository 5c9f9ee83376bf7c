/** Logs as lists of entries: what a storage of them would recover, keep and read. */
import {
  type Entry,
  EntryType,
  type HardState,
  type LogIndex,
  type RecoveredLog,
  type Term,
} from '../../../raft/index.ts'

export const NO_HARD_STATE: HardState = { term: 0, vote: '', commit: 0 }

export function textEntry(index: LogIndex, term: Term, text = ''): Entry {
  return { index, term, type: EntryType.command, data: new TextEncoder().encode(text) }
}

export function textOf(entry: Entry): string {
  return new TextDecoder().decode(entry.data)
}

/** The entry that a log goes on behind. */
export interface Base {
  readonly index: LogIndex
  readonly term: Term
}

export const NO_BASE: Base = { index: 0, term: 0 }

/** What a log storage would recover from these entries, which follow `base`. */
export function recoveredLog(hardState: HardState, entries: readonly Entry[], base = NO_BASE): RecoveredLog {
  const termRuns: { firstIndex: LogIndex; term: Term }[] = []
  for (const { index, term } of entries) {
    if (term !== termRuns.at(-1)?.term) termRuns.push({ firstIndex: index, term })
  }
  const memberships = entries.filter((entry) => entry.type === EntryType.membership)
  const firstIndex = base.index + 1
  return { hardState, firstIndex, baseTerm: base.term, lastIndex: base.index + entries.length, termRuns, memberships }
}

/** `log` holds what follows `base`. */
export function appendCutting(log: Entry[], entries: readonly Entry[], base = NO_BASE): void {
  for (const entry of entries) {
    if (entry.index <= base.index)
      throw new Error(`storage got entry ${entry.index}, its log begins behind ${base.index}`)
    const at = entry.index - base.index - 1
    if (at < log.length) log.length = at
    if (at !== log.length) throw new Error(`storage got entry ${entry.index} after ${base.index + log.length}`)
    log.push(entry)
  }
}

/** What a log storage reads: consecutive entries, at least one, or none if it does not hold `from`. */
export function readLog(log: readonly Entry[], base: Base, from: LogIndex, bytesMax: number): Entry[] {
  const entries: Entry[] = []
  if (from <= base.index) return entries
  let bytes = 0
  for (const entry of log.slice(from - base.index - 1)) {
    bytes += entry.data.length
    if (entries.length > 0 && bytes > bytesMax) break
    entries.push(entry)
  }
  return entries
}
