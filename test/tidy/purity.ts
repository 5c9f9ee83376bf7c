/**
 * Pure files hold no clock, dice, socket, disk, process or promise: same state and same input give the same output, on every
 * replica and in every replay (trap 31). Judged by the syntax tree, so that a comment may speak of what the code must not do.
 */
import ts from 'typescript'
import { isIn, type Source, type Sources, where } from './sources.ts'

const pureFolders = ['raft', 'wire', 'node/queue']
/** The one file of raft/ that waits; everything that it waits on is a port. */
const impure = ['raft/driver.ts']
/** A port may say that its implementation answers later; whoever calls it is not pure. */
const promisesInTypes = ['raft/ports.ts']

const forbidden = new Set([
  ...['Date', 'performance', 'process', 'Promise', 'fetch', 'crypto', 'console', 'Buffer', 'require', 'globalThis'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'structuredClone', 'AbortSignal', 'WebSocket'],
  // Settings of the machine that it runs on.
  ...['Intl', 'navigator'],
])
/** Members that answer by the machine's locale. */
const forbiddenMembers = new Set(['localeCompare', 'toLocaleString', 'toLocaleLowerCase', 'toLocaleUpperCase'])

export function isPure(file: string): boolean {
  return pureFolders.some((folder) => isIn(file, folder)) && !impure.includes(file)
}

/** Every violation, as one line each. Imports are the arrows' concern. */
export function checkPurity(sources: Sources): string[] {
  return [...sources.values()].filter(({ path }) => isPure(path)).flatMap(impurities)
}

function impurities(source: Source): string[] {
  const problems: string[] = []
  const add = (node: ts.Node, what: string) => problems.push(`${where(source, node)} is to be pure but has ${what}`)
  const visit = (node: ts.Node): void => {
    if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier !== undefined))
      add(node, 'await')
    if (node.kind === ts.SyntaxKind.AsyncKeyword) add(node, 'async')
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node, 'import()')
    if (ts.isMetaProperty(node)) add(node, 'import.meta')
    if (ts.isPropertyAccessExpression(node) && forbiddenMembers.has(node.name.text)) add(node, node.name.text)
    if (ts.isIdentifier(node) && node.text === 'Math' && !isMathWithoutDice(node.parent)) add(node, 'Math.random')
    if (ts.isIdentifier(node) && isFree(node) && forbidden.has(node.text) && !isAllowedType(source, node))
      add(node, node.text)
    ts.forEachChild(node, visit)
  }
  visit(source.tree)
  return problems
}

/** Stands for a variable or a type, not for a member of something (`message.process`, `{ process: 1 }`). */
function isFree(node: ts.Identifier): boolean {
  const parent = node.parent
  if (ts.isPropertyAccessExpression(parent)) return parent.name !== node
  if (ts.isQualifiedName(parent)) return parent.right !== node
  const named =
    ts.isPropertyAssignment(parent) ||
    ts.isPropertySignature(parent) ||
    ts.isPropertyDeclaration(parent) ||
    ts.isMethodSignature(parent) ||
    ts.isMethodDeclaration(parent) ||
    ts.isAccessor(parent)
  return !(named && parent.name === node)
}

/** `Math.floor` and the like. `random` as a name of its own is fine: pure code gets its dice as a function. */
function isMathWithoutDice(parent: ts.Node): boolean {
  return ts.isPropertyAccessExpression(parent) && parent.name.text !== 'random'
}

function isAllowedType(source: Source, node: ts.Identifier): boolean {
  return node.text === 'Promise' && ts.isTypeReferenceNode(node.parent) && promisesInTypes.includes(source.path)
}
