/** The command that does a run again. */
import type { RunSettings } from '../run/result.ts'

/** For a POSIX shell. Every setting is named, so that other defaults do not change the run. */
export function commandOf(settings: RunSettings): string {
  const { workload, nemeses, seconds, seed, nodes, concurrency, rate, bin, network, nodeOptions } = settings
  const options: [string, string | number][] = [
    ['workload', workload],
    ['nemesis', nemeses.join(',') || 'none'],
    ['seconds', seconds],
    ['seed', seed],
    ['nodes', nodes],
    ['concurrency', concurrency],
    ['rate', rate],
    ['bin', bin],
    ['network', network],
  ]
  if (Object.keys(nodeOptions).length > 0) options.push(['node-options', JSON.stringify(nodeOptions)])
  return `npm run jepsen -- ${options.map(([name, value]) => `--${name} ${quoted(String(value))}`).join(' ')}`
}

function quoted(word: string): string {
  return /^[\w./,:@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
