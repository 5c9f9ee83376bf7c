/**
 * What an operator can do with a data directory while its node does not run: learn what is wrong with it, and accept what cannot be
 * brought back.
 *
 * A node of a cluster needs none of this as long as the other voters live: it starts in doubt, and the cluster heals it. Accepting is
 * for the only voter of a cluster, and for a cluster that has lost others for good.
 *
 * Never: deletes. What is of no use any more is set aside in the directory, under a name that tells when.
 */
import { join } from 'node:path'
import { InvariantError } from '../../raft/index.ts'
import { Checkpoints } from './checkpoints.ts'
import { ensureDirectory } from './directories.ts'
import { Doubts } from './doubts.ts'
import { IdentityError } from './errors.ts'
import { findMisfit } from './fit.ts'
import { Identity, storedIdentity } from './identity.ts'
import { readLogIdentity, segmentNames } from './log-identity.ts'
import { openLog, openStorage, type StorageOptions, storagePlaces } from './open-storage.ts'
import type { RecoveryReport } from './recovery-report.ts'
import { isSoleVoter } from './sole-voter.ts'
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
    'Accepting sets the store aside. The next start takes the identity from the log and is in doubt until the other voters ' +
    'have vouched for it; checkpoints come from the leader.',
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
  let store: Store
  try {
    store = await options.openStore(storagePlaces(options.dataDir).store)
  } catch (error) {
    if (!(error instanceof IdentityError && error.code === 'StoreDamaged')) throw error
    const accept = () => setAside(options, ['store'])
    return { nodeId: undefined, findings: ['the store cannot be opened'], meaning: meanings.store, accept }
  }
  try {
    return await inspect(options, store)
  } finally {
    await store.close()
  }
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
    return { nodeId, findings, meaning: meanings.owner, accept: () => setAside(options, ['store', 'wal']) }
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
  return { nodeId, findings, meaning, accept: () => accept(options, nodeId, log.soleVoter) }
}

/** Whoever is found here has an incarnation, or the directory is not looked at any further. */
function mintIncarnation(): never {
  throw new InvariantError('a repair mints no incarnation')
}

interface LogFindings {
  readonly findings: readonly string[]
  /** A start would cut or reset something that had been promised. */
  readonly forgets: boolean
  readonly soleVoter: boolean | undefined
}

/** Opens the log as a start would, but goes no further than to what it would ask. */
async function inspectLog(
  options: RepairOptions,
  store: Store,
  identity: Identity,
  checkpoints: Checkpoints,
): Promise<LogFindings> {
  const membership = checkpoints.current?.mark.membership
  let report: RecoveryReport | undefined
  try {
    const wal = await openLog(options, store, identity, checkpoints, async (found) => {
      report = found
      throw new Error('only looked at')
    })
    const recovered = wal.group(options.group).recovered()
    await wal.close()
    const misfit = findMisfit(recovered, checkpoints.current)
    const soleVoter = isSoleVoter(recovered.memberships.at(-1), membership)
    return { findings: misfit ? [misfit.what] : [], forgets: misfit?.forgets === true, soleVoter }
  } catch (error) {
    if (report === undefined) throw error
    return describe(report, isSoleVoter(report.membership, membership))
  }
}

function describe({ torn, damages, forgets }: RecoveryReport, soleVoter: boolean | undefined): LogFindings {
  const findings = damages.map(({ file, offset, what }) => `${file}, offset ${offset}: ${what}`)
  if (torn !== undefined) {
    findings.push(`${torn.file}, offset ${torn.offset}: ${torn.bytes} bytes at the log's end were torn by a crash`)
  }
  return { findings, forgets: soleVoter === true ? damages.length > 0 : forgets, soleVoter }
}

async function accept(options: RepairOptions, nodeId: string, soleVoter: boolean | undefined): Promise<void> {
  const storage = await openStorage({ ...options, nodeId, alone: false, acceptLoss: true, mintIncarnation })
  const { lastIndex } = storage.wal.group(options.group).recovered()
  const isEmpty = lastIndex === 0 && storage.checkpoints.current === undefined
  // An only voter would found a cluster that knows nothing; any other comes back as a new member.
  const isUseless = isEmpty && soleVoter !== false
  if (!isUseless && storage.doubt !== undefined) await storage.clearDoubt(storage.doubt.number)
  await storage.close()
  if (isUseless) await setAside(options, ['store', 'wal'])
}

async function setAside({ files, dataDir, wallNow }: RepairOptions, names: readonly string[]): Promise<void> {
  const lost = join(dataDir, `lost-${Math.floor(wallNow())}`)
  await ensureDirectory(files, lost)
  const present = await files.list(dataDir)
  for (const name of names) if (present.includes(name)) await files.rename(join(dataDir, name), join(lost, name))
  await files.syncDirectory(lost)
  await files.syncDirectory(dataDir)
}
