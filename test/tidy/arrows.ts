/**
 * Who may import whom. The table is the architecture in one screen: a folder reaches only what its row names, others reach it only
 * through its door, a package is imported only where its row says, and nothing goes in circles.
 */
import { type Import, importsOf, isIn, isProduct, type Source, type Sources } from './sources.ts'

interface Area {
  readonly name: string
  /** Its folders and files. A file belongs to the area with the longest match. */
  readonly holds: readonly string[]
  /** Names of the areas that its files may import, besides itself. */
  readonly may: readonly string[]
  /** Package → the files and folders of this area that may import it. `node` stands for Node's built-ins. */
  readonly packages?: Readonly<Record<string, readonly string[]>>
  /** If there is one, the only file of the area that other product files may import. */
  readonly door?: string
}

/** Lower areas first: an area reaches only what stands above it in this list. */
export const areas: readonly Area[] = [
  { name: 'raft', holds: ['raft'], may: [], door: 'raft/index.ts' },
  { name: 'wire', holds: ['wire'], may: [], packages: { msgpackr: ['wire/msgpack.ts'] } },
  {
    name: 'client',
    holds: ['client'],
    may: ['wire'],
    packages: { ws: ['client/ws-socket.ts'], node: ['client/ws-socket.ts'], nanoid: ['client'] },
  },
  { name: 'queue', holds: ['node/queue'], may: ['wire'], door: 'node/queue/index.ts' },
  {
    name: 'basics',
    holds: ['node/address.ts', 'node/clock.ts', 'node/config.ts', 'node/logger.ts', 'node/version.ts'],
    may: ['raft', 'wire'],
    packages: {
      node: ['node/address.ts', 'node/clock.ts', 'node/version.ts'],
      pino: ['node/logger.ts'],
      zod: ['node/config.ts'],
    },
  },
  { name: 'socket', holds: ['node/socket.ts'], may: ['raft'], packages: { node: ['node'], ws: ['node'] } },
  { name: 'storage', holds: ['node/storage'], may: ['raft'], packages: { node: ['node'], level: ['node'] } },
  {
    name: 'peers',
    holds: ['node/peers'],
    may: ['raft', 'wire', 'basics', 'socket'],
    packages: {
      node: ['node/peers/handshake.ts', 'node/peers/peer-sockets.ts'],
      ws: ['node/peers/peer-sockets.ts'],
    },
  },
  {
    name: 'group',
    holds: [
      'node/group.ts',
      'node/proposer.ts',
      'node/router.ts',
      'node/stall.ts',
      'node/node-watch.ts',
      'node/bodies.ts',
      'node/disk-space.ts',
      'node/peer-space.ts',
      'node/room.ts',
    ],
    may: ['raft', 'wire', 'queue', 'basics'],
  },
  {
    name: 'membership',
    holds: ['node/membership-keeper.ts', 'node/membership-operations.ts'],
    may: ['raft', 'wire', 'basics', 'peers'],
  },
  {
    name: 'checkpointing',
    holds: ['node/checkpointing'],
    may: ['raft', 'wire', 'queue', 'basics', 'storage', 'peers', 'group'],
  },
  {
    name: 'gateway',
    holds: ['node/gateway', 'node/volatile.ts', 'node/volatile-out.ts', 'node/parting.ts'],
    may: ['raft', 'wire', 'queue', 'basics', 'socket', 'group', 'peers'],
    packages: {
      node: ['node/gateway/client-door.ts', 'node/gateway/hello.ts', 'node/gateway/nonces.ts'],
      ws: ['node/gateway/client-door.ts'],
      zod: ['node'],
    },
  },
  {
    name: 'admin',
    holds: ['node/admin'],
    may: ['raft', 'wire', 'membership'],
    packages: { node: ['node'], 'prom-client': ['node'], zod: ['node/admin/cluster.ts'] },
    door: 'node/admin/index.ts',
  },
  {
    name: 'core',
    holds: ['node/core.ts', 'node/core-options.ts', 'node/report.ts'],
    may: [
      'raft',
      'wire',
      'queue',
      'basics',
      'socket',
      'storage',
      'peers',
      'group',
      'membership',
      'checkpointing',
      'gateway',
      'admin',
    ],
  },
  {
    name: 'server',
    holds: ['node'],
    may: [
      'raft',
      'wire',
      'client',
      'basics',
      'socket',
      'storage',
      'peers',
      'group',
      'checkpointing',
      'gateway',
      'admin',
      'core',
    ],
    packages: { node: ['node'], nanoid: ['node/server.ts'] },
    door: 'node/index.ts',
  },
  {
    // A black box: it knows the SDK, and all else of a node by its CLI and HTTP alone.
    name: 'jepsen-lite',
    holds: ['jepsen-lite'],
    may: ['client'],
    packages: { node: ['jepsen-lite'], commander: ['jepsen-lite/cli.ts', 'jepsen-lite/selftest/main.ts'] },
    door: 'jepsen-lite/index.ts',
  },
  {
    name: 'cli',
    holds: ['node/cli'],
    may: ['wire', 'client', 'basics', 'admin', 'server', 'jepsen-lite'],
    packages: { node: ['node'], commander: ['node'] },
  },
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
  let length = 0
  for (const area of table) {
    for (const place of area.holds) {
      if (!isIn(file, place) || place.length <= length) continue
      best = area
      length = place.length
    }
  }
  return best
}

function fileProblem(source: Source, file: string, table: readonly Area[]): string | undefined {
  const from = areaOf(source.path, table)
  const to = areaOf(file, table)
  if (from === undefined) return 'the importing file is in no area of the table'
  if (to === undefined) return 'no area of the table holds that file'
  if (from === to) return undefined
  if (!from.may.includes(to.name)) return `${from.name} may not import ${to.name}`
  if (to.door !== undefined && file !== to.door) return `the only door of ${to.name} is ${to.door}`
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
