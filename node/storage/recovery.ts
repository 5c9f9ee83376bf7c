/**
 * What a start does with the segments that it finds (trap 22: "cut at the first bad record" would turn a flipped bit into
 * lost acknowledgements).
 *
 * Only one batch is ever under way, so a crash can leave exactly one thing unfinished: the batch behind the last synced one. What
 * is decided, and when:
 *
 *  - A bad batch with proof behind it that it had been synced (a whole batch header, a later segment, a file that is made only
 *    later) is damage. So are a missing file that was not removed on purpose, a segment that is shorter than its header says, a bad
 *    header of a segment that was in use. What is whole is used all the same: a record says by the term before it whether it
 *    meets what is there (group-history.ts). A gap above the checkpoint thus ends the log.
 *  - A bad batch without such proof is doubtful: torn, or rotten, nobody can tell. It is overwritten with zeros, durably, so that it
 *    never comes back; the log ends before it.
 *  - A tail of zeros is the end of the log.
 *  - The last whole batch may be whole only in the page cache: the process may have died inside the write. It is written once
 *    more, the same bytes to the same place, and so is synced before anybody acts on it.
 *  - The header of another node, or of an unknown format, is nothing to go on with: DamagedLogError.
 *
 * Whoever opens the log hears of damage and doubt before anything on disk is changed, and may refuse. When he lets it go on, the log
 * is told so: where each group stands, and which damages were accepted, so that later starts come to the same end and do not
 * tell it again. NB: a last batch that was synced and turned into zeros, header included, before a marker followed cannot be
 * told from one that never arrived.
 *
 * Never: repair of what is lost.
 */
import type { Entry } from '../../raft/index.ts'
import { ensureDirectory } from './directories.ts'
import type { Files } from './files.ts'
import type { GroupHistory } from './group-history.ts'
import { groupKey, LogScan, type PlacedDamage, type ScanOptions } from './log-scan.ts'
import { damagesMax, type RecoveryReport } from './recovery-report.ts'
import type { LogIdentity } from './segment.ts'
import type { SegmentCatalog } from './segment-catalog.ts'
import { SegmentFiles } from './segment-files.ts'
import type { LogEnd } from './segment-writer.ts'

export interface RecoveryOptions extends ScanOptions {
  readonly files: Files
  readonly directory: string
  readonly identity: LogIdentity
  /** Awaited, if anything was found, before the disk is changed. What it throws ends the start. */
  readonly onDoubt: (report: RecoveryReport) => Promise<void>
}

export interface Recovery {
  readonly end: LogEnd
  readonly groups: Map<string, GroupHistory>
  readonly catalog: SegmentCatalog
  readonly report: RecoveryReport
  /** To be told in the log, together with where the groups stand; undefined when there is nothing to tell. */
  readonly accepted: readonly PlacedDamage[] | undefined
}

/** Throws DamagedLogError, what the file port throws, or what `onDoubt` throws. */
export async function recoverLog(options: RecoveryOptions): Promise<Recovery> {
  const { files, directory, identity, onDoubt } = options
  await ensureDirectory(files, directory)
  const segments = new SegmentFiles(files, directory, identity)
  const scan = new LogScan(segments, options)
  await scan.run()
  const { groups, catalog } = scan
  const isComplete = finishGroups(scan)
  // When something is lost, all that may have to do with it is told, whether it was known before or not.
  const accepted = (isComplete ? scan.newDamages : scan.damages).slice(0, damagesMax)
  const rest = scan.rests[0]
  const membership = newestMembership(groups, options)
  const report: RecoveryReport = {
    ...(rest && { torn: { file: segments.path(rest.sequence), offset: rest.offset, bytes: rest.bytes } }),
    ...(membership && { membership }),
    damages: accepted.map(({ sequence, offset, what }) => ({ file: segments.path(sequence), offset, what })),
    forgets: !isComplete || (scan.rests.length > 0 && scan.wasUsed),
  }
  if (report.torn !== undefined || report.damages.length > 0 || report.forgets) await onDoubt(report)
  await mend(scan, segments)
  const isTold = isComplete && accepted.length === 0
  return { end: scan.end, groups, catalog, report, accepted: isTold ? undefined : accepted }
}

/** Whether all is there that was promised, as far as anybody can tell. */
function finishGroups(scan: LogScan): boolean {
  let isComplete = !scan.isGroupLost
  for (const history of scan.groups.values()) {
    if (!history.finish()) isComplete = false
    const { group, firstUnmet } = history
    if (firstUnmet === undefined || scan.newDamages.length > 0) continue
    const what = `nothing leads to entry ${firstUnmet} of group ${group.id}: the checkpoint before it is missing or too old`
    scan.addDamage(scan.end.sequence, what)
  }
  return isComplete && (scan.groups.size > 0 || scan.newDamages.length === 0)
}

function newestMembership(groups: Map<string, GroupHistory>, { checkpoint }: ScanOptions): Entry | undefined {
  const histories = [...groups.values()]
  const own = checkpoint && groups.get(groupKey(checkpoint.group))
  return own?.newestMembership ?? histories.find((history) => history.newestMembership)?.newestMembership
}

/** The only part of a start that changes the disk, but for what the log is told afterwards. */
async function mend(scan: LogScan, segments: SegmentFiles): Promise<void> {
  const { again, rests, leftovers, absent } = scan
  if (again !== undefined) await segments.write(again.sequence, again.data, again.offset)
  for (const rest of rests) await segments.wipe(rest.sequence, rest.offset, rest.bytes)
  for (const sequence of leftovers) await segments.remove(sequence)
  await segments.removeSpares()
  for (const sequence of absent) await segments.create(sequence)
  // Also of files that a process made which died before it had synced their entries.
  await segments.syncDirectory()
}
