/**
 * Who may import whom. The table is the architecture in one screen: a folder reaches only what its row names, others reach it only
 * through its door, a package is imported only where its row says, and nothing goes in circles.
 */
import { type Import, importsOf, isIn, isProduct, type Source, type Sources } from './sources.ts'

interface Area {
  /** A folder or a single file. A file belongs to the longest one that holds it. */
  readonly at: string
  /** Areas that its files may import, besides itself. */
  readonly may: readonly string[]
  /** Package → the files and folders of this area that may import it. `node` stands for Node's built-ins. */
  readonly packages?: Readonly<Record<string, readonly string[]>>
  /** If there is one, the only file of the area that other product files may import. */
  readonly door?: string
}

export const areas: readonly Area[] = [
  { at: 'raft', may: [], door: 'raft/index.ts' },
  { at: 'wire', may: [], packages: { msgpackr: ['wire/msgpack.ts'] } },
  { at: 'node/queue', may: ['wire'], door: 'node/queue/index.ts' },
  { at: 'client', may: ['wire'], packages: { ws: ['client/ws-socket.ts'], nanoid: ['client'] } },
]

/** Every violation, as one line each. */
export function checkArrows(sources: Sources, table: readonly Area[] = areas): string[] {
  const problems: string[] = []
  for (const source of sources.values()) {
    if (!isProduct(source.path)) continue
    for (const each of importsOf(source)) {
      const problem =
        each.file === undefined ? packageProblem(source, each, table) : fileProblem(source, each.file, table)
      if (problem !== undefined) problems.push(`${source.path} imports ${each.specifier}: ${problem}`)
    }
  }
  return [...problems, ...checkMissing(sources), ...checkCycles(sources)]
}

function areaOf(file: string, table: readonly Area[]): Area | undefined {
  let best: Area | undefined
  for (const area of table) {
    if (isIn(file, area.at) && area.at.length > (best?.at.length ?? -1)) best = area
  }
  return best
}

function fileProblem(source: Source, file: string, table: readonly Area[]): string | undefined {
  const from = areaOf(source.path, table)
  const to = areaOf(file, table)
  if (from === undefined) return 'the importing file is in no area of the table'
  if (to === undefined) return 'no area of the table holds that file'
  if (from === to) return undefined
  if (!from.may.includes(to.at)) return `${from.at} may not import ${to.at}`
  if (to.door !== undefined && file !== to.door) return `the only door of ${to.at} is ${to.door}`
  return undefined
}

function packageProblem(source: Source, { package: name }: Import, table: readonly Area[]): string | undefined {
  const allowed = areaOf(source.path, table)?.packages?.[name!]
  return allowed?.some((place) => isIn(source.path, place)) ? undefined : `${name} is not for this file`
}

function checkMissing(sources: Sources): string[] {
  const problems: string[] = []
  for (const source of sources.values()) {
    for (const { file, specifier } of importsOf(source)) {
      if (file !== undefined && !sources.has(file)) problems.push(`${source.path} imports ${specifier}: no such file`)
    }
  }
  return problems
}

/** Circles of imports, types included: a circle of types is one design in two files. Each is told once. */
export function checkCycles(sources: Sources): string[] {
  const problems: string[] = []
  const done = new Set<string>()
  const trail: string[] = []
  const visit = (file: string): void => {
    const at = trail.indexOf(file)
    if (at >= 0) problems.push(`an import cycle: ${[...trail.slice(at), file].join(' → ')}`)
    const source = sources.get(file)
    if (at >= 0 || done.has(file) || source === undefined) return
    trail.push(file)
    for (const each of importsOf(source)) if (each.file !== undefined) visit(each.file)
    trail.pop()
    done.add(file)
  }
  for (const file of sources.keys()) visit(file)
  return problems
}
