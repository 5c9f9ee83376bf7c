/**
 * The source tree as the tidy checks see it: paths, texts and syntax trees, read once. The checks take any such tree, so
 * their own tests hand them small ones that break a rule.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'

export interface Source {
  /** From the root of the repository, with `/`. */
  readonly path: string
  readonly text: string
  readonly tree: ts.SourceFile
}

export type Sources = ReadonlyMap<string, Source>

/** What a file says about another: `import`, `export … from` and `import()`. */
export interface Import {
  readonly specifier: string
  /** The file's path for a relative specifier, whether it exists or not; undefined for a package. */
  readonly file: string | undefined
  /** `node` for any Node built-in, the package's name otherwise; undefined for a file. */
  readonly package: string | undefined
  /** Names taken; `*` for all of them. */
  readonly names: readonly string[]
}

const repository = path.resolve(import.meta.dirname, '../..')
export const productFolders = ['raft', 'wire', 'client', 'node', 'jepsen-lite']
const folders = [...productFolders, 'test', 'bench', 'examples', 'scripts']

export function readSources(): Sources {
  const sources = new Map<string, Source>()
  for (const folder of folders) {
    for (const entry of readdirSync(path.join(repository, folder), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(ts|js)$/.test(entry)) continue
      const file = path.posix.join(folder, entry.split(path.sep).join('/'))
      sources.set(file, parse(file, readText(file)))
    }
  }
  return sources
}

/** A tree made up for a test: path → text. */
export function sourcesOf(texts: Readonly<Record<string, string>>): Sources {
  return new Map(Object.entries(texts).map(([file, text]) => [file, parse(file, text)]))
}

/** A file of the repository that is no source. */
export function readText(file: string): string {
  return readFileSync(path.join(repository, file), 'utf8')
}

export function isProduct(file: string): boolean {
  return productFolders.some((folder) => isIn(file, folder))
}

export function isIn(file: string, folder: string): boolean {
  return file === folder || file.startsWith(`${folder}/`)
}

function parse(file: string, text: string): Source {
  return { path: file, text, tree: ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true) }
}

export function importsOf(source: Source): Import[] {
  const found: Import[] = []
  const add = (specifier: ts.Node, names: readonly string[]) => {
    if (ts.isStringLiteralLike(specifier)) found.push(describe(source.path, specifier.text, names))
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, importedNames(node.importClause))
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
      add(node.moduleSpecifier, reexportedNames(node))
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      if (node.arguments[0] !== undefined) add(node.arguments[0], ['*'])
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, ['*'])
    ts.forEachChild(node, visit)
  }
  visit(source.tree)
  return found
}

function describe(from: string, specifier: string, names: readonly string[]): Import {
  if (specifier.startsWith('.')) {
    const file = path.posix.join(path.posix.dirname(from), specifier)
    return { specifier, file, package: undefined, names }
  }
  const parts = specifier.split('/')
  const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!
  return { specifier, file: undefined, package: specifier.startsWith('node:') ? 'node' : name, names }
}

function importedNames(clause: ts.ImportClause | undefined): string[] {
  if (clause === undefined) return []
  const names = clause.name === undefined ? [] : ['default']
  const bindings = clause.namedBindings
  if (bindings === undefined) return names
  if (ts.isNamespaceImport(bindings)) return [...names, '*']
  return [...names, ...bindings.elements.map((element) => (element.propertyName ?? element.name).text)]
}

function reexportedNames(node: ts.ExportDeclaration): string[] {
  if (node.exportClause === undefined || ts.isNamespaceExport(node.exportClause)) return ['*']
  return node.exportClause.elements.map((element) => (element.propertyName ?? element.name).text)
}

/** `file:line` of a node, as editors understand it. */
export function where(source: Source, node: ts.Node): string {
  return `${source.path}:${source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree)).line + 1}`
}
