/**
 * Runs every stage of CI, one behind the other, each with a budget of seconds on two cores: above the budget it is said,
 * at three times the budget the stage is ended and failed. Every stage runs even if an earlier one failed, except that nothing
 * follows a failed install. The last line is `N passed, N failed`: the tests that vitest counted, and one for each stage.
 *
 * Never: skips a stage, or takes a test that was skipped for one that passed. Uses nothing but Node, since it installs the rest.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'

const root = path.resolve(import.meta.dirname, '..')
const scratch = mkdtempSync(path.join(os.tmpdir(), 'meshmq-check-'))
const report = path.join(scratch, 'vitest.json')

/** Whole run, seconds. Stages together plan for less; this is what CI is promised. */
const TOTAL_SECONDS_MAX = 30 * 60
/** A stage is ended at this multiple of its budget: a slow neighbour is forgiven, a hang is not. */
const BUDGET_FACTOR_MAX = 3

const stages = [
  // The README's own line, read from there: what a newcomer types is what CI runs.
  { name: 'install and test', command: readmeLine('npm ci && npm test'), budgetSeconds: 480, count: countTests },
  { name: 'lint', command: 'npm run lint', budgetSeconds: 20 },
  { name: 'types', command: 'npm run types', budgetSeconds: 40 },
  { name: 'start', command: 'node scripts/check-start.js', budgetSeconds: 45 },
  { name: 'examples', command: 'npm run examples', budgetSeconds: 60 },
  { name: 'packaging', command: 'node scripts/check-packaging.js', budgetSeconds: 90 },
  { name: 'simulation', command: 'npm run sim -- --seeds 1000 --floors', budgetSeconds: 120 },
  { name: 'system simulation', command: 'npm run system -- --seeds 400 --floors', budgetSeconds: 180 },
  // A minute while every break still has the seed that found it last; the rest is for those that have to be searched again.
  { name: 'simulation selftest', command: 'npm run sim:selftest', budgetSeconds: 120 },
  // Real processes: a run begins, heals, drains and agrees in some twenty seconds beside its sixty.
  { name: 'faults: kill', command: jepsen('queue', 'kill'), budgetSeconds: 100 },
  { name: 'faults: partition', command: jepsen('linearizable', 'partition'), budgetSeconds: 100 },
  { name: 'faults: lost writes', command: jepsen('queue', 'lost-writes'), budgetSeconds: 100 },
  { name: 'faults selftest', command: 'npm run jepsen:selftest -- --quick', budgetSeconds: 180 },
]

const results = []
const startedAt = process.hrtime.bigint()
let current
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (current !== undefined) endGroup(current)
    rmSync(scratch, { recursive: true, force: true })
    process.exit(1)
  })
}

for (const stage of stages) {
  const result = await run(stage)
  results.push(result)
  if (!result.ok && !existsSync(path.join(root, 'node_modules/.package-lock.json'))) {
    console.log('\nnothing is installed: the other stages cannot run and count as failed')
    for (const { name } of stages.slice(results.length))
      results.push({ name, ok: false, seconds: 0, passed: 0, failed: 1 })
    break
  }
}
process.exitCode = summarise(results)
rmSync(scratch, { recursive: true, force: true })

function jepsen(workload, nemesis) {
  return `npm run jepsen -- --workload ${workload} --nemesis ${nemesis} --seconds 60 --seed 7`
}

/** The README's line that is exactly `line`; without it the README promises something that nobody checks. */
function readmeLine(line) {
  const lines = readFileSync(path.join(root, 'README.md'), 'utf8').split('\n')
  if (lines.includes(line)) return line
  return `echo "README.md has no line '${line}'" >&2; exit 1`
}

async function run({ name, command, budgetSeconds, count }) {
  console.log(`\n=== ${name}: ${command}`)
  const from = process.hrtime.bigint()
  const problem = await shell(command, budgetSeconds * BUDGET_FACTOR_MAX)
  const seconds = secondsSince(from)
  const problems = problem === undefined ? [] : [problem]
  const tests = count === undefined ? { passed: 0, failed: 0 } : count(problems)
  if (seconds > budgetSeconds) console.log(`!!! ${name}: ${seconds.toFixed(0)} s, budget ${budgetSeconds} s`)
  for (const each of problems) console.log(`!!! ${name}: ${each}`)
  const ok = problems.length === 0
  // A stage counts as one; if its tests already tell of the failure it is not counted twice.
  const failed = tests.failed + (ok || tests.failed > 0 ? 0 : 1)
  return { name, ok, seconds, budgetSeconds, passed: tests.passed + (ok ? 1 : 0), failed }
}

/** Resolves with what went wrong, or undefined. The command gets a process group of its own, so that all of it can be ended. */
function shell(command, secondsMax) {
  return new Promise((resolve) => {
    const env = { ...process.env, CI: 'true', MESHMQ_TEST_REPORT: report, NO_COLOR: '1', FORCE_COLOR: undefined }
    const child = spawn('bash', ['-c', command], {
      cwd: root,
      env,
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    current = child
    let late = false
    const timer = setTimeout(() => {
      late = true
      endGroup(child)
    }, secondsMax * 1000)
    child.on('error', (error) => resolve(`could not be run: ${error.message}`))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      current = undefined
      if (late) resolve(`ended after ${secondsMax} s, three times its budget`)
      else resolve(code === 0 ? undefined : `failed with ${signal ?? `exit code ${code}`}`)
    })
  })
}

function endGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // The group is gone already.
  }
}

/** What vitest's JSON reporter (vitest.config.ts) wrote. A skipped or unfinished test is a problem, not a pass. */
function countTests(problems) {
  if (!existsSync(report)) {
    problems.push('no test report was written')
    return { passed: 0, failed: 0 }
  }
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, success } = JSON.parse(
    readFileSync(report, 'utf8'),
  )
  if (numPassedTests === 0) problems.push('not one test passed')
  if (numPendingTests + numTodoTests > 0) problems.push(`${numPendingTests + numTodoTests} tests were skipped`)
  if (!success && problems.length === 0) problems.push('vitest reports a failure outside of the tests')
  return { passed: numPassedTests, failed: numFailedTests }
}

/** Prints the table and the closing line; answers with the exit code. */
function summarise(all) {
  const total = secondsSince(startedAt)
  console.log('\n=== summary')
  for (const { name, ok, seconds, budgetSeconds } of all) {
    const time = budgetSeconds === undefined ? 'not run' : `${seconds.toFixed(0).padStart(4)} s of ${budgetSeconds} s`
    console.log(`${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(22)} ${time}`)
  }
  let passed = 0
  let failed = 0
  for (const each of all) {
    passed += each.passed
    failed += each.failed
  }
  const inTime = total <= TOTAL_SECONDS_MAX
  if (!inTime) failed++
  console.log(
    `${inTime ? 'ok  ' : 'FAIL'}  ${'all'.padEnd(22)} ${total.toFixed(0).padStart(4)} s of ${TOTAL_SECONDS_MAX} s`,
  )
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0 ? 0 : 1
}

function secondsSince(from) {
  return Number(process.hrtime.bigint() - from) / 1e9
}
