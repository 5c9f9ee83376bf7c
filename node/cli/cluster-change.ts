/**
 * `meshmq cluster add|promote|remove|transfer-leader`: asks the leader, whoever it is, and waits until the change is committed.
 */
import type { Command } from 'commander'
import { MeshError } from '../../wire/errors.ts'
import { fetchAdmin, postAdmin, refusalOf } from './admin-client.ts'
import { example, printJson, printLine } from './output.ts'
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

/** Between two rounds while nobody knows a leader, milliseconds. */
const ROUND_PAUSE_MS = 200

/** The node itself answers at its deadline: this is for one that does not. Milliseconds. */
const ANSWER_SPARE_MS = 2_000

export function addClusterChanges(cluster: Command): void {
  const add = cluster
    .command('add')
    .description('add a node as a learner: it gets the log and does not count')
    .argument('<id>', 'name of the node')
    .option('--promote', 'make it a voter as soon as it has caught up')
    .addHelpText('after', example('meshmq cluster add n4 --promote --timeout 600', aboutAdd))
  addChangeOptions(add).action((id: string, options: ChangeOptions & { readonly promote?: boolean }) =>
    change('add', { id, promote: options.promote === true }, options),
  )
  const promote = cluster
    .command('promote')
    .description('make a learner a voter, as soon as it has caught up')
    .argument('<id>', 'name of the learner')
    .addHelpText('after', example('meshmq cluster promote n4'))
  addChangeOptions(promote).action((id: string, options: ChangeOptions) => change('promote', { id }, options))
  const remove = cluster
    .command('remove')
    .description('remove a node from the cluster, alive or dead')
    .argument('<id>', 'name of the node')
    .addHelpText('after', example('meshmq cluster remove n2', 'It is no member from then on, and has to be stopped.'))
  addChangeOptions(remove).action((id: string, options: ChangeOptions) => change('remove', { id }, options))
  const transfer = cluster
    .command('transfer-leader')
    .description('hand leadership over to another voter')
    .argument('[id]', 'name of that voter; without it the one that has caught up best')
    .addHelpText('after', example('meshmq cluster transfer-leader n3'))
  addChangeOptions(transfer).action((id: string | undefined, options: ChangeOptions) =>
    change('transfer', id ? { to: id } : {}, options),
  )
}

const aboutAdd = `The node has to run, with a directory of its own, and its address has to be in the --cluster of every node.
With --promote the command may be run again after a timeout: it goes on from there.`

function addChangeOptions(command: Command): Command {
  command
    .option('--json', 'print a JSON object')
    .option('--timeout <s>', 'give up after so many seconds', parseInteger(1, TIMEOUT_S_MAX), TIMEOUT_S_DEFAULT)
  return addSessionOptions(command)
}

async function change(what: string, body: Readonly<Record<string, unknown>>, options: ChangeOptions): Promise<void> {
  const members = await askLeader(`/cluster/${what}`, body, options)
  if (options.json) return printJson(members)
  await printLine(`leader    ${members.leader ?? '-'}`)
  await printLine(`voters    ${members.voters.join(' ') || '-'}`)
  await printLine(`learners  ${members.learners.join(' ') || '-'}`)
}

/**
 * The servers in turn, until one of them leads or knows who does. Whoever knows no leader may have been removed: the others are asked. In an
 * election nobody knows one, so all are asked again until the deadline.
 */
async function askLeader(path: string, body: object, options: ChangeOptions): Promise<Members> {
  const deadlineMs = performance.now() + options.timeout * 1000
  for (;;) {
    let leaderless: MeshError | undefined
    for (const server of serversOf(options)) {
      const timeoutMs = Math.max(1, Math.ceil(deadlineMs - performance.now()))
      const answer = await askThrough(server, path, { ...body, timeoutMs }, timeoutMs, tokenOf(options))
      if (answer instanceof MeshError) leaderless = answer
      else if (answer !== undefined) return answer
    }
    if (leaderless === undefined) {
      throw new MeshError('Connection', 'no node answered that leads the cluster or knows who does')
    }
    if (performance.now() >= deadlineMs) throw leaderless
    await new Promise((resolve) => setTimeout(resolve, ROUND_PAUSE_MS))
  }
}

/** Undefined when the server does not answer; an error when it leads to no leader, so that nothing was done and others may be asked. */
async function askThrough(
  server: string,
  path: string,
  body: object,
  timeoutMs: number,
  token: string | undefined,
): Promise<Members | MeshError | undefined> {
  let target = server
  for (let hops = 0; hops < HOPS_MAX; hops++) {
    // A process that hangs takes the connection and never answers: it may not use up the time of the others.
    if ((await fetchAdmin(target, '/livez')) === undefined) {
      return hops === 0 ? undefined : noLeader(`the leader that ${server} names does not answer`)
    }
    const answer = await postAdmin(target, path, body, timeoutMs + ANSWER_SPARE_MS, token)
    if (answer === undefined) {
      throw new MeshError('Connection', `${target} broke off: the change may yet come to be, ask for the status`)
    }
    if (answer.ok) return answer.value as Members
    if (answer.location === undefined) {
      const refusal = refusalOf(answer)
      // A leader whose change has not been confirmed yet says NoQuorum too: that must not be asked for twice.
      if (refusal.code === 'NoQuorum' && refusal.outcome === 'not-applied') return refusal
      throw refusal
    }
    target = answer.location
  }
  return noLeader(`the nodes from ${server} on name one another as the leader`)
}

function noLeader(why: string): MeshError {
  return new MeshError('NoQuorum', why, { outcome: 'not-applied' })
}
