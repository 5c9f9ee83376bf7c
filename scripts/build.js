/**
 * Builds dist/: JavaScript and declarations of raft, wire, client and node by tsc, and the browser's SDK as one file by
 * esbuild. `prepare` runs it, so `npm ci` leaves a runnable checkout and `npm pack` packs a fresh build.
 *
 * Never: needed by the packed package, which carries dist/ as it is. Plain JavaScript, since it runs before anything is compiled.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import process from 'node:process'

const root = path.resolve(import.meta.dirname, '..')
const dist = path.join(root, 'dist')
const cli = path.join(dist, 'node/cli/main.js')
const browserBundle = path.join(dist, 'client/browser.js')
const SHEBANG = '#!/usr/bin/env node\n'

rmSync(dist, { recursive: true, force: true })
compile()
makeExecutable(cli)
await bundleForBrowsers()

/** Type errors fail the build: what does not check is not shipped. */
function compile() {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  const run = spawnSync(process.execPath, [tsc, '-p', path.join(root, 'tsconfig.build.json'), '--noEmitOnError'], {
    cwd: root,
    stdio: 'inherit',
  })
  if (run.status !== 0) process.exit(run.status ?? 1)
}

/** npm links `bin` files as they are: the mode and the first line must already be right. */
function makeExecutable(file) {
  const text = readFileSync(file, 'utf8')
  if (!text.startsWith('#!')) writeFileSync(file, SHEBANG + text)
  chmodSync(file, 0o755)
}

/**
 * One file without Node built-ins and without `eval`, which a page's content security policy may forbid. msgpackr's
 * ordinary build compiles decoders with `new Function`, hence the alias.
 */
async function bundleForBrowsers() {
  const esbuild = await import('esbuild')
  const { metafile, outputFiles } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: ['client/browser.ts'],
    outfile: browserBundle,
    bundle: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    alias: { msgpackr: 'msgpackr/index-no-eval' },
    legalComments: 'inline',
    metafile: true,
    write: false,
    logLevel: 'warning',
  })
  // platform "browser" makes an import of a built-in an error, except where a package's `browser` field blanks it out.
  const blanked = Object.keys(metafile.inputs).filter((input) => input.startsWith('(disabled):'))
  if (blanked.length > 0) throw new Error(`the browser bundle reaches for Node: ${blanked.join(', ')}`)
  const code = outputFiles[0].text
  if (/\bnew Function\b|\beval\(/.test(code)) throw new Error('the browser bundle evaluates code from strings')
  writeFileSync(browserBundle, code)
  console.log(`dist/client/browser.js  ${(statSync(browserBundle).size / 1024).toFixed(1)} KiB, self-contained`)
}
