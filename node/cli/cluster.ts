/**
 * `meshmq cluster status`: the members as the node that we are connected to sees them, and each member's own word where it
 * can be reached. A dead member is a row, not an error.
 */
import type { Command } from 'commander'
import type { NodeStatus } from '../admin/index.ts'
import { fetchAdmin } from './admin-client.ts'
import { printJson, printLine, printTable } from './output.ts'
import { addSessionOptions, type SessionOptions, tokenOf, withClient } from './session.ts'

interface ClusterCommandOptions extends SessionOptions {
  readonly json?: boolean
}

export function addClusterCommands(program: Command): void {
  const cluster = program.command('cluster').description('look at the cluster')
  const status = cluster
    .command('status')
    .description('show members, leader and log')
    .option('--json', 'print a JSON object')
  addSessionOptions(status).action(showStatus)
  cluster.addHelpText(
    'after',
    `
Examples:
  $ meshmq cluster status
  $ meshmq cluster status --json | jq .leader`,
  )
}

async function showStatus(options: ClusterCommandOptions): Promise<void> {
  const seen = (await withClient(options, (client) => client.admin.cluster())) as unknown as NodeStatus
  const members = await Promise.all(
    seen.members.map(async (member) => {
      const own = member.id === seen.node ? seen : await askMember(member.url, tokenOf(options))
      return { ...member, status: own }
    }),
  )
  if (options.json) return printJson({ ...seen, members })
  const leader = seen.leader === undefined ? 'no leader' : `leader ${seen.leader}`
  await printLine(
    `cluster ${seen.clusterName} (${seen.clusterId ?? 'not founded yet'}), ${leader}, term ${seen.term}\n`,
  )
  const rows = members.map(({ id, url, connected, down, status }) => {
    const state = status === undefined ? (down ? 'down' : connected ? 'silent' : 'unreachable') : status.role
    const log = status === undefined ? ['-', '-', '-'] : [status.appliedIndex, status.commitIndex, status.sessions]
    return [id, state, ...log, status?.version ?? '-', url]
  })
  await printTable(['NODE', 'STATE', 'APPLIED', 'COMMITTED', 'SESSIONS', 'VERSION', 'URL'], rows)
}

async function askMember(url: string, token: string | undefined): Promise<NodeStatus | undefined> {
  const answer = await fetchAdmin(url, '/status?stateHash=0', token)
  return answer?.ok ? (answer.value as NodeStatus) : undefined
}
