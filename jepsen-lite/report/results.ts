/**
 * Writes what a run leaves behind into its folder, beside the nodes' logs and history.jsonl, which was written as the run went: results.json
 * (all but the history, and figures made of it), history.edn, report.html, and a README.txt that says what is what and how to do the run again.
 */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { RunResult } from '../run/result.ts'
import { commandOf } from './command.ts'
import { eventToEdn } from './edn.ts'
import { figuresOf } from './figures.ts'
import { reportPage } from './html/page.ts'
import { writeLines } from './lines.ts'
import { operationsOf } from './operations.ts'
import { endOfFaults, leadershipsOf, unreadyOf } from './windows.ts'

/** Resolves when all is written. The folder must exist. Rejects with errors of the file system. */
export async function writeResults(result: RunResult, folder: string): Promise<void> {
  const file = (name: string) => path.join(folder, name)
  await writeLines(file('history.edn'), map(result.history, eventToEdn))
  await writeFile(file('results.json'), `${JSON.stringify(summaryOf(result), undefined, 2)}\n`)
  await writeFile(file('README.txt'), readme(result))
  await writeFile(file('report.html'), reportPage(result))
}

/** What results.json holds. */
function summaryOf(result: RunResult) {
  const { verdict, settings, versions, startedAt, nodes, evidence, phases, faults, schedule, history, watch } = result
  return {
    valid: verdict.valid,
    reasons: verdict.reasons,
    anomalies: verdict.anomalies,
    counts: verdict.counts,
    bite: verdict.bite,
    settings,
    command: commandOf(settings),
    versions,
    startedAt,
    nodes,
    evidence,
    /** By operation: outcomes, latency, availability. */
    operations: figuresOf(history, operationsOf(history), endOfFaults(result)),
    events: history.length,
    phases,
    leaders: leadershipsOf(watch),
    /** Node → when it was not ready. */
    unready: Object.fromEntries(nodes.map((node) => [node, unreadyOf(watch, node)])),
    faults,
    schedule,
  }
}

function readme({ settings, verdict, versions, startedAt }: RunResult): string {
  const commit = versions.commit === undefined ? '' : ` (${versions.commit})`
  return `A run of jepsen-lite, ${startedAt}: ${verdict.valid === true ? 'valid' : verdict.valid === false ? 'invalid' : 'unknown'}

meshmq ${versions.meshmq}${commit}, Node ${versions.node}, ${versions.platform}, seed ${settings.seed}

To do it again, with the same operations and faults (how they interleave is up to the machine):

  ${commandOf(settings)}

report.html    what happened, to look at
results.json   verdict, anomalies, counts, settings, seed, versions, faults, figures
history.jsonl  every event as a line of JSON
history.edn    the same as Jepsen's operation maps
*.log          what the nodes wrote
data/          the nodes' directories as they were left, unless the run was valid
`
}

function* map<A, B>(all: Iterable<A>, change: (each: A) => B): Generator<B> {
  for (const each of all) yield change(each)
}
