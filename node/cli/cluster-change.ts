/**
 * `meshmq cluster add|promote|remove|transfer-leader`: asks the leader, whoever it is, and waits until the change is committed.
 */
import type { Command } from 'commander'
import { type ErrorCode, isErrorCode, MeshError } from '../../wire/errors.ts'
import { postAdmin } from './admin-client.ts'
import { printJson, printLine } from './output.ts'
import { parseInteger } from './parse.ts'
import { addSessionOptions, type SessionOptions, serversOf, tokenOf } from './session.ts'

interface ChangeOptions extends SessionOptions {
  readonly json?: boolean
  /** Seconds. */
  readonly timeout: number
}

interface Members {
  readonly voters: readonly string[]
  readonly learners: readonly string[]
  readonly leader?: string
}

const TIMEOUT_S_DEFAULT = 30
const TIMEOUT_S_MAX = 3600

/** From node to node on the way to the leader; it may change meanwhile. */
const HOPS_MAX = 5

/** The node itself answers at its deadline: this is for one that does not. Milliseconds. */
const ANSWER_SPARE_MS = 2_000

export function addClusterChanges(cluster: Command): void {
  const add = cluster
    .command('add <id>')
    .description('add a node as a learner: it gets the log and does not count')
    .option('--promote', 'make it a voter as soon as it has caught up')
  add.addHelpText(
    'after',
    `
The node runs with its own directory, and its address is in the --cluster of every node.`,
  )
  addChangeOptions(add).action((id: string, options: ChangeOptions & { readonly promote?: boolean }) =>
    change('add', { id, promote: options.promote === true }, options),
  )
  addChangeOptions(cluster.command('promote <id>').description('make a learner a voter')).action(
    (id: string, options: ChangeOptions) => change('promote', { id }, options),
  )
  addChangeOptions(cluster.command('remove <id>').description('remove a node from the cluster')).action(
    (id: string, options: ChangeOptions) => change('remove', { id }, options),
  )
  addChangeOptions(
    cluster.command('transfer-leader [id]').description('let another node lead, or the one that has caught up best'),
  ).action((id: string | undefined, options: ChangeOptions) => change('transfer', id ? { to: id } : {}, options))
}

function addChangeOptions(command: Command): Command {
  command
    .option('--json', 'print a JSON object')
    .option('--timeout <s>', 'wait so long, seconds', parseInteger(1, TIMEOUT_S_MAX), TIMEOUT_S_DEFAULT)
  return addSessionOptions(command)
}

async function change(what: string, body: Readonly<Record<string, unknown>>, options: ChangeOptions): Promise<void> {
  const members = await askLeader(`/cluster/${what}`, { ...body, timeoutMs: options.timeout * 1000 }, options)
  if (options.json) return printJson(members)
  await printLine(`leader    ${members.leader ?? '-'}`)
  await printLine(`voters    ${members.voters.join(' ') || '-'}`)
  await printLine(`learners  ${members.learners.join(' ') || '-'}`)
}

/** The first server that answers, then whomever it names. */
async function askLeader(path: string, body: object, options: ChangeOptions): Promise<Members> {
  const timeoutMs = options.timeout * 1000 + ANSWER_SPARE_MS
  const targets = serversOf(options)
  for (let hops = 0; targets.length > 0 && hops < HOPS_MAX; ) {
    const answer = await postAdmin(targets.shift()!, path, body, timeoutMs, tokenOf(options))
    if (answer === undefined) continue
    if (answer.location === undefined) return readMembers(answer)
    hops++
    targets.unshift(answer.location)
  }
  throw new MeshError('Connection', 'no node answered that leads the cluster or knows who does')
}

function readMembers({ ok, value }: { readonly ok: boolean; readonly value: unknown }): Members {
  if (ok) return value as Members
  const { code, message } = (value as { error?: { code?: unknown; message?: unknown } }).error ?? {}
  const known: ErrorCode = isErrorCode(code) ? code : 'Remote'
  throw new MeshError(known, typeof message === 'string' ? message : 'the node refused without a reason')
}
