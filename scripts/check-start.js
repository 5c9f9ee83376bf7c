/**
 * Does what the README's first screen says: starts the cluster by `npm start`, compares what it prints with what the README
 * shows, runs the README's program and commands against it, and stops it as Ctrl-C does.
 *
 * Never: touches the data of a cluster that somebody keeps in data/.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { expect, root, runChecks, succeed } from './run.js'

const READY_SECONDS_MAX = 60
const STOP_SECONDS_MAX = 15

const readme = readFileSync(path.join(root, 'README.md'), 'utf8')
const blocks = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, text]) => ({ language, text }))
const data = mkdtempSync(path.join(os.tmpdir(), 'meshmq-start-'))
/** In the root, so that `meshmq` is this package itself, by its own `exports`. */
const program = path.join(root, '.readme-program.mjs')
const cli = path.join(root, 'dist/node/cli/main.js')

// A process group of its own: a terminal's Ctrl-C goes to all of one, and so does ours.
const cluster = spawn('npm', ['start', '--', '--data', data], {
  cwd: root,
  detached: true,
  stdio: ['ignore', 'pipe', 'inherit'],
})
const ended = new Promise((resolve) => cluster.on('close', (code, signal) => resolve(signal ?? code)))
let printed = ''
cluster.stdout.setEncoding('utf8').on('data', (text) => {
  printed += text
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    cleanUp()
    process.exit(1)
  })
}

try {
  await runChecks([
    ['npm start', ready],
    ['it prints what the README shows', comparePrinted],
    ["the README's program", runProgram],
    ["the README's commands", runCommands],
    ['Ctrl-C', interrupt],
  ])
} finally {
  cleanUp()
}

function cleanUp() {
  signalCluster('SIGKILL')
  rmSync(program, { force: true })
  rmSync(data, { recursive: true, force: true })
}

function signalCluster(signal) {
  try {
    process.kill(-cluster.pid, signal)
  } catch {
    // All of it has ended.
  }
}

async function ready() {
  const deadline = Date.now() + READY_SECONDS_MAX * 1000
  while (!printed.includes('Ctrl-C')) {
    const state = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 100, 'running'))])
    expect(state === 'running', `it ended with ${state}\n${printed}`)
    expect(Date.now() < deadline, `not ready after ${READY_SECONDS_MAX} s\n${printed}`)
  }
}

/** Line by line, but for where the data is, process ids and who happens to lead. */
function comparePrinted() {
  const normalise = (text) =>
    text
      .replaceAll(data, 'data/dev')
      .split('\n')
      .map((line) => line.replace(/ +leader$/, '').replace(/pid \d+/, 'pid'))
      .filter((line) => line !== '' && !line.startsWith('>'))
      .join('\n')
  const shown = normalise(blocks.find(({ language }) => language === '').text)
  expect(normalise(printed) === shown, `it prints\n${normalise(printed)}\n\nthe README shows\n${shown}`)
}

async function runProgram() {
  writeFileSync(program, blocks.find(({ language }) => language === 'js').text)
  const { stdout, stderr } = await succeed(process.execPath, [program], { timeoutMs: 20_000 })
  expect(stderr === '', stderr)
  for (const line of ['stored as ', 'billing got { order: 1 }', 'the price is 21']) {
    expect(stdout.includes(line), `it does not print '${line}':\n${stdout}`)
  }
}

/** A responder and a consumer in the background, as somebody has them in other terminals. */
async function runCommands() {
  const meshmq = (...args) => succeed(process.execPath, [cli, ...args], { timeoutMs: 20_000 })
  await meshmq('pub', 'orders.created', 'hello')
  const { stdout: consumed } = await meshmq('sub', 'orders.*', '--queue', 'billing', '--count', '1')
  expect(consumed.includes('hello'), `sub prints\n${consumed}`)
  const replying = meshmq('reply', 'price.*', '42', '--count', '1')
  const { stdout: answer } = await requestUntilAnswered(meshmq)
  expect(answer.trim() === '42', `request prints\n${answer}`)
  await replying
  const queues = await meshmq('queue', 'ls', '--json')
  expect(
    JSON.parse(queues.stdout).some(({ queue }) => queue === 'billing'),
    `queue ls prints\n${queues.stdout}`,
  )
  await meshmq('queue', 'info', 'billing', '--json')
  const { members } = JSON.parse((await meshmq('cluster', 'status', '--json')).stdout)
  expect(members.length === 3, `cluster status tells of ${members.length} members`)
}

/** The responder needs a moment to start, and until then a request fails at once, as it should. */
async function requestUntilAnswered(meshmq) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await meshmq('request', 'price.quote')
    } catch (error) {
      if (attempt === 20 || !error.message.includes('NoResponders')) throw error
    }
  }
}

async function interrupt() {
  signalCluster('SIGINT')
  const late = new Promise((resolve) => setTimeout(resolve, STOP_SECONDS_MAX * 1000, 'late').unref())
  const state = await Promise.race([ended, late])
  expect(state !== 'late', `still running ${STOP_SECONDS_MAX} s later`)
  expect(state === 0 || state === 130 || state === 'SIGINT', `it ends with ${state}`)
}
