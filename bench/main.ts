/**
 * `npm run bench`: what a three-node cluster does on this machine, by the definitions in docs/BENCHMARKS.md. A fresh cluster
 * for each row; every role a process of its own; results as Markdown on standard output, progress on standard error.
 */
import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { BenchCluster, builtProgram } from './cluster.ts'
import { formatRuns } from './figures.ts'
import { type BenchOptions, parseBenchOptions, type WorkloadName } from './options.ts'
import { loadSdk } from './roles/role.ts'
import { describeMachine, requireRealDisk } from './system.ts'
import { absenceWorkload } from './workloads/absence.ts'
import { backlogWorkload } from './workloads/backlog.ts'
import { consumeWorkload } from './workloads/consume.ts'
import { failoverWorkload } from './workloads/failover.ts'
import { publishWorkload } from './workloads/publish.ts'
import { requestWorkload } from './workloads/request.ts'
import { Bench, type Row } from './workloads/workload.ts'

const defaultDirectory = fileURLToPath(new URL('../data/bench', import.meta.url))

type RowRun = (bench: Bench) => Promise<Row>

function rowsOf(workload: WorkloadName, { sizes }: BenchOptions): RowRun[] {
  switch (workload) {
    case 'W1':
    case 'W5':
      return sizes.map((size) => (bench) => publishWorkload(bench, workload, size))
    case 'W2':
    case 'W3':
      return sizes.map((size) => (bench) => consumeWorkload(bench, workload, size))
    case 'W4':
      return (['same node', 'two nodes'] as const).flatMap((where) =>
        [1, 64].map(
          (inFlight): RowRun =>
            (bench) =>
              requestWorkload(bench, inFlight, where),
        ),
      )
    case 'W6':
      return [failoverWorkload]
    case 'W7':
      return sizes.map((size) => (bench) => backlogWorkload(bench, size))
    case 'W8':
      return sizes.map((size) => (bench) => absenceWorkload(bench, size))
  }
}

async function runRow(options: BenchOptions, run: RowRun, stopped: AbortSignal): Promise<Row> {
  const cluster = await BenchCluster.start(options)
  try {
    const { connect } = await loadSdk()
    const client = await connect({ servers: [...cluster.urls] })
    const bench = new Bench(options, cluster, client)
    let interrupt = () => {}
    const interrupted = new Promise<never>((_, reject) => {
      interrupt = () => reject(new Error('stopped'))
    })
    stopped.addEventListener('abort', interrupt)
    try {
      return await Promise.race([run(bench), interrupted])
    } finally {
      stopped.removeEventListener('abort', interrupt)
      bench.killRoles()
      await client.close()
    }
  } finally {
    await cluster.stop()
    rmSync(cluster.directory, { recursive: true, force: true })
  }
}

/** Rows of one workload have the same columns. */
function printWorkload(rows: readonly Row[]): void {
  const columns = Object.keys(rows[0]?.runs[0] ?? {})
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`
  let text = line(['', ...columns]) + line(['---', ...columns.map(() => '---')])
  for (const { name, runs } of rows) {
    text += line([name, ...columns.map((column) => formatRuns(runs.map((run) => run[column]!)))])
  }
  process.stdout.write(`\n${text}`)
}

async function main(): Promise<void> {
  const options = parseBenchOptions(process.argv.slice(2), defaultDirectory)
  if (options === undefined) return
  builtProgram()
  requireRealDisk(options.directory)
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
  const rows: Row[] = []
  for (const workload of options.workloads) {
    const own: Row[] = []
    for (const run of rowsOf(workload, options)) {
      const row = await runRow(options, run, stopping.signal)
      process.stderr.write(`${row.name}: done\n`)
      for (const problem of row.problems) process.stderr.write(`  ! ${problem}\n`)
      own.push(row)
    }
    printWorkload(own)
    rows.push(...own)
  }
  if (options.jsonFile !== undefined) {
    const result = { machine: describeMachine(), options, rows }
    writeFileSync(path.resolve(options.jsonFile), `${JSON.stringify(result, undefined, 2)}\n`)
  }
  if (rows.some((row) => row.problems.length > 0)) process.exitCode = 1
}

main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
