/**
 * Loaded into a node by `node --import`: puts itself between the node and node:fs, for what lies in the data directory. It notes what is
 * synced and what is not (roll-back.ts takes the rest away when the power goes), and lets the disk be slow, full or broken on command.
 *
 * What the product calls is followed; any other call that would change the data directory throws, so that the shim is never silently blind.
 * NB: native code does not pass here. LevelDB writes and syncs its files in `store` by itself.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import process from 'node:process'
import { answerCommands } from './control.ts'
import { inodesIn } from './inodes.ts'
import { Journal } from './journal.ts'
import { SHIM_VARIABLE, type ShimPlace } from './launch.ts'
import { Descriptors } from './shim-descriptors.ts'
import { ShimFaults } from './shim-faults.ts'
import { Names } from './shim-names.ts'

/** biome-ignore lint/suspicious/noExplicitAny: node's own functions, whose arguments are passed on as they are. */
type Call = (...values: any[]) => any
type Calls = Record<string, Call>

/** Calls that change what a path names, or what is in it, and that the product does not make. */
const pathCalls = [
  ...[
    'appendFile',
    'chmod',
    'copyFile',
    'cp',
    'createWriteStream',
    'link',
    'mkdir',
    'mkdtemp',
    'rename',
    'rm',
    'rmdir',
  ],
  ...['symlink', 'truncate', 'unlink', 'writeFile'],
]
const descriptorCalls = ['ftruncate', 'fchmod']
const promiseCalls = [
  'appendFile',
  'copyFile',
  'cp',
  'link',
  'mkdtemp',
  'open',
  'rmdir',
  'symlink',
  'truncate',
  'unlink',
  'writeFile',
]

function install(place: ShimPlace): void {
  const journal = openJournal(place)
  const parts = { dataDir: place.dataDir, journal, faults: new ShimFaults() }
  const descriptors = new Descriptors(parts)
  followDescriptors(descriptors)
  followNames(descriptors, new Names(parts, descriptors))
  followSpace(descriptors, parts.faults)
  refuseOthers(descriptors)
  syncBuiltinESMExports()
  answerCommands((command) => parts.faults.take(command))
}

/** What was begun for files that are gone, with the directory that was emptied meanwhile, is no more. */
function openJournal({ dataDir, journal: folder }: ShimPlace): Journal {
  const journal = new Journal(folder)
  if (inodesIn(dataDir).size === 0) journal.clear()
  return journal
}

function replace(calls: object, name: string, make: (real: Call) => Call): void {
  const table = calls as Calls
  const real = table[name]
  if (real !== undefined) table[name] = make(real)
}

function followDescriptors(descriptors: Descriptors): void {
  replace(fs, 'open', (real) => (path: fs.PathLike, ...rest: unknown[]) => {
    const inner = descriptors.inside(path)
    if (inner === undefined) return real(path, ...rest)
    const done = rest.pop() as (error: Error | null) => void
    descriptors.open(inner, path, rest[0], rest[1], done)
  })
  const followed = (name: string, follow: (descriptor: number, ...rest: Call[]) => void) =>
    replace(fs, name, (real) => (descriptor: number, ...rest: Call[]) => {
      if (descriptors.has(descriptor)) follow(descriptor, ...rest)
      else real(descriptor, ...rest)
    })
  followed('close', (descriptor, done = () => {}) => descriptors.close(descriptor, done))
  followed('fsync', (descriptor, done) => descriptors.sync(descriptor, 'fsync', done!))
  followed('fdatasync', (descriptor, done) => descriptors.sync(descriptor, 'fdatasync', done!))
  followed('writev', (descriptor, ...rest) => {
    const [buffers, position, done] = rest as unknown as [Uint8Array[], unknown, Call]
    descriptors.write(descriptor, buffers, position, done)
  })
  followed('write', (descriptor, ...rest) => {
    const [buffer, offset, length, position, done] = rest as unknown as [Uint8Array, number, number, unknown, Call]
    if (!(buffer instanceof Uint8Array) || typeof done !== 'function') {
      throw new Error('the file shim follows writes of buffers with offset, length and position')
    }
    descriptors.write(descriptor, [buffer.subarray(offset, offset + length)], position, done)
  })
}

function followNames(descriptors: Descriptors, names: Names): void {
  replace(fs.promises, 'mkdir', (real) => async (path: fs.PathLike, options?: fs.MakeDirectoryOptions) => {
    const inner = descriptors.inside(path)
    return inner === undefined || inner === '' ? real(path, options) : names.makeDirectory(inner, options)
  })
  replace(fs.promises, 'rename', (real) => async (from: fs.PathLike, to: fs.PathLike) => {
    const [innerFrom, innerTo] = [descriptors.inside(from), descriptors.inside(to)]
    if (innerFrom === undefined && innerTo === undefined) return real(from, to)
    if (innerFrom === undefined || innerTo === undefined) throw blind('rename', `${from} to ${to}`)
    return names.rename(innerFrom, innerTo)
  })
  replace(fs.promises, 'rm', (real) => async (path: fs.PathLike, options?: fs.RmOptions) => {
    const inner = descriptors.inside(path)
    return inner === undefined ? real(path, options) : names.remove(inner, options)
  })
}

function followSpace(descriptors: Descriptors, faults: ShimFaults): void {
  replace(fs.promises, 'statfs', (real) => async (path: fs.PathLike, options?: fs.StatFsOptions) => {
    const stat = (await real(path, options)) as fs.StatsFs
    if (descriptors.inside(path) === undefined) return stat
    stat.bavail = Math.floor(faults.free(stat.bavail * stat.bsize) / stat.bsize)
    return stat
  })
}

function refuseOthers(descriptors: Descriptors): void {
  const refuse = (calls: object, name: string, touches: (...values: unknown[]) => boolean) =>
    replace(calls, name, (real) => (...values: unknown[]) => {
      if (touches(...values)) throw blind(name, String(values[0]))
      return real(...values)
    })
  const inside = (...values: unknown[]) => values.slice(0, 2).some((path) => descriptors.inside(path) !== undefined)
  const followed = (descriptor: unknown) => descriptors.has(descriptor)
  for (const name of pathCalls) {
    refuse(fs, name, inside)
    refuse(fs, `${name}Sync`, inside)
  }
  // Opened to be read only, a file is nothing to be followed.
  refuse(fs, 'openSync', (path, flags = 'r') => descriptors.inside(path) !== undefined && flags !== 'r' && flags !== 0)
  for (const name of promiseCalls) refuse(fs.promises, name, inside)
  for (const name of descriptorCalls) refuse(fs, name, followed)
  for (const name of [...descriptorCalls, 'close', 'write', 'writev', 'fsync', 'fdatasync'])
    refuse(fs, `${name}Sync`, followed)
}

function blind(call: string, what: string): Error {
  return new Error(`the file shim does not follow ${call} in the data directory: ${what}`)
}

const place = process.env[SHIM_VARIABLE]
// Worker threads load it as well, and write nothing.
if (place !== undefined) install(JSON.parse(place) as ShimPlace)
