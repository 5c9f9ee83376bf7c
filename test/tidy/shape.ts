/**
 * The shape of files: short, introduced by a comment, used by somebody, without promises to do it later.
 */
import ts from 'typescript'
import { importsOf, isProduct, type Source, type Sources, where } from './sources.ts'

export const LINES_SOFT = 250
export const LINES_MAX = 400
/** Tests are read story by story, not as a whole. */
export const TEST_LINES_MAX = 800
export const FUNCTION_LINES_MAX = 60

const isTest = (file: string) => file.endsWith('.test.ts')
/** The checks' own tests hold what the checks refuse. */
const isAboutChecks = (file: string) => file.startsWith('test/tidy/')

export function lineCount({ text }: Source): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}

export function checkSizes(sources: Sources): string[] {
  const problems: string[] = []
  for (const source of sources.values()) {
    const lines = lineCount(source)
    const max = source.path.startsWith('test/') ? TEST_LINES_MAX : LINES_MAX
    if (lines > max) problems.push(`${source.path} has ${lines} lines, more than ${max}`)
    if (isProduct(source.path)) problems.push(...longFunctions(source))
  }
  return problems
}

function longFunctions(source: Source): string[] {
  const problems: string[] = []
  const line = (position: number) => source.tree.getLineAndCharacterOfPosition(position).line
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) {
      const lines = line(node.end) - line(node.getStart(source.tree)) + 1
      if (lines > FUNCTION_LINES_MAX) problems.push(`${where(source, node)} is a function of ${lines} lines`)
    }
    ts.forEachChild(node, visit)
  }
  visit(source.tree)
  return problems
}

/** Every file that is read for its own sake opens with a comment that says what it is. A test's names say it. */
export function checkHeaders(sources: Sources): string[] {
  return [...sources.values()]
    .filter(({ path, text }) => !isTest(path) && !/^(#![^\n]*\n)?\/\*\*\s/.test(text))
    .map(({ path }) => `${path} does not open with a header comment`)
}

/** Work left for later belongs into an issue. */
export function checkPromises(sources: Sources): string[] {
  const problems: string[] = []
  for (const { path, text } of sources.values()) {
    const word = /\b(TODO|FIXME|XXX|HACK)\b/.exec(text)
    if (word !== null && !isAboutChecks(path)) problems.push(`${path} says ${word[0]}`)
  }
  return problems
}

/** Properties are drawn from a seed that is fixed, in one place. */
export function checkDice(sources: Sources): string[] {
  return [...sources.values()]
    .filter(({ path }) => path !== 'test/support/property.ts')
    .filter((source) => importsOf(source).some((each) => each.package === 'fast-check'))
    .map(({ path }) => `${path} takes fast-check from elsewhere than test/support/property.ts`)
}

export function checkDefaultExports(sources: Sources): string[] {
  const problems: string[] = []
  for (const source of sources.values()) {
    for (const statement of source.tree.statements) {
      const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined
      const isDefault =
        ts.isExportAssignment(statement) || modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword)
      if (isDefault) problems.push(`${where(source, statement)} is a default export`)
    }
  }
  return problems
}

/** Comments and tests cite the traps of docs/TRAPS.md; a number beyond the list tells nobody anything. */
export function checkTrapNumbers(sources: Sources, trapsMax: number): string[] {
  const problems: string[] = []
  for (const { path, text } of sources.values()) {
    if (isAboutChecks(path)) continue
    for (const [, numbers] of text.matchAll(/\btraps? (\d+(?:(?:, | and |–)\d+)*)/g)) {
      for (const number of numbers!.split(/\D+/)) {
        if (Number(number) < 1 || Number(number) > trapsMax) problems.push(`${path} cites trap ${number}`)
      }
    }
  }
  return problems
}

/** Files that nothing leads to: product files from `doors`, all others from them, the tests and `mains`. */
export function checkDeadFiles(sources: Sources, doors: readonly string[], mains: readonly string[]): string[] {
  const tests = [...sources.keys()].filter(isTest)
  const shipped = reachable(sources, doors)
  const used = reachable(sources, [...doors, ...mains, ...tests])
  return [...sources.keys()]
    .filter((file) => !(isProduct(file) ? shipped : used).has(file))
    .map((file) => `${file} is not reachable from ${isProduct(file) ? 'a door of the package' : 'any test or main'}`)
}

function reachable(sources: Sources, from: readonly string[]): Set<string> {
  const seen = new Set<string>()
  const visit = (file: string): void => {
    const source = sources.get(file)
    if (seen.has(file) || source === undefined) return
    seen.add(file)
    for (const each of importsOf(source)) if (each.file !== undefined) visit(each.file)
  }
  for (const file of from) visit(file)
  return seen
}

/**
 * Functions, classes and constants that a product file exports and no other file takes. What a door of the package exports is
 * for its users, and a type may be exported to describe a signature that others use.
 */
export function checkDeadExports(sources: Sources, doors: readonly string[]): string[] {
  const taken = new Set<string>()
  for (const source of sources.values()) {
    for (const { file, names } of importsOf(source)) for (const name of names) taken.add(`${file} ${name}`)
  }
  const problems: string[] = []
  for (const source of sources.values()) {
    if (!isProduct(source.path) || doors.includes(source.path) || taken.has(`${source.path} *`)) continue
    for (const [name, node] of exportsOf(source)) {
      if (!taken.has(`${source.path} ${name}`)) problems.push(`${where(source, node)} exports ${name} to nobody`)
    }
  }
  return problems
}

function exportsOf(source: Source): [string, ts.Node][] {
  const found: [string, ts.Node][] = []
  for (const statement of source.tree.statements) {
    if (ts.isExportDeclaration(statement) && statement.exportClause && ts.isNamedExports(statement.exportClause)) {
      for (const element of statement.exportClause.elements) {
        if (!statement.isTypeOnly && !element.isTypeOnly) found.push([element.name.text, element])
      }
    }
    const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined
    if (!modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) continue
    if (ts.isVariableStatement(statement)) {
      for (const { name } of statement.declarationList.declarations) {
        if (ts.isIdentifier(name)) found.push([name.text, name])
      }
    } else if ((ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) && statement.name) {
      found.push([statement.name.text, statement.name])
    }
  }
  return found
}
