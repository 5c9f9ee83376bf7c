/** Plants a bug in a copy of the build. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Edit, PlantedBug } from './bugs.ts'

/** What does not fit of all patches, without planting them: one line each. */
export function misfits(bugs: readonly PlantedBug[], packageFolder: string): string[] {
  return bugs.flatMap(({ name, edits }) =>
    edits.flatMap(({ file, find, replace }) => {
      try {
        edited(readFileSync(path.join(packageFolder, 'dist', file), 'utf8'), find, replace, file)
        return []
      } catch (error) {
        return [`${name}: ${(error as Error).message}`]
      }
    }),
  )
}

/**
 * Copies the package's build and manifest to `folder`, which lies inside the package so that its dependencies are found, and edits the
 * copy. Returns the copy's program. Throws when an edit does not fit: the bug is not planted, whatever a run would say.
 */
export function plant(edits: readonly Edit[], packageFolder: string, folder: string): string {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  cpSync(path.join(packageFolder, 'package.json'), path.join(folder, 'package.json'))
  cpSync(path.join(packageFolder, 'dist'), path.join(folder, 'dist'), { recursive: true })
  for (const { file, find, replace } of edits) {
    const target = path.join(folder, 'dist', file)
    writeFileSync(target, edited(readFileSync(target, 'utf8'), find, replace, file))
  }
  return path.join(folder, 'dist/node/cli/main.js')
}

/** Throws unless `find` stands in the text exactly once. */
export function edited(text: string, find: string, replace: string, file: string): string {
  const parts = text.split(find)
  if (parts.length !== 2) throw new Error(`the patch of ${file} fits ${parts.length - 1} times: ${find}`)
  return parts.join(replace)
}
