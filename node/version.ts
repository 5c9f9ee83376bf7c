/** The package's version, read from its own package.json, so that source, build and status agree. */
import { createRequire } from 'node:module'

export function packageVersion(): string {
  const { version } = createRequire(import.meta.url)('meshmq/package.json') as { version: string }
  return version
}
