import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { beginFileFault, sendToShim } from '../../../jepsen-lite/files/control.ts'
import { shimLaunch } from '../../../jepsen-lite/files/launch.ts'
import { rollBack } from '../../../jepsen-lite/files/roll-back.ts'
import type { Totals } from '../../../jepsen-lite/nemesis.ts'
import { type Random, seeded } from '../../../jepsen-lite/random.ts'
import { compileShim } from './compiled.ts'

/** Beside the sources: on a real disk, as a cluster's directories are. */
const scratch = mkdtempSync(join(import.meta.dirname, '../../../.shim-'))
let shim: string
let root: string
let dataDir: string
let journal: string
const children: ChildProcess[] = []

beforeAll(() => {
  shim = compileShim(join(scratch, 'compiled'))
})

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

beforeEach(() => {
  root = mkdtempSync(join(scratch, 'case-'))
  dataDir = join(root, 'data')
  journal = join(root, 'journal')
  mkdirSync(dataDir)
})

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** Names that a program may use without further ado; the product imports them in the same way. */
const prelude = `
import { close, constants, fdatasync, fstat, fsync, open, read, write, writev } from 'node:fs'
import * as fs from 'node:fs'
import { mkdir, readdir, rename, rm, statfs } from 'node:fs/promises'
import { promisify } from 'node:util'
const data = ${'process.env.DATA'}
const { O_RDWR, O_DSYNC, O_CREAT, O_EXCL, O_RDONLY } = constants
const opened = promisify(open), synced = promisify(fsync), dataSynced = promisify(fdatasync), closed = promisify(close)
const create = (name, flags = 0) => opened(data + '/' + name, O_RDWR | O_CREAT | O_EXCL | flags, 0o640)
const put = (descriptor, text, at) => new Promise((resolve, reject) =>
  writev(descriptor, [Buffer.from(text)], at, (error, bytes) => error ? reject(error) : resolve(bytes)))
const syncNames = async (path = data) => {
  const descriptor = await opened(path, O_RDONLY)
  await synced(descriptor)
  await closed(descriptor)
}
const tell = (what) => new Promise((resolve) => process.send({ what }, resolve))
const rest = () => new Promise((resolve) => setTimeout(resolve, 60_000))
`

/** Runs a program under the shim and resolves with what it first tells; it then goes on, or rests until it is killed. */
async function run(program: string): Promise<{ child: ChildProcess; what: unknown }> {
  const file = join(root, `program-${children.length}.mjs`)
  writeFileSync(file, prelude + program)
  const { args, env } = shimLaunch({ dataDir, journal }, shim)
  const child = spawn(process.execPath, [...args, file], {
    env: { ...process.env, ...env, DATA: dataDir },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  children.push(child)
  let errors = ''
  child.stderr!.on('data', (text: Buffer) => {
    errors += text.toString()
  })
  const ended = once(child, 'close').then(() => ({ what: errors }))
  const told = once(child, 'message').then(([message]) => message as { what: unknown })
  return { child, what: (await Promise.race([told, ended])).what }
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** Dice that lose whatever may be lost, and dice that lose nothing. */
const merciless: Random = { ...seeded(1), next: () => 0, below: () => 0, chance: () => true }
const merciful: Random = { ...seeded(1), next: () => 0.5, below: (below) => below - 1, chance: () => false }

/** Runs it until it tells something, kills it and takes its power. Gives the figures. */
async function losePower(program: string, random = merciless): Promise<Totals> {
  const { child, what } = await run(`${program}\nawait tell('done')\nawait rest()`)
  expect(what).toBe('done')
  await kill(child)
  return rollBack({ dataDir, journal, random })
}

const contents = (name: string) => readFileSync(join(dataDir, name), 'latin1')
const names = () => readdirSync(dataDir).sort()

describe('what a node writes', () => {
  it('stays when the descriptor syncs each write', async () => {
    const done = await losePower(`const a = await create('a', O_DSYNC); await put(a, 'synced', 0); await syncNames()`)
    expect(contents('a')).toBe('synced')
    expect(done).toMatchObject({ rolledBackBytes: 0, rolledBackNames: 0 })
  })

  it('is lost when nothing synced it', async () => {
    const done = await losePower(`const a = await create('a'); await syncNames(); await put(a, 'not synced', 0)`)
    expect(contents('a')).toBe('')
    expect(done).toMatchObject({ rolledBackBytes: 10, rolledBackFiles: 1, unsyncedWrites: 1 })
  })

  it('may stay without a sync, all but the last of it', async () => {
    await losePower(
      `const a = await create('a'); await syncNames(); await put(a, 'not synced', 0); await put(a, ' at all', 10)`,
      merciful,
    )
    expect(contents('a')?.slice(0, 10)).toBe('not synced')
    expect(contents('a')).not.toContain('at all')
  })

  it.each(['synced', 'dataSynced'])('stays when %s was called behind it, and what follows does not', async (sync) => {
    await losePower(`const a = await create('a'); await syncNames()
      await put(a, 'first ', 0); await ${sync}(a); await put(a, 'second', 6)`)
    expect(contents('a')).toBe('first ')
  })

  it('is what it was before, where it was overwritten', async () => {
    await losePower(`const a = await create('a'); await syncNames()
      await put(a, 'abcdefgh', 0); await synced(a); await put(a, 'PPP', 2); await put(a, 'YYY', 4)`)
    expect(contents('a')).toBe('abcdefgh')
  })

  it('does not come back into a directory that was emptied meanwhile', async () => {
    const { child, what } = await run(`const a = await create('a'); await synced(a); await syncNames()
      await rm(data + '/a'); const b = await create('b'); await tell('done'); await rest()`)
    expect(what).toBe('done')
    await kill(child)
    rmSync(join(dataDir, 'b'))
    expect(rollBack({ dataDir, journal, random: merciless })).toMatchObject({ rolledBackNames: 0 })
    expect(names()).toEqual([])
  })

  it('stays where a synced write went over one that was not', async () => {
    await losePower(`const a = await create('a'); await syncNames()
      await put(a, 'abcdefgh', 0); await synced(a); await put(a, 'PPPPPP', 1)
      const b = await opened(data + '/a', O_RDWR | O_DSYNC); await put(b, 'SS', 3)`)
    expect(contents('a')).toBe('abcSSfgh')
  })

  it('is followed through fs.write as well', async () => {
    await losePower(`const a = await create('a'); await syncNames()
      await promisify(write)(a, Buffer.from('..synced..'), 2, 6, 0); await synced(a)
      await promisify(write)(a, Buffer.from('lost'), 0, 4, 0)`)
    expect(contents('a')).toBe('synced')
  })

  it('is lost when the kill comes between a synced write and the word of it', async () => {
    const { child, what } = await run(`const a = await create('a', O_DSYNC); await syncNames(); await put(a, 'old', 0)
      process.send({ what: 'ready' }); process.once('message', () => setTimeout(async () => {
        void put(a, 'new', 0)
        const seen = setInterval(() => { if (fs.readFileSync(data + '/a', 'latin1') === 'new') { clearInterval(seen); tell('written') } }, 1)
      }, 10)); await rest()`)
    expect(what).toBe('ready')
    const written = once(child, 'message', { signal: AbortSignal.timeout(10_000) })
    const slow = beginFileFault(child, { type: 'slow', ms: 60_000, jitterMs: 0 })
    await Promise.all([written, slow])
    await new Promise<void>((resolve) => {
      const look = () => (contents('a') === 'new' ? resolve() : setTimeout(look, 2))
      look()
    })
    await kill(child)
    rollBack({ dataDir, journal, random: merciless })
    expect(contents('a')).toBe('old')
  })
})

describe('names', () => {
  it('are lost with all that was synced in them, when their directory was not synced', async () => {
    await losePower(`const a = await create('a', O_DSYNC); await put(a, 'synced', 0)`)
    expect(names()).toEqual([])
  })

  it('of directories too', async () => {
    await losePower(`await mkdir(data + '/kept'); await syncNames(); await mkdir(data + '/lost', { recursive: true })`)
    expect(names()).toEqual(['kept'])
  })

  it('are what they were before an unsynced rename, and so is the file that it replaced', async () => {
    const program = `const a = await create('a', O_DSYNC); await put(a, 'old', 0); await syncNames()
      const b = await create('a.new', O_DSYNC); await put(b, 'new', 0); await rename(data + '/a.new', data + '/a')`
    expect(await losePower(program)).toMatchObject({ rolledBackNames: 2 })
    expect([names(), contents('a')]).toEqual([['a'], 'old'])
  })

  it('are the new ones once the directory is synced', async () => {
    await losePower(`const a = await create('a', O_DSYNC); await put(a, 'old', 0); await syncNames()
      const b = await create('a.new', O_DSYNC); await put(b, 'new', 0); await rename(data + '/a.new', data + '/a'); await syncNames()`)
    expect([names(), contents('a')]).toEqual([['a'], 'new'])
  })

  it('come back after an unsynced removal, with what their files held', async () => {
    await losePower(`for (const name of ['a', 'b', 'c']) { const a = await create(name, O_DSYNC); await put(a, name, 0) }
      await syncNames(); await rm(data + '/b'); await syncNames(); await rm(data + '/a')`)
    expect([names(), contents('a')]).toEqual([['a', 'c'], 'a'])
    expect(readdirSync(journal)).toEqual(['undo'])
  })
})

describe('the journal', () => {
  it('goes on in the next life of a node that died while its machine lived', async () => {
    const first = await run(`const a = await create('a'); await syncNames()
      await put(a, 'synced', 0); await synced(a); await put(a, 'ghosts', 0); await tell('done'); await rest()`)
    await kill(first.child)
    expect(contents('a')).toBe('ghosts')
    await losePower(`const a = await opened(data + '/a', O_RDWR | O_DSYNC); await put(a, 'GH', 0)`)
    expect(contents('a')).toBe('GHnced')
  })

  it('forgets a directory that was emptied', async () => {
    const first = await run(`const a = await create('a'); await put(a, 'x', 0); await tell('done'); await rest()`)
    await kill(first.child)
    rmSync(join(dataDir, 'a'))
    await losePower(`const b = await create('b', O_DSYNC); await put(b, 'y', 0); await syncNames()`)
    expect([names(), contents('b')]).toEqual([['b'], 'y'])
  })

  it('stays small however much is written, as long as it is synced', async () => {
    await losePower(`const a = await create('a', O_DSYNC); await syncNames()
      for (let i = 0; i < 500; i++) await put(a, 'x'.repeat(4096), 4096 * (i % 3))
      await Promise.all(Array.from({ length: 8 }, (_, i) => put(a, 'y'.repeat(65536), i * 65536)))`)
    expect(statSync(join(journal, 'undo')).size).toBeLessThan(64 * 1024)
  })
})

describe('calls that the shim does not follow', () => {
  it.each([
    `fs.writeFileSync(data + '/x', 'x')`,
    `fs.appendFile(data + '/x', 'x', () => {})`,
    `await fs.promises.writeFile(data + '/x', 'x')`,
    `await fs.promises.open(data + '/x', 'w')`,
    `fs.openSync(data + '/x', 'w')`,
    `fs.createWriteStream(data + '/x')`,
    `fs.open(data + '/x', 'w', () => {})`,
    `fs.renameSync(data + '/x', data + '/y')`,
    `await fs.promises.rm(data + '/x', { recursive: true })`,
    `const a = await create('a'); fs.writeSync(a, 'x')`,
    `const a = await create('a'); fs.write(a, 'x', 0, 'utf8', () => {})`,
    `const a = await create('a'); fs.ftruncateSync(a, 1)`,
  ])('are refused: %s', async (program) => {
    const { what } = await run(`${program}; await tell('done')`)
    expect(what).toMatch(/the file shim (does not follow|follows)/)
  })

  it('are let through elsewhere', async () => {
    const { what } = await run(`const elsewhere = data + '-elsewhere'
      fs.mkdirSync(elsewhere); fs.writeFileSync(elsewhere + '/x', 'x'); fs.renameSync(elsewhere + '/x', elsewhere + '/y')
      const y = await opened(elsewhere + '/y', O_RDWR); await put(y, 'zz', 0); await synced(y); await closed(y)
      await rm(elsewhere, { recursive: true }); await tell(fs.readFileSync(new URL(import.meta.url), 'utf8').length > 0)`)
    expect(what).toBe(true)
  })
})

describe('a disk on command', () => {
  /** A program that tells how each write of it ended. */
  const writer = `const a = await create('a', O_DSYNC); await syncNames(); await put(a, '0'.repeat(100), 0); let at = 100
    process.on('message', async ({ go }) => { if (go !== undefined) await put(a, String(go), go === 'grow' ? (at += 100) : 0).then(() => tell('ok'), (error) => tell(error.code)) })
    await tell('ready'); await rest()`

  async function ask(child: ChildProcess, go: string): Promise<unknown> {
    const told = new Promise((resolve) => {
      const listen = (message: { what?: unknown }) => {
        if (message.what === undefined) return
        child.off('message', listen)
        resolve(message.what)
      }
      child.on('message', listen)
    })
    child.send({ go })
    return told
  }

  it('fails one write, or all from then on, and tells how many', async () => {
    const { child } = await run(writer)
    const endOnce = await beginFileFault(child, { type: 'fail', on: 'write', times: 'once' })
    expect([await ask(child, 'a'), await ask(child, 'b')]).toEqual(['EIO', 'ok'])
    expect(await endOnce()).toMatchObject({ failedWrites: 1 })
    const endAlways = await beginFileFault(child, { type: 'fail', on: 'write', times: 'always' })
    expect([await ask(child, 'c'), await ask(child, 'd')]).toEqual(['EIO', 'EIO'])
    expect(await endAlways()).toMatchObject({ failedWrites: 2 })
    expect(await ask(child, 'e')).toBe('ok')
  })

  it('keeps faults apart that overlap: each ends by itself, and tells what it did itself', async () => {
    const { child } = await run(writer)
    const endSlow = await beginFileFault(child, { type: 'slow', ms: 50, jitterMs: 0 })
    const endFull = await beginFileFault(child, { type: 'full', roomBytes: 150 })
    const endSlower = await beginFileFault(child, { type: 'slow', ms: 100, jitterMs: 0 })
    const startedAt = performance.now()
    expect([await ask(child, 'grow'), await ask(child, 'grow')]).toEqual(['ok', 'ENOSPC'])
    expect(performance.now() - startedAt).toBeGreaterThan(145)
    expect(await endSlow()).toMatchObject({ slowSyncs: 1, writesWithoutRoom: 0 })
    const endFailing = await beginFileFault(child, { type: 'fail', on: 'sync', times: 'always' })
    expect([await ask(child, 'x'), await ask(child, 'grow')]).toEqual(['EIO', 'ENOSPC'])
    expect(await endFailing()).toMatchObject({ failedSyncs: 1, slowSyncs: 0, writesWithoutRoom: 0 })
    expect([await ask(child, 'y'), await ask(child, 'grow')]).toEqual(['ok', 'ENOSPC'])
    expect(await endFull()).toMatchObject({ failedSyncs: 0, writesWithoutRoom: 3 })
    expect(await ask(child, 'grow')).toBe('ok')
    expect(await endSlower()).toMatchObject({ slowSyncs: 3, failedSyncs: 0 })
    expect(await endFull()).toMatchObject({ writesWithoutRoom: 3 })
  })

  it('has no fault when all were cleared; each tells all the same what it did', async () => {
    const { child } = await run(writer)
    const end = await beginFileFault(child, { type: 'fail', on: 'write', times: 'always' })
    expect(await ask(child, 'x')).toBe('EIO')
    expect(await sendToShim(child, { type: 'clear' }, 5_000)).not.toBe(false)
    expect(await ask(child, 'y')).toBe('ok')
    expect(await end()).toMatchObject({ failedWrites: 1 })
  })

  it('counts what the system itself refuses', async () => {
    // No file system has files of that size.
    const { child } = await run(`const a = await create('a', O_DSYNC)
      process.on('message', async ({ go }) => {
        if (go !== undefined) await put(a, go, Number.MAX_SAFE_INTEGER).then(() => tell('ok'), (error) => tell(error.code))
      }); await tell('ready'); await rest()`)
    const end = await beginFileFault(child, { type: 'watch' })
    expect(await ask(child, 'x')).toBe('EFBIG')
    expect(await end()).toMatchObject({ refused: 1, failedWrites: 0 })
  })

  it('is asked for its figures until the process goes on, or is gone', async () => {
    const { child } = await run(writer)
    const end = await beginFileFault(child, { type: 'fail', on: 'write', times: 'always' })
    expect(await ask(child, 'x')).toBe('EIO')
    child.kill('SIGSTOP')
    const ended = end()
    child.kill('SIGCONT')
    expect(await ended).toMatchObject({ failedWrites: 1 })
    const impatient = await beginFileFault(child, { type: 'watch' }, 50)
    child.kill('SIGSTOP')
    await expect(impatient()).rejects.toThrow('does not answer')
    const late = beginFileFault(child, { type: 'watch' })
    await kill(child)
    expect(await (await late)()).toBeUndefined()
  })

  it('leaves what a failed sync should have synced in the page cache, where the power takes it', async () => {
    const { child } = await run(writer)
    await beginFileFault(child, { type: 'fail', on: 'sync', times: 'once' })
    expect(await ask(child, 'xyz')).toBe('EIO')
    expect(contents('a').slice(0, 3)).toBe('xyz')
    await kill(child)
    rollBack({ dataDir, journal, random: merciless })
    expect(contents('a').slice(0, 3)).toBe('000')
  })

  it('has no room for files that grow, and lets those be overwritten that are there', async () => {
    const { child } = await run(writer)
    const end = await beginFileFault(child, { type: 'full', roomBytes: 2 })
    expect([await ask(child, 'x'), await ask(child, 'grow')]).toEqual(['ok', 'ENOSPC'])
    expect(await end()).toMatchObject({ writesWithoutRoom: 1 })
  })

  it('tells of the room when it is asked', async () => {
    const { child } = await run(`process.on('message', async ({ go }) => {
      if (go !== undefined) await statfs(data).then(({ bavail, bsize }) => tell(bavail * bsize))
    }); await tell('ready'); await rest()`)
    await beginFileFault(child, { type: 'full', roomBytes: 1024 * 1024 })
    expect(await ask(child, 'tell')).toBe(1024 * 1024)
  })

  it('is slow', async () => {
    const { child } = await run(writer)
    const end = await beginFileFault(child, { type: 'slow', ms: 50, jitterMs: 0 })
    const startedAt = performance.now()
    expect(await ask(child, 'x')).toBe('ok')
    expect(performance.now() - startedAt).toBeGreaterThan(45)
    expect(await end()).toMatchObject({ slowSyncs: 1 })
  })

  it('is out of reach when the process has no shim, or is gone', async () => {
    const { child } = await run(writer)
    await kill(child)
    expect(await sendToShim(child, { type: 'clear' }, 5_000)).toBe(false)
  })

  it('does not keep the process alive by listening', async () => {
    const { child } = await run(`await tell('last words')`)
    if (child.exitCode === null) await once(child, 'exit', { signal: AbortSignal.timeout(10_000) })
    expect(child.exitCode).toBe(0)
  })
})
