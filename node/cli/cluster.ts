/**
 * `meshmq cluster status`, and the door to the changes (cluster-change.ts): the members as the node that we are connected to sees them, and each member's own word where it
 * can be reached. A dead member is a row, not an error.
 */
import type { Command } from 'commander'
import type { MemberStatus, NodeStatus } from '../admin/index.ts'
import { fetchAdmin } from './admin-client.ts'
import { addClusterChanges } from './cluster-change.ts'
import { printJson, printLine, printTable } from './output.ts'
import { addSessionOptions, type SessionOptions, tokenOf, withClient } from './session.ts'

interface ClusterCommandOptions extends SessionOptions {
  readonly json?: boolean
}

export function addClusterCommands(program: Command): void {
  const cluster = program.command('cluster').description('look at the cluster, change its members')
  const status = cluster
    .command('status')
    .description('show members, leader, log and checkpoints')
    .option('--json', 'print a JSON object')
  addSessionOptions(status).action(showStatus)
  addClusterChanges(cluster)
  cluster.addHelpText(
    'after',
    `
Examples:
  $ meshmq cluster status
  $ meshmq cluster add n4 --promote
  $ meshmq cluster remove n2
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
  const heads = [
    'NODE',
    'STATE',
    'ROLE',
    'LAG',
    'APPLIED',
    'COMMITTED',
    'FIRST',
    'CHECKPOINT',
    'SESSIONS',
    'VERSION',
    'URL',
  ]
  // What a follower lacks only the leader knows.
  const leads = members.find(({ status }) => status?.role === 'leader')?.status
  const rows = members.map((member) => {
    const known = leads?.members.find(({ id }) => id === member.id) ?? member
    return [member.id, stateOf(member), roleOf(known, member.status), lagOf(known, leads), ...logOf(member), member.url]
  })
  await printTable(heads, rows)
}

type Row = MemberStatus & { readonly status: NodeStatus | undefined }

function stateOf({ connected, down, status }: Row): string {
  if (status !== undefined) return status.installing === undefined ? status.role : 'installing'
  return down ? 'down' : connected ? 'silent' : 'unreachable'
}

function roleOf({ role, progress }: MemberStatus, status: NodeStatus | undefined): string {
  const isInDoubt = (status?.doubt ?? progress?.doubt ?? 0) !== 0
  return isInDoubt ? `${role}, in doubt` : role
}

function lagOf({ id, progress }: MemberStatus, leads: NodeStatus | undefined): string | number {
  return id === leads?.node ? 0 : (progress?.lagEntries ?? '-')
}

function logOf({ status }: Row): (string | number)[] {
  if (status === undefined) return ['-', '-', '-', '-', '-', '-']
  const { appliedIndex, commitIndex, firstIndex, checkpointIndex, sessions, version } = status
  return [appliedIndex, commitIndex, firstIndex, checkpointIndex, sessions, version]
}

async function askMember(url: string, token: string | undefined): Promise<NodeStatus | undefined> {
  const answer = await fetchAdmin(url, '/status?stateHash=0', token)
  return answer?.ok ? (answer.value as NodeStatus) : undefined
}
