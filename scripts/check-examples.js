/**
 * Runs every file of examples/ as its reader would, against the built package. Each starts its own nodes, asserts what it
 * shows and ends by itself.
 */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { expect, root, run, runChecks } from './run.js'

const SECONDS_MAX = 45
const examples = readdirSync(path.join(root, 'examples')).filter((file) => file.endsWith('.ts'))
const tsx = path.join(root, 'node_modules/tsx/dist/cli.mjs')

await runChecks([
  ['there are examples', () => expect(examples.length > 0, 'examples/ is empty')],
  ...examples.map((file) => [`examples/${file}`, () => runExample(file)]),
])

async function runExample(file) {
  const options = { timeoutMs: SECONDS_MAX * 1000 }
  const { code, stdout, stderr } = await run(process.execPath, [tsx, path.join('examples', file)], options)
  const output = `${stdout}${stderr}`
  expect(code !== null, `still running after ${SECONDS_MAX} s\n${output}`)
  expect(code === 0, `exit code ${code}\n${output}`)
  expect(stderr === '', `it complains\n${stderr}`)
  expect(stdout !== '', 'it prints nothing')
}
