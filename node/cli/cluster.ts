/**
 * `meshmq cluster status`, and the door to the changes (cluster-change.ts): the members, and each member's own word where it can be reached. A
 * dead member is a row, not an error; a cluster without a leader is shown, and is an error.
 */
import type { Command } from 'commander'
import { MeshError } from '../../wire/errors.ts'
import type { MemberStatus, NodeStatus } from '../admin/index.ts'
import { addClusterChanges } from './cluster-change.ts'
import { type ClusterView, type MemberView, viewCluster } from './cluster-view.ts'
import { example, printJson, printLine, printTable } from './output.ts'
import { addSessionOptions, type SessionOptions, serversOf, tokenOf } from './session.ts'

interface ClusterCommandOptions extends SessionOptions {
  readonly json?: boolean
}

export function addClusterCommands(program: Command): void {
  const cluster = program.command('cluster').description('look at the cluster, change its members')
  const status = cluster
    .command('status')
    .description('show members, leader, log and checkpoints')
    .option('--json', 'print a JSON object')
    .addHelpText(
      'after',
      example(
        'meshmq cluster status',
        'LAG counts log entries; FIRST and CHECKPOINT are log indexes. Without a leader it shows what each node says, and exits with 1.',
      ),
    )
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
  const view = await viewCluster(serversOf(options), tokenOf(options))
  const { seen, members, unanswered } = view
  if (options.json) await printJson({ ...seen, members, unanswered })
  else await printStatus(view)
  // Told first: what each node says is what the leader is missed for.
  if (seen.leader === undefined) {
    throw new MeshError('NoQuorum', `no leader is known: ${whatItTakes(view)}`, { outcome: 'not-applied' })
  }
}

/** A cluster begins with all of its members, of one mind about who they are, and goes on with most of them. */
function whatItTakes({ seen, members }: ClusterView): string {
  if (seen.clusterId !== undefined) return 'nothing is confirmed until a majority elects one'
  const all = idsOf(members)
  const reasons = [`the cluster is not founded yet, which takes all of ${all}`]
  for (const { id, status } of members) {
    if (status === undefined) reasons.push(`${id} does not answer`)
    else if (idsOf(status.members) !== all)
      reasons.push(`${id} was started with another list: ${idsOf(status.members)}`)
  }
  return reasons.join('; ')
}

function idsOf(members: readonly MemberStatus[]): string {
  return members
    .map(({ id }) => id)
    .toSorted()
    .join(', ')
}

const heads = [
  'NODE',
  'STATE',
  'ROLE',
  'TERM',
  'LAG',
  'APPLIED',
  'COMMITTED',
  'FIRST',
  'CHECKPOINT',
  'SESSIONS',
  'VERSION',
  'URL',
]

async function printStatus({ seen, members, unanswered }: ClusterView): Promise<void> {
  const leader = seen.leader === undefined ? 'no leader' : `leader ${seen.leader}`
  await printLine(
    `cluster ${seen.clusterName} (${seen.clusterId ?? 'not founded yet'}), ${leader}, term ${seen.term}\n`,
  )
  // What a follower lacks only the leader knows.
  const leads = members.find(({ status }) => status?.role === 'leader')?.status
  const rows = members.map((member) => {
    const known = leads?.members.find(({ id }) => id === member.id) ?? member
    const { term = '-' } = member.status ?? {}
    const place = [member.id, stateOf(member), roleOf(known, member.status), term, lagOf(known, leads)]
    return [...place, ...logOf(member), member.url ?? '-']
  })
  await printTable(heads, rows)
  const strangers = unanswered.filter(({ server }) => !members.some(({ url }) => url === server))
  if (strangers.length > 0) await printLine('')
  for (const { server, why } of strangers) await printLine(`${server}: ${why}`)
}

function stateOf({ connected, down, status }: MemberView): string {
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

function logOf({ status }: MemberView): (string | number)[] {
  if (status === undefined) return ['-', '-', '-', '-', '-', '-']
  const { appliedIndex, commitIndex, firstIndex, checkpointIndex, sessions, version } = status
  return [appliedIndex, commitIndex, firstIndex, checkpointIndex, sessions, version]
}
