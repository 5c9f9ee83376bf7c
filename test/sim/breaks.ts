/**
 * Bugs to plant: each breaks one rule of Raft or of the log by a line or two, as a careless change would. Where an assertion in
 * the sources would notice the break by itself, it is taken out too, so that the simulator has to.
 *
 * Never: applied to the sources themselves (bundle.ts).
 */

export interface Edit {
  /** From the repository's root. */
  readonly file: string
  /** Must stand there exactly once. */
  readonly find: string
  readonly replace: string
}

export interface PlantedBreak {
  readonly name: string
  /** Which rule is broken, and who wrote it down. */
  readonly rule: string
  readonly edits: readonly Edit[]
}

function planted(
  name: string,
  rule: string,
  ...edits: readonly (readonly [file: string, find: string, replace: string])[]
) {
  return { name, rule, edits: edits.map(([file, find, replace]) => ({ file, find, replace })) }
}

const elections: readonly PlantedBreak[] = [
  planted(
    'vote twice in a term',
    '§5.2: each server votes for at most one candidate in a given term',
    ['raft/follower.ts', 'if (binds && !isVoteFree(state, message)) return false', ''],
    ['raft/state.ts', 'invariant(given === candidate.id, () =>', 'invariant(given !== undefined, () =>'],
  ),
  planted('forget the vote in a crash', 'figure 2: votedFor is persistent', [
    'raft/state.ts',
    "this.#vote = termSeen > hardState.term ? '' : hardState.vote",
    "this.#vote = ''",
  ]),
  planted('forget the term in a crash', 'figure 2: currentTerm is persistent', [
    'raft/state.ts',
    'this.#term = Math.max(hardState.term, termSeen)',
    'this.#term = this.log.lastTerm',
  ]),
  planted(
    'count the own vote before it is synced',
    'trap 4, for votes',
    [
      'raft/candidate.ts',
      '  state.becomeCandidate()\n  requestVotes(state, {})',
      '  state.becomeCandidate()\n  voteForSelf(state)\n  requestVotes(state, {})',
    ],
    ['raft/outbox.ts', "if (message.type === 'voteRequest') return !message.pre\n", ''],
  ),
  planted('vote for a log that is behind', '§5.4.1: the election restriction', [
    'raft/follower.ts',
    'return state.log.isUpToDate(message.lastIndex, message.lastTerm)',
    'return true',
  ]),
  planted('compare logs by length alone', '§5.4.1: the later last term is more up-to-date', [
    'raft/log.ts',
    'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.#lastIndex)',
    'return lastTerm >= 0 && lastIndex >= this.#lastIndex',
  ]),
  planted('elect with less than a majority', '§5.2: votes from a majority', [
    'raft/quorum.ts',
    'const majority = Math.floor(members.length / 2) + 1',
    'const majority = Math.floor(members.length / 2)',
  ]),
  planted('campaign without a pre-vote', 'dissertation §9.6, trap 7', [
    'raft/candidate.ts',
    '  requestVotes(state, { isPre: true })\n  concludePreVote(state)',
    '  state.becomeCandidate()\n  requestVotes(state, {})',
  ]),
  planted('vote while the leader is alive', 'dissertation §4.2.3, trap 8', [
    'raft/raft.ts',
    '      if (state.inLease && message.transfer === undefined) return false\n',
    '',
  ]),
  planted('lead on without a quorum', 'dissertation §6.2, trap 8', [
    'raft/leader.ts',
    'if (state.ticks - heard > state.tuning.electionTicks)',
    'if (state.ticks - heard > 1e9)',
  ]),
  planted('ignore that the leader is dead', 'a refused redial is evidence', [
    'raft/raft.ts',
    'else if (state.leader === id) state.forgetLeader()',
    '',
  ]),
  planted(
    'count an emptied directory as the member that it was',
    'trap 19: forgotten promises bind nobody',
    ['raft/raft.ts', 'if (message.toIncarnation === incarnation) return true', 'return true'],
    [
      'raft/raft.ts',
      'if (!this.#isForUs(message) || this.#isFromImpostor(message)) return',
      'if (!this.#isForUs(message)) return',
    ],
    [
      'raft/membership.ts',
      'return one.id === other.id && one.incarnation === other.incarnation',
      'return one.id === other.id',
    ],
  ),
]

const replication: readonly PlantedBreak[] = [
  planted('commit an older term by counting', '§5.4.2, figure 8, trap 3', [
    'raft/leader.ts',
    'if (index <= log.commitIndex || index < state.leadIndex) return',
    'if (index <= log.commitIndex) return',
  ]),
  planted('commit with less than a majority', '§5.3: stored on a majority', [
    'raft/quorum.ts',
    'if (count > half) reached = value',
    'if (count > half - 1) reached = value',
  ]),
  planted('skip the check of the previous entry', '§5.3: the consistency check', [
    'raft/follower.ts',
    'return log.termAt(prevIndex) === prevTerm',
    'return log.termAt(prevIndex) !== undefined',
  ]),
  planted('keep entries that conflict', 'figure 2, AppendEntries rule 3', [
    'raft/log.ts',
    'this.termAt(entry.index) !== entry.term && entry.index > this.#baseIndex,',
    'this.termAt(entry.index) === undefined && entry.index > this.#baseIndex,',
  ]),
  planted(
    'cut what a late append does not mention',
    'figure 2, AppendEntries rule 3: only a conflict cuts',
    ['raft/log.ts', 'return differing === -1 ? entries.length : differing', 'return Math.min(0, differing)'],
    ['raft/log.ts', 'invariant(index > this.#commitIndex, () =>', 'invariant(index > 0, () =>'],
  ),
  planted('commit beyond what the append has matched', 'figure 2, AppendEntries rule 5', [
    'raft/follower.ts',
    'Math.min(message.commit, last)',
    'Math.min(message.commit, log.lastIndex)',
  ]),
  planted(
    'tell every follower the whole commit index in heartbeats',
    'trap 6',
    ['raft/leader.ts', 'const commit = Math.min(progress.matchIndex, commitIndex)', 'const commit = commitIndex'],
    ['raft/follower.ts', '(message.commit)', '(Math.min(message.commit, state.log.lastIndex))'],
  ),
  planted('never notice that a whole window was lost', 'trap 14', [
    'raft/leader.ts',
    'if (isWaiting && isEndKnown) sendAppend(state, progress, [])',
    '',
  ]),
  planted('read without asking a quorum', 'dissertation §6.4, trap 10', [
    'raft/leader.ts',
    'state.reads.confirm(round,',
    'state.reads.confirm(Math.max(round, state.reads.lastRound),',
  ]),
  planted('read before an entry of the own term is committed', 'dissertation §6.4, trap 10', [
    'raft/leader.ts',
    'return state.reads.hasWaiting && state.log.commitIndex >= state.leadIndex',
    'return state.reads.hasWaiting',
  ]),
]

const durability: readonly PlantedBreak[] = [
  planted('answer before the sync', 'trap 1', [
    'raft/outbox.ts',
    'if (promises(message)) this.messagesAfterSync.push(message)',
    'if (promises(message) && this.messages.length < 0) this.messagesAfterSync.push(message)',
  ]),
  planted('count the leader before its own sync', 'trap 4', [
    'raft/leader.ts',
    'quorumOf(state, log.persistedIndex,',
    'quorumOf(state, log.lastIndex,',
  ]),
  planted('lose the vote on the way to the disk', 'figure 2: votedFor is persistent', [
    'node/storage/pending-append.ts',
    'return Buffer.from(vote)',
    "return Buffer.from('')",
  ]),
  planted('resolve an append before it is written', 'the log: a resolved append survives every crash', [
    'node/storage/wal.ts',
    'await this.#writer.write(buffers, batchBytes)',
    'void this.#writer.write(buffers, batchBytes)',
  ]),
  planted('take a failed write for a good one', 'trap 21', [
    'node/storage/wal.ts',
    '    } catch (error) {\n      this.#fail(error)\n    }\n    // In the same turn',
    '    } catch {\n      for (const append of this.#underWay) append.resolve()\n    }\n    // In the same turn',
  ]),
  planted('drop the last batch at a start', 'trap 22', [
    'node/storage/log-scan.ts',
    'for (const batch of walkBatches(bytes, seed)) {\n      if (last',
    'for (const batch of walkBatches(bytes, seed)) {\n      if (endOfContent(bytes, batch.end) === batch.end) break\n      if (last',
  ]),
  planted('take a torn body for a whole one', 'trap 23', [
    'node/storage/record.ts',
    'return crc32(body) === header.bodyChecksum ? body : undefined',
    'return body',
  ]),
  planted('use a file whose name is not synced', 'trap 25', [
    'node/storage/segment-preparation.ts',
    '    await files.syncDirectory(directory)\n',
    '',
  ]),
]

const checkpoints: readonly PlantedBreak[] = [
  planted(
    'take what was forgotten for a conflict',
    'trap 29',
    [
      'raft/log.ts',
      'this.termAt(entry.index) !== entry.term && entry.index > this.#baseIndex,',
      'this.termAt(entry.index) !== entry.term,',
    ],
    ['raft/log.ts', 'invariant(index > this.#commitIndex, () =>', 'invariant(index > 0, () =>'],
  ),
  planted('tell of an install before it is synced', 'trap 1', [
    'raft/driver.ts',
    '      this.#writes.push({ token, messages: messagesAfterSync })\n',
    '      if (reset !== undefined) for (const message of messagesAfterSync) this.#transport.send(message)\n' +
      '      this.#writes.push({ token, messages: reset === undefined ? messagesAfterSync : [] })\n',
  ]),
  planted('apply what was read before an install', '§7: the checkpoint reflects it already', [
    'raft/driver.ts',
    '        if (installs !== this.#installs) return\n',
    '',
  ]),
  planted('send entries that the log has forgotten', '§7: the peer needs a checkpoint', [
    'raft/leader.ts',
    'if (progress.nextIndex <= Math.max(log.baseIndex, progress.unreadableIndex)) {',
    'if (progress.nextIndex < 0) {',
  ]),
  planted('leave an emptied log on the disk as it was', '§7: the log goes on behind the checkpoint', [
    'node/storage/group-log.ts',
    'head: encodeBase(base),',
    'head: undefined,',
  ]),
]

export const breaks: readonly PlantedBreak[] = [...elections, ...replication, ...durability, ...checkpoints]
