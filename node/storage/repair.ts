/**
 * What an operator can do with a data directory while its node does not run: learn what is wrong with it, and accept what cannot be
 * brought back.
 *
 * A node of a cluster needs none of this as long as the other voters live: it starts in doubt, and the cluster heals it. Accepting is
 * for the only voter of a cluster, and for a cluster that has lost others for good.
 *
 * Never: deletes. What is of no use any more is set aside in the directory, under a name that tells when.
 */
import { decodeMembership, type Entry, InvariantError } from '../../raft/index.ts'
import { Checkpoints } from './checkpoints.ts'
import { ensureDirectory } from './directories.ts'
import { Doubts } from './doubts.ts'
import { IdentityError } from './errors.ts'
import { findMisfit } from './fit.ts'
import { Identity, storedIdentity } from './identity.ts'
import { readLogIdentity, segmentNames } from './log-identity.ts'
import { isStoreDamaged, openLog, openStorage, openStore, type StorageOptions, storagePlaces } from './open-storage.ts'
import type { RecoveryReport } from './recovery-report.ts'
import { setAside } from './set-aside.ts'
import { isSoleVoter, newestMembership } from './sole-voter.ts'
import type { Store } from './store.ts'

export interface RepairOptions
  extends Pick<StorageOptions, 'files' | 'dataDir' | 'openStore' | 'group' | 'clock' | 'wallNow' | 'segmentBytes'> {
  /** Without it nothing is changed but what every start changes. */
  readonly acceptLoss: boolean
}

export interface RepairReport {
  /** undefined when nothing tells whose directory it is. */
  readonly nodeId: string | undefined
  /** What is not as the node left it, one sentence each. */
  readonly findings: readonly string[]
  /** What accepting it means; undefined when there is nothing to accept. */
  readonly meaning: string | undefined
  /** It was accepted: the node can be started. */
  readonly accepted: boolean
}

/** What was found, and what would be done on acceptance. */
interface Diagnosis {
  readonly nodeId: string | undefined
  readonly findings: readonly string[]
  readonly meaning?: string
  readonly accept?: () => Promise<void>
}

const meanings = {
  store:
    'Accepting sets the store aside; where there are other voters a start does so, too. The next start takes the identity from the log ' +
    'and is in doubt until the other voters have vouched for it; checkpoints come from the leader. What of an only voter was in its ' +
    'checkpoint alone is lost for good. If nothing is left of it, the whole directory is set aside and the node starts empty.',
  owner:
    'Accepting sets the whole directory aside. The node then starts as a new member without data, and the others give it theirs.',
  soleVoter:
    'The node is the only voter of its cluster: nobody else holds what is damaged. Accepting goes on without it: messages whose bodies ' +
    'are damaged are lost for good, and above the checkpoint the log is cut before the damage, so that all that was acknowledged behind ' +
    'it is lost, too. If nothing is left, the whole directory is set aside and the node starts empty.',
  voter:
    'The other voters hold the data. Start the node: it is in doubt until the cluster has made sure that nothing depends on what it ' +
    'may have forgotten. Accept only if a voter is gone for good and the cluster cannot go on without it: this node then counts at ' +
    'once, and what only it and the lost ones had acknowledged is lost for good.',
}

/** Throws IdentityError (DirectoryInUse: the node runs), DamagedLogError or StorageFailedError. */
export async function repair(options: RepairOptions): Promise<RepairReport> {
  const names = await options.files.list(options.dataDir)
  if (!names.includes('store') && !names.includes('wal')) {
    throw new IdentityError('IdentityMissing', `${options.dataDir} is no node's data directory`)
  }
  const { nodeId, findings, meaning, accept } = await diagnose(options)
  const accepted = options.acceptLoss && accept !== undefined
  if (accepted) await accept()
  return { nodeId, findings, meaning, accepted }
}

async function diagnose(options: RepairOptions): Promise<Diagnosis> {
  try {
    return await diagnoseParts(options)
  } catch (error) {
    if (!isStoreDamaged(error)) throw error
    const accept = () => acceptWithoutStore(options)
    return { nodeId: undefined, findings: ['the store is damaged as a whole'], meaning: meanings.store, accept }
  }
}

async function diagnoseParts(options: RepairOptions): Promise<Diagnosis> {
  const store = await openStore(options)
  try {
    return await inspect(options, store)
  } finally {
    await store.close()
  }
}

/** With the store the checkpoint is gone: what that means for an only voter is accepted in the same go. */
async function acceptWithoutStore(options: RepairOptions): Promise<void> {
  await putAside(options, ['store'])
  const { meaning, accept } = await diagnoseParts(options)
  if (meaning === meanings.soleVoter) await accept?.()
}

async function inspect(options: RepairOptions, store: Store): Promise<Diagnosis> {
  const { files, dataDir, wallNow } = options
  const directory = storagePlaces(dataDir).log
  await ensureDirectory(files, directory)
  const logExists = (await segmentNames(files, directory)).length > 0
  const logIdentity = await readLogIdentity(files, directory)
  const stored = await storedIdentity(store)
  const nodeId = stored === 'damaged' ? logIdentity?.nodeId : (stored ?? logIdentity)?.nodeId
  if (nodeId === undefined) {
    if (stored === undefined && !logExists) return { nodeId, findings: [] }
    const findings = ['nothing tells any more which node the directory belongs to']
    return { nodeId, findings, meaning: meanings.owner, accept: () => putAside(options, ['store', 'wal']) }
  }
  const readIdentity = async () => logIdentity
  const identity = await Identity.open({
    store,
    nodeId,
    wallNow,
    logExists,
    readLogIdentity: readIdentity,
    mintIncarnation,
  })
  return judge(options, store, identity)
}

async function judge(options: RepairOptions, store: Store, identity: Identity): Promise<Diagnosis> {
  const { nodeId, origin } = identity
  const doubts = await Doubts.open(store)
  const checkpoints = await Checkpoints.open(store)
  const log = await inspectLog(options, store, identity, checkpoints)
  const findings: string[] = []
  const { mark } = doubts
  if (mark !== undefined) findings.push(`since ${new Date(mark.at).toISOString()} it is in doubt: ${mark.reason}`)
  if (doubts.isDamaged || origin === 'damaged') findings.push('a record of the store is damaged')
  if (origin === 'missing') findings.push('the store is gone')
  if (checkpoints.damaged) findings.push('the checkpoint is damaged')
  findings.push(...log.findings)
  const isWhole = mark === undefined && origin === 'stored' && !doubts.isDamaged && !log.forgets
  if (isWhole) return { nodeId, findings }
  const meaning = log.soleVoter === true ? meanings.soleVoter : meanings.voter
  return { nodeId, findings, meaning, accept: () => accept(options, nodeId, log) }
}

/** Whoever is found here has an incarnation, or the directory is not looked at any further. */
function mintIncarnation(): never {
  throw new InvariantError('a repair mints no incarnation')
}

interface LogFindings {
  readonly findings: readonly string[]
  /** A start would cut or reset something that had been promised. */
  readonly forgets: boolean
  /** The newest membership that log or checkpoint tell. */
  readonly membership: Entry | undefined
  readonly soleVoter: boolean | undefined
}

/** Opens the log as a start would, but goes no further than to what it would ask. */
async function inspectLog(
  options: RepairOptions,
  store: Store,
  identity: Identity,
  checkpoints: Checkpoints,
): Promise<LogFindings> {
  const told = checkpoints.current?.mark.membership
  const self = { id: identity.nodeId, incarnation: identity.incarnation }
  let report: RecoveryReport | undefined
  try {
    const wal = await openLog(options, store, identity, checkpoints, async (found) => {
      report = found
      throw new Error('only looked at')
    })
    const recovered = wal.group(options.group).recovered()
    await wal.close()
    const misfit = findMisfit(recovered, checkpoints.current)
    const membership = newestMembership(recovered.memberships.at(-1), told)
    const findings = misfit ? [misfit.what] : []
    return { findings, forgets: misfit?.forgets === true, membership, soleVoter: isSoleVoter(self, membership) }
  } catch (error) {
    if (report === undefined) throw error
    const membership = newestMembership(report.membership, told)
    return describe(report, membership, isSoleVoter(self, membership))
  }
}

function describe(
  { torn, damages, forgets }: RecoveryReport,
  membership: Entry | undefined,
  soleVoter: boolean | undefined,
): LogFindings {
  const findings = damages.map(({ file, offset, what }) => `${file}, offset ${offset}: ${what}`)
  if (torn !== undefined) {
    findings.push(`${torn.file}, offset ${torn.offset}: ${torn.bytes} bytes at the log's end were torn by a crash`)
  }
  return { findings, forgets: soleVoter === true ? damages.length > 0 : forgets, membership, soleVoter }
}

async function accept(options: RepairOptions, nodeId: string, { membership, soleVoter }: LogFindings): Promise<void> {
  const storage = await openStorage({ ...options, nodeId, alone: false, acceptLoss: true, mintIncarnation })
  const { lastIndex } = storage.wal.group(options.group).recovered()
  const isEmpty = lastIndex === 0 && storage.checkpoints.current === undefined
  // An only voter that has nothing left begins anew. One of several keeps its name, for which the others' majority may need it: a new
  // member would be none of those voters.
  const isUseless = isEmpty && soleVoter !== false
  if (!isUseless && storage.doubt !== undefined) {
    // Before it counts: a directory that knows no cluster might help to found a second one.
    if (isEmpty && membership !== undefined && storage.identity.clusterId === undefined) {
      await storage.identity.setClusterId(decodeMembership(membership.data).clusterId)
    }
    await storage.clearDoubt(storage.doubt.number)
  }
  await storage.close()
  if (isUseless) await putAside(options, ['store', 'wal'])
}

async function putAside({ files, dataDir, wallNow }: RepairOptions, names: readonly string[]): Promise<void> {
  await setAside(files, dataDir, wallNow(), names)
}
