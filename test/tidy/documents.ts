/**
 * What the documents say is held against the code: tables of codes, limits and frame kinds cell by cell, and every file that
 * they name.
 */

/** The rows of the table whose first header cell is `firstHeader`, cells without back-ticks; undefined without such a table. */
export function tableRows(markdown: string, firstHeader: string): string[][] | undefined {
  const lines = markdown.split('\n')
  const header = lines.findIndex((line) => cellsOf(line)[0] === firstHeader)
  if (header < 0) return undefined
  const rows: string[][] = []
  for (const line of lines.slice(header + 2)) {
    if (!line.startsWith('|')) break
    rows.push(cellsOf(line))
  }
  return rows
}

function cellsOf(line: string): string[] {
  if (!line.startsWith('|')) return []
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('`', ''))
}

/** What a document's table and the code disagree on: `expected` maps a first cell to the cells that follow it. */
export function checkTable(
  markdown: string,
  firstHeader: string,
  expected: Readonly<Record<string, readonly string[]>>,
): string[] {
  const rows = tableRows(markdown, firstHeader)
  if (rows === undefined) return [`there is no table headed '${firstHeader}'`]
  const problems: string[] = []
  const told = new Set<string>()
  for (const [name, ...cells] of rows) {
    told.add(name!)
    const wanted = expected[name!]
    if (wanted === undefined) problems.push(`'${name}' is in the table but not in the code`)
    else {
      wanted.forEach((value, i) => {
        if (cells[i] !== value) problems.push(`${name}: the table says '${cells[i]}', the code '${value}'`)
      })
    }
  }
  for (const name of Object.keys(expected)) if (!told.has(name)) problems.push(`'${name}' is not in the table`)
  return problems
}

/** Files that a document links to or names in back-ticks, and that do not exist. `folder` is the document's own. */
export function checkPaths(markdown: string, folder: string, exists: (file: string) => boolean): string[] {
  const problems: string[] = []
  const join = (file: string) => new URL(file, `file:///${folder === '' ? '' : `${folder}/`}`).pathname.slice(1)
  for (const [, target] of markdown.matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)[^)]*\)/g)) {
    if (!exists(join(target!))) problems.push(`a link to ${target}, which does not exist`)
  }
  const named = /`((?:raft|wire|client|node|test|bench|examples|scripts|docs|\.ci)\/[\w./-]*)`/g
  for (const [, file] of markdown.matchAll(named)) {
    if (!exists(file!)) problems.push(`${file} is named, but does not exist`)
  }
  return problems
}
