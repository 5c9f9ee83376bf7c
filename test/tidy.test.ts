import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { ParcelKind } from '../node/peers/parcel.ts'
import { errorKinds } from '../wire/errors.ts'
import { FrameKind } from '../wire/frame.ts'
import { limits } from '../wire/limits.ts'
import { areas, checkArrows } from './tidy/arrows.ts'
import { checkPaths, checkTable, tableRows } from './tidy/documents.ts'
import { checkPurity } from './tidy/purity.ts'
import {
  checkDeadExports,
  checkDeadFiles,
  checkDefaultExports,
  checkDice,
  checkHeaders,
  checkPromises,
  checkSizes,
  checkTrapNumbers,
  LINES_SOFT,
  lineCount,
} from './tidy/shape.ts'
import { isProduct, readSources, readText } from './tidy/sources.ts'

const TRAPS = 49
const sources = readSources()
const manifest = JSON.parse(readText('package.json')) as {
  exports: Record<string, string | Record<string, string | Record<string, string>>>
  bin: Record<string, string>
  scripts: Record<string, string>
}
const doors = packageDoors()
/** Started by name, not imported: by package.json's scripts, by .ci/run, by a person (the examples), by the packaging check or by
 * the pools of the simulators and of jepsen-lite. */
const startedElsewhere =
  /^(examples\/|test\/packaging\/|test\/(sim|system)\/worker\.ts$|test\/jepsen\/workers\/fake-workloads\.ts$)/
/** Parts of the package that are processes of their own, or loaded into one: started by name as well. */
const startedByProduct = ['jepsen-lite/workers/worker.ts', 'jepsen-lite/files/shim.ts']
const mains = [...sources.keys()].filter((file) => isStarted(file) || startedElsewhere.test(file))
const documents = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', ...markdownIn('docs')]

/** The sources behind `exports` and `bin`. */
function packageDoors(): string[] {
  const targets: string[] = Object.values(manifest.bin)
  const collect = (value: string | Record<string, unknown>): void => {
    if (typeof value === 'string') targets.push(value)
    else for (const each of Object.values(value)) collect(each as string | Record<string, unknown>)
  }
  for (const value of Object.values(manifest.exports)) collect(value)
  const built = targets.map((target) => /^(?:\.\/)?dist\/(.*?)(?:\.d\.ts|\.js)$/.exec(target)?.[1])
  return [...new Set(built.filter((file) => file !== undefined))].map((file) => `${file}.ts`)
}

function isStarted(file: string): boolean {
  const text = [...Object.values(manifest.scripts), readText('.ci/run'), readText('scripts/check.js')].join('\n')
  return text.includes(file)
}

function markdownIn(folder: string): string[] {
  return readdirSync(path.join(import.meta.dirname, '..', folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => path.posix.join(folder, file.split(path.sep).join('/')))
}

describe('the imports', () => {
  it('follow the arrows: each folder reaches only what the table allows, through its door, and nothing goes in circles', () => {
    expect(checkArrows(sources)).toEqual([])
  })

  it('are ruled by a table that goes one way and whose places exist', () => {
    const below: string[] = []
    for (const { name, holds, may, packages = {}, door } of areas) {
      for (const other of may) expect(below, `${name} imports ${other}`).toContain(other)
      below.push(name)
      for (const place of [...holds, ...Object.values(packages).flat(), ...(door === undefined ? [] : [door])]) {
        expect(existsSync(path.join(import.meta.dirname, '..', place)), place).toBe(true)
      }
    }
  })
})

describe('the pure folders', () => {
  it('hold no clock, dice, socket, disk, process or promise', () => {
    expect(checkPurity(sources)).toEqual([])
  })
})

describe('every source file', () => {
  it('is short, and so are its functions', () => {
    for (const source of sources.values()) {
      if (isProduct(source.path) && lineCount(source) > LINES_SOFT) {
        console.info(`${source.path}: ${lineCount(source)} lines, above the soft limit of ${LINES_SOFT}`)
      }
    }
    expect(checkSizes(sources)).toEqual([])
  })

  it('opens with a comment that says what it is', () => {
    expect(checkHeaders(sources)).toEqual([])
  })

  it('leaves nothing for later', () => {
    expect(checkPromises(sources)).toEqual([])
  })

  it('exports by name', () => {
    expect(checkDefaultExports(sources)).toEqual([])
  })

  it('draws its properties from the seed that is fixed', () => {
    expect(checkDice(sources)).toEqual([])
  })

  it('is reachable: product files from a door of the package, all others from a test or a main', () => {
    expect(doors).toContain('client/browser.ts')
    expect(doors).toContain('node/cli/main.ts')
    expect(checkDeadFiles(sources, [...doors, ...startedByProduct, ...mains.filter(isProduct)], mains)).toEqual([])
  })

  it('exports nothing that nobody takes', () => {
    expect(checkDeadExports(sources, doors)).toEqual([])
  })

  it('cites only traps that docs/TRAPS.md lists', () => {
    expect(checkTrapNumbers(sources, TRAPS)).toEqual([])
  })
})

describe('the documents', () => {
  const protocol = readText('docs/PROTOCOL.md')

  it('list every error code with its meaning, whether to retry and its outcome', () => {
    const expected = Object.entries(errorKinds).map(([code, { meaning, retryable, outcome }]) => {
      return [code, [meaning.replaceAll('`', ''), retryable ? 'yes' : 'no', outcome]] as const
    })
    expect(checkTable(protocol, 'Code', Object.fromEntries(expected))).toEqual([])
  })

  it('name the formats by the versions that the code writes', () => {
    const versionIn = (file: string, name: string) => new RegExp(`const ${name} = (\\d+)`).exec(readText(file))?.[1]
    const machine = versionIn('node/queue/constants.ts', 'MACHINE_VERSION')
    const checkpoints = versionIn('node/queue/checkpoint-format.ts', 'CHECKPOINT_VERSION')
    const logAndPeers = `segments ${versionIn('node/storage/segment.ts', 'VERSION')}, peers ${versionIn('node/peers/parcel.ts', 'PEER_VERSION')}`
    expect(readText('CHANGELOG.md')).toContain(
      `- Formats: ${logAndPeers}, machine ${machine}, checkpoints ${checkpoints}.`,
    )
    expect(readText('docs/STORAGE.md')).toContain(`checkpoint version (${checkpoints}), machine version (${machine}),`)
  })

  it('list every limit with its value', () => {
    const expected = Object.entries(limits).map(([name, value]) => [name, [value.toLocaleString('en')]] as const)
    expect(checkTable(protocol, 'Limit', Object.fromEntries(expected))).toEqual([])
  })

  it('list every kind of frame and of parcel with its number', () => {
    const frames = Object.entries(FrameKind).map(([name, value]) => [name, [String(value)]] as const)
    expect(checkTable(protocol, 'Frame', Object.fromEntries(frames))).toEqual([])
    const parcels = Object.entries(ParcelKind).map(([name, value]) => [name, [String(value)]] as const)
    expect(checkTable(protocol, 'Parcel', Object.fromEntries(parcels))).toEqual([])
  })

  it('list the traps by number, each with what is done about it', () => {
    const rows = tableRows(readText('docs/TRAPS.md'), 'No.') ?? []
    expect(rows.map(([number]) => number)).toEqual(Array.from({ length: TRAPS }, (_, i) => String(i + 1)))
    for (const row of rows)
      expect(
        row.every((cell) => cell !== ''),
        row.join(' | '),
      ).toBe(true)
  })

  it.each(documents)('%s names only files that exist', (file) => {
    const folder = path.posix.dirname(file)
    const exists = (target: string) => existsSync(path.join(import.meta.dirname, '..', target))
    expect(checkPaths(readText(file), folder === '.' ? '' : folder, exists)).toEqual([])
  })
})
