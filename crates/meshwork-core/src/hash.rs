//! The state hash: a sum of record hashes, brought up to date for each changed record.
//!
//! A sum does not depend on the order of changes, and a change costs one record, not the whole state.

use crate::ids::{KindNo, NodeNo, PeerNo, TaskNo, WaitNo};
use crate::mutant::Mutant;
use crate::op::PauseReason;
use crate::peer::{Kind, Node, Peer};
use crate::swarm::{Swarm, Wait};
use crate::task::{Outcome, Phase, Task};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const TASK: u64 = 1;
const PEER: u64 = 2;
const NODE: u64 = 3;
const KIND: u64 = 4;
const WAIT: u64 = 5;
const REST: u64 = 6;

impl Swarm {
    /// Hash of the whole state after the last batch. Two swarms at the same position have the same.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// assert_eq!(swarm.state_hash(), swarm.last().hash);
    /// # Ok(())
    /// # }
    /// ```
    pub fn state_hash(&self) -> u64 {
        self.index.hash.wrapping_add(self.rest_hash())
    }

    pub(crate) fn touch(&mut self, no: TaskNo) {
        if self.switch.breaks(Mutant::HashForgotten) {
            return;
        }
        self.agenda.touched.tasks.push(no);
    }

    pub(crate) fn touch_peer(&mut self, no: PeerNo) {
        self.agenda.touched.peers.push(no);
    }

    pub(crate) fn touch_node(&mut self, no: NodeNo) {
        self.agenda.touched.nodes.push(no);
    }

    pub(crate) fn touch_kind(&mut self, no: KindNo) {
        self.agenda.touched.kinds.push(no);
    }

    /// A wait begins.
    pub(crate) fn add_wait(&mut self, no: WaitNo, wait: Wait) {
        self.index.hash = self.index.hash.wrapping_add(wait_hash(no, &wait));
        self.waits.insert(no, wait);
    }

    /// A wait is over, or nobody waits any more.
    pub(crate) fn take_wait(&mut self, no: WaitNo) -> Option<Wait> {
        let wait = self.waits.remove(&no)?;
        self.index.hash = self.index.hash.wrapping_sub(wait_hash(no, &wait));
        Some(wait)
    }

    /// Makes the hashes of all touched records anew.
    pub(crate) fn rehash(&mut self) {
        let mut touched = std::mem::take(&mut self.agenda.touched);
        let mut sum = self.index.hash;
        let mut replace =
            |old: &mut u64, new: u64| sum = sum.wrapping_sub(std::mem::replace(old, new)).wrapping_add(new);
        touched.tasks.sort_unstable();
        touched.tasks.dedup();
        for no in touched.tasks.drain(..) {
            let task = &mut self.tasks[no.index()];
            let new = task_hash(no, task);
            replace(&mut task.hash, new);
        }
        touched.peers.sort_unstable();
        touched.peers.dedup();
        for no in touched.peers.drain(..) {
            let peer = &mut self.peers[no.index()];
            let new = peer_hash(no, peer);
            replace(&mut peer.hash, new);
        }
        touched.nodes.sort_unstable();
        touched.nodes.dedup();
        for no in touched.nodes.drain(..) {
            let node = &mut self.nodes[no.index()];
            let new = node_hash(no, node);
            replace(&mut node.hash, new);
        }
        touched.kinds.sort_unstable();
        touched.kinds.dedup();
        for no in touched.kinds.drain(..) {
            let kind = &mut self.kinds[no.index()];
            let new = kind_hash(no, kind);
            replace(&mut kind.hash, new);
        }
        self.index.hash = sum;
        // The buffers are kept: they are filled again by the next batch.
        self.agenda.touched = touched;
    }

    /// All record hashes from scratch, for `check_invariants` and for snapshots.
    pub(crate) fn hash_from_scratch(&self) -> u64 {
        let tasks = self.tasks().map(|(no, task)| task_hash(no, task));
        let peers = self.peers().map(|(no, peer)| peer_hash(no, peer));
        let nodes = self.nodes.iter().enumerate().map(|(index, node)| node_hash(NodeNo::from_index(index), node));
        let kinds = self.kinds.iter().enumerate().map(|(index, kind)| kind_hash(KindNo::from_index(index), kind));
        let waits = self.waits.iter().map(|(no, wait)| wait_hash(*no, wait));
        tasks.chain(peers).chain(nodes).chain(kinds).chain(waits).fold(0, u64::wrapping_add)
    }

    /// What is not in an array: few enough to be hashed after every batch.
    fn rest_hash(&self) -> u64 {
        let round = self.round.as_ref().map_or([0; 6], |round| {
            let opened = round.opened.as_u64();
            let flags = u64::from(round.sealed) | (round.submitters.len() as u64) << 1;
            [
                u64::from(round.number),
                opened,
                flags,
                u64::from(round.open),
                u64::from(round.ok),
                u64::from(round.failed),
            ]
        });
        let last = self.last_round.map_or([0; 4], |last| {
            [u64::from(last.number), last.at.as_u64(), u64::from(last.ok), u64::from(last.failed)]
        });
        let sums = [
            self.tokens.input,
            self.tokens.output,
            self.reserved,
            u64::from(self.next_wait),
            self.next_ready,
            u64::from(self.version),
            xxh3_64(self.log_id.as_bytes()),
        ];
        let all: Vec<u64> = round.into_iter().chain(last).chain(sums).collect();
        words(REST, &all)
    }
}

fn words(seed: u64, words: &[u64]) -> u64 {
    const MOST: usize = 32;
    assert!(words.len() <= MOST, "a record is hashed in one piece");
    let mut bytes = [0u8; MOST * 8];
    for (slot, word) in bytes.chunks_exact_mut(8).zip(words) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    xxh3_64_with_seed(&bytes[..words.len() * 8], seed)
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn phase_words(phase: Phase) -> [u64; 3] {
    match phase {
        Phase::Blocked => [0, 0, 0],
        Phase::Ready => [1, 0, 0],
        Phase::Backoff { wait } => [2, u64::from(wait.0), 0],
        Phase::Assigned { peer } => [3, u64::from(peer.0), 0],
        Phase::Running { peer, grant } => [4, u64::from(peer.0), grant.as_u64()],
        Phase::Waiting { peer, grant, open } => [5 | u64::from(open) << 8, u64::from(peer.0), grant.as_u64()],
        Phase::InLine { peer, grant } => [6, u64::from(peer.0), grant.as_u64()],
        Phase::Returned => [7, 0, 0],
        Phase::Settled { peer } => [8, u64::from(peer.0), 0],
        Phase::Checking { peer, grant } => [9, u64::from(peer.0), grant.as_u64()],
        Phase::Closed { outcome } => [10, outcome_word(outcome), 0],
        Phase::Reviewing => [11, 0, 0],
    }
}

fn outcome_word(outcome: Outcome) -> u64 {
    Outcome::ALL.iter().position(|other| *other == outcome).map_or(0, |at| at as u64 + 1)
}

fn task_hash(no: TaskNo, task: &Task) -> u64 {
    let [phase, peer, grant] = phase_words(task.phase);
    let flags =
        [task.held, task.verify, task.keeps_number, task.messages_open, task.cancelled, task.check, task.awaited];
    let flags = flags.iter().fold(0u64, |bits, flag| bits << 1 | u64::from(*flag));
    let ending = task.ending.map_or(0, outcome_word);
    words(
        TASK,
        &[
            u64::from(no.0),
            task.content[0],
            task.content[1],
            phase,
            peer,
            grant,
            pair(task.generation, task.round),
            pair(task.parent.map_or(u32::MAX, |no| no.0), task.because.map_or(u32::MAX, |no| no.0)),
            task.adopted_by.as_u64(),
            pair(task.class.0, task.open_dependencies),
            flags << 16 | ending << 8 | u64::from(task.priority),
            pair(task.attempt, task.failures),
            pair(task.crashes, task.interruptions),
            pair(task.deficit, task.children),
            task.last_grant.as_u64(),
            task.returned_at.as_u64(),
            pair(task.returned_by.0, task.review.map_or(0, |terms| terms.of)),
            task.review.map_or(0, |terms| pair(terms.class.0, terms.approvals)),
            task.reviews.map_or(0, |vote| pair(vote.attempt, 1 + u32::from(vote.approves))),
            pair(task.last_peer.0, task.upward),
            task.prefers.map_or(0, |peer| 1 + u64::from(peer.0)),
            task.rank.level,
            pair(task.rank.peers, task.rank.upward),
            task.rank.ready,
            task.reserved,
        ],
    )
}

fn peer_hash(no: PeerNo, peer: &Peer) -> u64 {
    let paused = match peer.paused {
        None => 0,
        Some(PauseReason::Idle) => 1,
        Some(PauseReason::User) => 2,
        Some(PauseReason::Budget) => 3,
        Some(PauseReason::RateLimit) => 4,
        Some(PauseReason::Shutdown) => 5,
    };
    let flags = u64::from(peer.up) << 2 | u64::from(peer.uses_session) << 1 | u64::from(peer.starved);
    let line = peer.line.iter().fold(0u64, |hash, task| hash.rotate_left(7).wrapping_mul(31) ^ (u64::from(task.0) + 1));
    let able = peer.capabilities.iter().fold(0u64, |hash, cap| hash.wrapping_mul(1_000_003) ^ (u64::from(cap.0) + 1));
    words(
        PEER,
        &[
            u64::from(no.0),
            xxh3_64(peer.id.as_bytes()),
            pair(peer.node.0, peer.slots),
            flags << 8 | paused,
            pair(peer.busy, TaskNo::from_index(peer.assigned.len()).0),
            line,
            able,
            peer.token_budget.map_or(0, |budget| budget.wrapping_add(1)),
            peer.tokens.input,
            peer.tokens.output,
            peer.reserved,
            peer.completed,
            peer.failed,
            peer.ran_ms,
        ],
    )
}

fn node_hash(no: NodeNo, node: &Node) -> u64 {
    let starved = node.starved.iter().fold(0u64, |hash, peer| hash.wrapping_mul(31) ^ (u64::from(peer.0) + 1));
    // Not each of them: there may be a million, and `held` is part of their own hashes.
    let last = node.submitting.last().map_or(u32::MAX, |task| task.0);
    let submitting = pair(TaskNo::from_index(node.submitting.len()).0, last);
    words(
        NODE,
        &[
            u64::from(no.0),
            xxh3_64(node.name.as_bytes()),
            node.incarnation.as_u64(),
            u64::from(node.present),
            node.last_seq,
            node.heard.as_u64(),
            pair(node.sessions, node.sessions_held),
            starved,
            submitting,
        ],
    )
}

fn wait_hash(no: WaitNo, wait: &Wait) -> u64 {
    words(WAIT, &[u64::from(no.0), u64::from(wait.task.0), wait.ms])
}

fn kind_hash(no: KindNo, kind: &Kind) -> u64 {
    words(KIND, &[u64::from(no.0), xxh3_64(kind.name.as_bytes()), kind.runs, kind.ran_ms, kind.tokens, kind.reports])
}
