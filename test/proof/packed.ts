/**
 * The package as users get it: packed from a copy of the sources, which builds it, and installed by npm into an empty
 * project. Done once for each state of the sources; the checkout's own dist/ is neither used nor touched.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { eventually } from '../support/eventually.ts'

const run = promisify(execFile)
const root = path.resolve(import.meta.dirname, '../..')
/** All that decides what is in the package. */
const inputs = [
  'raft',
  'wire',
  'client',
  'node',
  'jepsen-lite',
  'scripts/build.js',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  '.npmrc',
]

/** How long another process may take to make the same project, milliseconds. */
const PACKING_MS_MAX = 180_000

let project: string | undefined

/**
 * Makes the project, once for each state of the sources. MESHMQ_PROOF_PROJECT names one to use instead: a folder where
 * some meshmq is installed.
 */
export async function packMeshmq(): Promise<void> {
  const given = process.env.MESHMQ_PROOF_PROJECT
  const made = given ?? path.join(os.tmpdir(), `meshmq-packed-${hashOfInputs()}`)
  if (!existsSync(made)) await inTurn(made, () => install(made))
  project = made
}

/** The folder of a project that has meshmq installed. All nodes of a test run the same one, whatever is edited meanwhile. */
export function packedProject(): string {
  if (project === undefined) throw new Error('packMeshmq has not run')
  return project
}

/** What the project's `meshmq` command runs. */
export function packedBin(): string {
  return path.join(packedProject(), 'node_modules/meshmq/dist/node/cli/main.js')
}

function hashOfInputs(): string {
  const hash = createHash('sha256')
  for (const input of inputs) {
    const from = path.join(root, input)
    const isFile = statSync(from).isFile()
    const files = isFile ? [''] : readdirSync(from, { recursive: true, encoding: 'utf8' }).sort()
    for (const file of files) {
      if (isFile || /\.[jt]s$/.test(file)) hash.update(`${input}/${file}\0`).update(readFileSync(path.join(from, file)))
    }
  }
  return hash.digest('hex').slice(0, 16)
}

/** Test files run in processes of their own: the first one makes the project, the others wait for it. */
async function inTurn(made: string, make: () => Promise<void>): Promise<void> {
  const lock = `${made}.lock`
  rmIfStale(lock)
  try {
    mkdirSync(lock)
  } catch {
    const what = `another process makes ${made}`
    return void (await eventually(() => existsSync(made), { withinMs: PACKING_MS_MAX, what }))
  }
  try {
    await make()
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

/** A lock outlives a process that was ended while it held it. */
function rmIfStale(lock: string): void {
  const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs
  if (since !== undefined && Date.now() - since > PACKING_MS_MAX) rmSync(lock, { recursive: true, force: true })
}

/** Under another name first: whoever finds the project finds it whole. */
async function install(made: string): Promise<void> {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'meshmq-packing-'))
  try {
    const source = path.join(scratch, 'source')
    for (const input of inputs) cpSync(path.join(root, input), path.join(source, input), { recursive: true })
    symlinkSync(path.join(root, 'node_modules'), path.join(source, 'node_modules'))
    await npm(source, 'pack', '--pack-destination', scratch)
    const tarball = readdirSync(scratch).find((file) => file.endsWith('.tgz'))!
    const target = path.join(scratch, 'project')
    mkdirSync(target)
    writeFileSync(path.join(target, 'package.json'), '{ "name": "proof", "private": true, "type": "module" }\n')
    await npm(target, 'install', '--no-audit', '--no-fund', '--prefer-offline', path.join(scratch, tarball))
    renameSync(target, made)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function npm(cwd: string, ...args: string[]): Promise<void> {
  // Rejects with the output when npm fails.
  await run('npm', args, { cwd, timeout: PACKING_MS_MAX })
}
