/**
 * How a node is started so that the file shim is in it.
 */
import { existsSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const SHIM_VARIABLE = 'MESHMQ_FILE_SHIM'

export interface ShimPlace {
  /** Absolute. */
  readonly dataDir: string
  /** Absolute; a folder of its own, the same in each life of the node, best on the same file system. Made if it is missing. */
  readonly journal: string
}

export interface ShimLaunch {
  /** In front of the program's path. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** `shim`: its JavaScript, if not the one of this build. Throws when that was not compiled. */
export function shimLaunch(place: ShimPlace, shim = shimFile()): ShimLaunch {
  return { args: ['--import', pathToFileURL(shim).href], env: { [SHIM_VARIABLE]: JSON.stringify(place) } }
}

/**
 * The shim as JavaScript, whatever this runs as: a node under test is to load nothing that users' nodes do not load, no compiler above all.
 */
function shimFile(): string {
  const here = fileURLToPath(import.meta.url)
  if (extname(here) === '.js') return join(dirname(here), 'shim.js')
  const root = join(dirname(here), '..', '..')
  const compiled = join(root, 'dist/jepsen-lite/files/shim.js')
  if (!existsSync(compiled)) throw new Error(`${compiled} is missing: run npm run build`)
  return compiled
}
