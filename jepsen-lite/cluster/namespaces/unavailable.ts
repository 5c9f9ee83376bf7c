/** Whether nodes can be put into namespaces on this machine. It is tried, since rights and kernels differ in more ways than can be asked for. */
import process from 'node:process'
import type { Impairment } from '../../nemesis.ts'
import { tell } from './commands.ts'
import { NamespaceLinks } from './links.ts'
import { Wires } from './wires.ts'

const TOOLS = [
  ['ip', '-Version'],
  ['nft', '--version'],
  ['nsenter', '--version'],
] as const

const SAMPLES: readonly Impairment[] = [
  { type: 'blackhole' },
  { type: 'reset' },
  { type: 'rate', bytesPerSecond: 8_000 },
]

/** Why they cannot, or undefined. */
export async function namespacesUnavailable(
  platform = process.platform,
  uid = process.getuid?.(),
): Promise<string | undefined> {
  if (platform !== 'linux') return 'network namespaces are of Linux only'
  if (uid !== 0) return 'network namespaces need root'
  for (const tool of TOOLS) {
    const missing = await tell(tool).then(
      () => false,
      () => true,
    )
    if (missing) return `${tool[0]} is not installed`
  }
  return tryOut()
}

async function tryOut(): Promise<string | undefined> {
  try {
    const wires = await Wires.lay(['n1'])
    try {
      const links = new NamespaceLinks(wires)
      for (const sample of SAMPLES) await links.impair(links.clients, 'n1', sample)
      await links.heal()
    } finally {
      wires.remove()
    }
    return undefined
  } catch (error) {
    return `the system refused one: ${
      String((error as Error).message)
        .trim()
        .split('\n')
        .slice(1, 2)
        .join() || error
    }`
  }
}
