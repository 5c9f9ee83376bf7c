/**
 * The program as a process runs it, compiled from the sources that are tested, in a folder of its own: the file shim alone, or all of the
 * product, at times with a line of it changed.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'

const root = path.resolve(import.meta.dirname, '../../..')
const SHIM = 'jepsen-lite/files'
const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  rewriteRelativeImportExtensions: true,
  verbatimModuleSyntax: true,
}

/** A line of a source, and what stands there instead. */
export interface Change {
  readonly file: string
  readonly line: string
  readonly instead: string
}

/** Gives the path of the shim's entry. */
export function compileShim(folder: string): string {
  compile(SHIM, folder)
  return path.join(folder, SHIM, 'shim.js')
}

/** Gives the path of the command line's entry. */
export function compileProduct(folder: string, change?: Change): string {
  for (const part of ['raft', 'wire', 'client', 'node']) compile(part, folder, change)
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  return path.join(folder, 'node/cli/main.js')
}

function compile(part: string, folder: string, change?: Change): void {
  for (const entry of readdirSync(path.join(root, part), { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue
    const file = path.relative(root, path.join(entry.parentPath, entry.name))
    const text = changed(file, readFileSync(path.join(root, file), 'utf8'), change)
    const { outputText } = ts.transpileModule(text, { fileName: file, compilerOptions })
    const target = path.join(folder, file.replace(/\.ts$/, '.js'))
    mkdirSync(path.dirname(target), { recursive: true })
    writeFileSync(target, outputText)
  }
  copyFileSync(path.join(root, 'package.json'), path.join(folder, 'package.json'))
}

function changed(file: string, text: string, change: Change | undefined): string {
  if (file !== change?.file) return text
  if (text.split(change.line).length !== 2) throw new Error(`${change.file} does not have exactly one: ${change.line}`)
  return text.replace(change.line, change.instead)
}
