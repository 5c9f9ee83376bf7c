/**
 * The file shim as a node loads it: compiled to JavaScript, in a folder of its own, since tests run from the sources.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

const sources = join(import.meta.dirname, '../../../jepsen-lite/files')

/** Gives the path of its entry. */
export function compileShim(folder: string): string {
  mkdirSync(folder, { recursive: true })
  const compilerOptions: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    rewriteRelativeImportExtensions: true,
    verbatimModuleSyntax: true,
  }
  for (const name of readdirSync(sources)) {
    const { outputText } = ts.transpileModule(readFileSync(join(sources, name), 'utf8'), {
      fileName: name,
      compilerOptions,
    })
    writeFileSync(join(folder, name.replace(/\.ts$/, '.js')), outputText)
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  return join(folder, 'shim.js')
}
