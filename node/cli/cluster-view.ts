/**
 * What the nodes themselves say about their cluster, asked over HTTP. A client's session needs a leader, and this is asked most when there is
 * none.
 *
 * Never: a picture put together from several nodes. One node's view is shown, the best that there is, and beside it each member's own word.
 */
import { MeshError } from '../../wire/errors.ts'
import type { MemberStatus, NodeStatus } from '../admin/index.ts'
import { fetchAdmin, refusalOf } from './admin-client.ts'

/** A member as the view has it, and its own word; without one it did not answer. */
export type MemberView = MemberStatus & { readonly status: NodeStatus | undefined }

export interface Unanswered {
  readonly server: string
  readonly why: string
}

export interface ClusterView {
  readonly seen: NodeStatus
  readonly members: readonly MemberView[]
  /** Of the servers that were named. */
  readonly unanswered: readonly Unanswered[]
}

/** Rejects with MeshError: Validation, Connection (no server answered), or what a server said when all refused. */
export async function viewCluster(servers: readonly string[], token: string | undefined): Promise<ClusterView> {
  const answers = await Promise.all(servers.map((server) => askStatus(server, token)))
  const heard = new Map<string, NodeStatus>()
  for (const answer of answers) if (!(answer instanceof MeshError)) heard.set(answer.node, answer)
  const unanswered = servers.flatMap((server, i) => {
    const answer = answers[i]
    return answer instanceof MeshError ? [{ server, why: answer.message }] : []
  })
  if (heard.size === 0) throw noneHeard(answers, unanswered)
  await askMembers(heard, token)
  const seen = [...heard.values()].reduce((best, other) => (isBetter(other, best) ? other : best))
  const members = seen.members.map((member) => ({ ...member, status: heard.get(member.id) }))
  return { seen, members, unanswered }
}

/** Adds whomever the servers know and nobody named. */
async function askMembers(heard: Map<string, NodeStatus>, token: string | undefined): Promise<void> {
  const others = new Map<string, string>()
  for (const { id, url } of [...heard.values()].flatMap(({ members }) => members)) {
    // One node may lack an address that another has.
    if (url !== undefined && !heard.has(id)) others.set(id, url)
  }
  const answers = await Promise.all([...others.values()].map((url) => askStatus(url, token)))
  for (const answer of answers) if (!(answer instanceof MeshError)) heard.set(answer.node, answer)
}

async function askStatus(url: string, token: string | undefined): Promise<NodeStatus | MeshError> {
  const answer = await fetchAdmin(url, '/status?stateHash=0', token)
  if (answer === undefined) return new MeshError('Connection', 'no answer')
  return answer.ok ? (answer.value as NodeStatus) : refusalOf(answer)
}

/** Who names a leader knows more than who does not; of two the one in the later term; of one term the leader, who knows how far the others are. */
function isBetter(one: NodeStatus, other: NodeStatus): boolean {
  const leads = ({ leader }: NodeStatus) => Number(leader !== undefined)
  const isLeader = ({ role }: NodeStatus) => Number(role === 'leader')
  return (leads(one) - leads(other) || one.term - other.term || isLeader(one) - isLeader(other)) > 0
}

/** A node that refuses says more than one that is not there. */
function noneHeard(answers: readonly (NodeStatus | MeshError)[], unanswered: readonly Unanswered[]): MeshError {
  const refusal = answers.find((answer) => answer instanceof MeshError && answer.code !== 'Connection')
  const all = unanswered.map(({ server, why }) => `${server}: ${why}`).join('; ')
  return new MeshError(refusal instanceof MeshError ? refusal.code : 'Connection', `no status to be had; ${all}`)
}
