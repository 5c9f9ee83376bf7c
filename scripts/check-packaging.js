/**
 * Packs the package, installs the tarball into an empty project and uses it there as its users will: from ESM, CommonJS,
 * TypeScript, a shell and a browser's bundle (the files of test/packaging/). Then lets publint and attw judge the tarball.
 *
 * Never: looks at the checkout's own dist/ or node_modules for what a user would have to have.
 */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import vm from 'node:vm'
import { build } from 'esbuild'
import { expect, root, run, runChecks, succeed } from './run.js'

const scratch = mkdtempSync(path.join(os.tmpdir(), 'meshmq-packaging-'))
const project = path.join(scratch, 'project')
const installed = path.join(project, 'node_modules/meshmq')
const tool = (name) => path.join(root, 'node_modules/.bin', name)
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
let tarball

cpSync(path.join(root, 'test/packaging'), project, { recursive: true })
writeFileSync(path.join(project, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }\n')

try {
  await runChecks([
    ['npm pack, npm install of the tarball into an empty project', packAndInstall],
    ['the tarball holds what users need and nothing else', contents],
    ['ESM: import, start a node, publish, receive', () => silently(process.execPath, ['use.mjs'])],
    [
      'CommonJS: require without a warning, start a node, publish, receive',
      () => silently(process.execPath, ['use.cjs']),
    ],
    ['TypeScript: strict, nodenext, both doors', () => typeScript('tsconfig.nodenext.json')],
    ['TypeScript: strict, bundler, a browser without Node types', () => typeScript('tsconfig.browser.json')],
    ['the command: npx meshmq --version', command],
    ['a browser bundle: no Node in it, no eval, the same exports', browser],
    ['publint --strict', () => succeed(tool('publint'), [tarball, '--strict'])],
    ['attw --profile esm-only', () => succeed(tool('attw'), [tarball, '--profile', 'esm-only', '--no-emoji'])],
  ])
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

async function packAndInstall() {
  await succeed('npm', ['pack', '--pack-destination', scratch])
  tarball = path.join(
    scratch,
    readdirSync(scratch).find((file) => file.endsWith('.tgz')),
  )
  await succeed('npm', ['install', '--no-audit', '--no-fund', tarball], { cwd: project })
  expect(!existsSync(path.join(project, 'node_modules/typescript')), 'a development dependency was installed')
}

/** Compiled code, declarations and the papers; no sources, tests or scripts. */
async function contents() {
  const files = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(installed, path.join(entry.parentPath, entry.name)))
  for (const needed of ['LICENSE', 'README.md', 'CHANGELOG.md', 'dist/client/browser.js', 'dist/node/cli/main.js']) {
    expect(files.includes(needed), `${needed} is missing`)
  }
  const stray = files.filter((file) => !/^(dist\/.*(\.js|\.d\.ts)|[A-Z]+(\.md)?|package\.json)$/.test(file))
  expect(stray.length === 0, `not for users: ${stray.join(', ')}`)
}

/** A program of the project: exit code 0, and not a word on standard error, where Node's warnings go. */
async function silently(program, args) {
  const { stdout, stderr } = await succeed(program, args, { cwd: project, timeoutMs: 30_000 })
  expect(stderr === '', `it warns:\n${stderr}`)
  expect(stdout.endsWith('done\n'), `it did not come to its end:\n${stdout}`)
}

async function typeScript(config) {
  await succeed(tool('tsc'), ['-p', path.join(project, config), '--typeRoots', path.join(root, 'node_modules/@types')])
}

async function command() {
  const { stdout } = await succeed('npx', ['--no-install', 'meshmq', '--version'], { cwd: project })
  expect(stdout.trim() === version, `it prints '${stdout.trim()}', not ${version}`)
  const { code, stderr } = await run('npx', ['--no-install', 'meshmq', 'no-such-command'], { cwd: project })
  expect(code !== 0 && stderr !== '', 'an unknown command is not refused')
}

/**
 * Bundles a page for browsers and runs it in a realm that has a browser's globals alone and compiles no strings, as under a
 * content security policy.
 */
async function browser() {
  const { metafile, outputFiles } = await build({
    absWorkingDir: project,
    entryPoints: ['page.js'],
    bundle: true,
    platform: 'browser',
    format: 'iife',
    metafile: true,
    write: false,
    logLevel: 'silent',
  })
  const inputs = Object.keys(metafile.inputs)
  const own = inputs.filter((file) => file.includes('node_modules/'))
  expect(own.join() === 'node_modules/meshmq/dist/client/browser.js', `the bundle is made of ${inputs.join(', ')}`)
  const globals = { TextEncoder, TextDecoder, AbortController, AbortSignal, Event, EventTarget, URL, DOMException }
  const timers = { setTimeout, clearTimeout, setInterval, clearInterval, queueMicrotask, performance }
  const page = { ...globals, ...timers, console, crypto, WebSocket: class {}, found: undefined }
  vm.runInContext(outputFiles[0].text, vm.createContext(page, { codeGeneration: { strings: false, wasm: false } }))
  const names = Object.keys(await import(path.join(installed, 'dist/client/index.js'))).sort()
  expect(names.join() === page.found?.join(), `exports differ: ${names} for Node, ${page.found} for browsers`)
}
