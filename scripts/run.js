/**
 * What the checks share: run a program to its end, and say in one line what held and what did not.
 */
import { spawn } from 'node:child_process'
import path from 'node:path'
import process from 'node:process'

export const root = path.resolve(import.meta.dirname, '..')

/**
 * Resolves with exit code (null if it was ended by a signal) and output. After `timeoutMs` the program is ended; standard input is closed
 * from the start.
 */
export function run(command, args, { cwd = root, env = {}, timeoutMs = 120_000 } = {}) {
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', 'pipe', 'pipe']
    const child = spawn(command, args, { cwd, env: { ...process.env, NO_COLOR: '1', ...env }, stdio })
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, stdout, stderr })
    })
  })
}

/** Thrown by a check that does not hold; its message is the whole report. */
export class CheckFailed extends Error {}

export function expect(condition, message) {
  if (!condition) throw new CheckFailed(message)
}

/** Runs and expects exit code 0. Answers with standard output. */
export async function succeed(command, args, options) {
  const { code, stdout, stderr } = await run(command, args, options)
  expect(code === 0, `${command} ${args.join(' ')}\nexit code ${code ?? 'none: ended'}\n${stdout}${stderr}`)
  return { stdout, stderr }
}

/**
 * Runs named checks one behind the other, all of them, each a line of output, and sets the exit code. A check that follows
 * from another's result should be one check with it.
 */
export async function runChecks(checks) {
  let failures = 0
  for (const [name, check] of checks) {
    const from = performance.now()
    try {
      await check()
      console.log(`ok    ${name} (${((performance.now() - from) / 1000).toFixed(1)} s)`)
    } catch (error) {
      failures++
      console.error(`FAIL  ${name}\n${error instanceof CheckFailed ? error.message : error.stack}`)
    }
  }
  if (failures > 0) {
    console.error(`${failures} of ${checks.length} checks failed`)
    process.exitCode = 1
  }
}
