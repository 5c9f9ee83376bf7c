/**
 * Standard output of the commands: lines, tables, JSON.
 *
 * Never: more in memory than the reader has room for; `printLine` waits until a slow one has read.
 */
import { once } from 'node:events'

/** `meshmq sub … | head -1` closes the pipe when it has seen enough: an end, not an error. */
export function quietBrokenPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      process.exit(0)
    })
  }
}

export async function printLine(line: string): Promise<void> {
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain')
}

/** The end of a command's help. */
export function example(line: string, more = ''): string {
  return `\nExample:\n  $ ${line}${more && `\n\n${more}`}`
}

/** One JSON value on one line. */
export function printJson(value: unknown): Promise<void> {
  return printLine(JSON.stringify(value, replaceForJson))
}

/** Columns as wide as their widest cell; the last one is not padded. */
export function printTable(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): Promise<void> {
  const lines = [heads, ...rows.map((row) => row.map(String))]
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  const format = (line: readonly string[]) => line.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')
  return printLine(lines.map((line) => format(line).trimEnd()).join('\n'))
}

/** A message's body as people read it: text as it is, anything else as JSON. */
export function formatBody(body: unknown): string {
  return typeof body === 'string' ? body : (JSON.stringify(body, replaceForJson) ?? 'undefined')
}

/** MessagePack knows two kinds of value that JSON lacks: bytes are shown in base64, wide integers as text. */
function replaceForJson(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  return typeof value === 'bigint' ? String(value) : value
}
