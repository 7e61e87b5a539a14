//! What the view keeps beside the state machine: times, texts and attempts, in arrays by number.

use super::events::TraceId;
use meshwork_core::{AttemptOutcome, DownReason, Grant, NodeNo, PeerNo, Position, TaskNo};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Texts up to this many bytes are kept: what a screen shows. Larger ones are read again from the log.
pub(super) const TEXT_BYTES_KEPT: usize = 4 * 1024;
/// All texts together, in bytes: a view of 1,000,000 talkative tasks still fits beside its swarm.
pub(super) const TEXTS_BYTES_KEPT: usize = 256 * 1024 * 1024;
/// Rejected results of a task that are kept: what the swarm keeps.
const REJECTED_KEPT: usize = 16;
/// No attempt.
const NONE: u32 = u32::MAX;

/// A text, or where it lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Text {
    #[default]
    Absent,
    Here(Box<str>),
    InLog {
        at: Position,
        bytes: u32,
    },
}

/// What came out of a task.
#[derive(Clone, Debug, Default)]
pub(super) enum Product {
    #[default]
    Absent,
    Json(Text),
    Artifact(Box<(String, u64)>),
}

#[derive(Clone, Debug)]
pub(super) struct TaskRecord {
    pub(super) created_ms: u64,
    /// When it came to the peer that it waits at or ran on last.
    pub(super) assigned: Option<(PeerNo, u64)>,
    pub(super) closed_ms: Option<u64>,
    pub(super) trace: TraceId,
    pub(super) description: Text,
    pub(super) result: Product,
    /// It returned ok and its messages are not all acknowledged.
    pub(super) messages_open: bool,
    last_attempt: u32,
}

impl Default for TaskRecord {
    fn default() -> Self {
        Self {
            created_ms: 0,
            assigned: None,
            closed_ms: None,
            trace: TraceId::default(),
            description: Text::Absent,
            result: Product::Absent,
            messages_open: false,
            last_attempt: NONE,
        }
    }
}

/// One attempt that was granted.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) task: TaskNo,
    pub(super) number: u32,
    pub(super) peer: PeerNo,
    pub(super) grant: Grant,
    pub(super) assigned_ms: u64,
    pub(super) granted_ms: u64,
    pub(super) started_ms: Option<u64>,
    pub(super) ended_ms: Option<u64>,
    /// How long it ran: by its node's word, else by the log's times.
    pub(super) ran_ms: u64,
    /// How long of that it had no slot, because it waited for its children.
    pub(super) waited_ms: u64,
    pub(super) outcome: Option<AttemptOutcome>,
    pub(super) error: Text,
    pub(super) tokens: u64,
    previous: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct PeerRecord {
    pub(super) up: bool,
    pub(super) paused: bool,
    pub(super) known: bool,
    slots: u32,
    since: u64,
    active_ms: u64,
    paused_ms: u64,
    /// How it went, while it is gone; the inner `None`: with its node.
    pub(super) down: Option<Option<DownReason>>,
}

impl PeerRecord {
    /// Active and paused ms until now.
    pub(super) fn durations(&self, now: u64) -> (u64, u64) {
        let open = if self.up { now.saturating_sub(self.since) } else { 0 };
        let (active, paused) = if self.paused { (0, open) } else { (open, 0) };
        (self.active_ms.saturating_add(active), self.paused_ms.saturating_add(paused))
    }

    /// What has run so far is counted, before something about the peer changes.
    pub(super) fn mark(&mut self, now: u64) {
        (self.active_ms, self.paused_ms) = self.durations(now);
        self.since = now;
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NodeRecord {
    pub(super) joined_ms: u64,
    pub(super) seen_ms: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundRecord {
    pub(super) number: u32,
    pub(super) opened_ms: u64,
    /// Slots times ms that peers had offered when it opened.
    pub(super) slot_ms: u64,
    pub(super) sealed_ms: Option<u64>,
    /// The last entry that ended an attempt or a check by the word of its holder.
    pub(super) last_return: Option<(Position, u64)>,
    pub(super) closed: Option<(Position, u64)>,
    /// Slots times ms when it closed.
    pub(super) slot_ms_closed: u64,
}

impl RoundRecord {
    /// From the moment when all work had returned and somebody had asked, to the completion, in ms.
    pub(super) fn detection_ms(&self) -> Option<u64> {
        let (_, closed) = self.closed?;
        let asked = self.sealed_ms.into_iter().chain(self.last_return.map(|(_, ms)| ms)).max()?;
        Some(closed.saturating_sub(asked))
    }
}

/// Plain counts of what entries did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) announcements: u64,
    pub(super) latency_ms: u64,
    pub(super) peers_discovered: u64,
    pub(super) last_announcement_ms: Option<u64>,
    pub(super) rebalances: u64,
    pub(super) rebalances_refused: u64,
    pub(super) redistributed: u64,
    pub(super) load_updates: u64,
    pub(super) seals: u64,
}

/// What is said of a result that was refused, beside what the swarm keeps of it.
#[derive(Clone, Debug)]
pub(super) struct Rejection {
    pub(super) at: Position,
    /// Who handed it in.
    pub(super) node: Box<str>,
    pub(super) error: Text,
    pub(super) refusal: Box<str>,
}

/// Everything that the view keeps beside the swarm.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// The last batch's time, never going back.
    pub(super) now: u64,
    pub(super) swarm_id: Arc<str>,
    pub(super) trace: TraceId,
    pub(super) tasks: Vec<TaskRecord>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) peers: Vec<PeerRecord>,
    pub(super) nodes: Vec<NodeRecord>,
    pub(super) incarnations: BTreeMap<Position, NodeNo>,
    pub(super) rounds: Vec<RoundRecord>,
    pub(super) counts: Counts,
    /// When the peers that were there before the first round were all known.
    pub(super) discovered_ms: Option<u64>,
    /// Some id has more than one generation.
    pub(super) regenerated: bool,
    /// Since when attempts that gave up their slot have waited.
    pub(super) waiting: BTreeMap<TaskNo, u64>,
    rejected: BTreeMap<TaskNo, VecDeque<Rejection>>,
    texts_bytes: usize,
    slots_up: u64,
    slot_ms: u64,
    slots_since: u64,
}

impl Ledger {
    /// A small text as it is, a large one by its place. Replaced texts stay counted: the bound is a bound.
    pub(super) fn keep(&mut self, text: &str, at: Position) -> Text {
        let all = self.texts_bytes + text.len();
        if text.len() <= TEXT_BYTES_KEPT && all <= TEXTS_BYTES_KEPT {
            self.texts_bytes = all;
            Text::Here(text.into())
        } else {
            Text::InLog { at, bytes: u32::try_from(text.len()).unwrap_or(u32::MAX) }
        }
    }

    /// A result was refused. As many are kept a task as the swarm keeps.
    pub(super) fn reject(&mut self, task: TaskNo, rejection: Rejection) {
        let kept = self.rejected.entry(task).or_default();
        if kept.len() == REJECTED_KEPT {
            kept.pop_front();
        }
        kept.push_back(rejection);
    }

    /// What is said of the result that was refused at this position.
    pub(super) fn rejected_at(&self, task: TaskNo, at: Position) -> Option<&Rejection> {
        self.rejected.get(&task)?.iter().find(|rejection| rejection.at == at)
    }

    pub(super) fn task_mut(&mut self, task: TaskNo) -> &mut TaskRecord {
        grown(&mut self.tasks, task.index())
    }

    pub(super) fn peer_mut(&mut self, peer: PeerNo) -> &mut PeerRecord {
        grown(&mut self.peers, peer.index())
    }

    pub(super) fn node_mut(&mut self, node: NodeNo) -> &mut NodeRecord {
        grown(&mut self.nodes, node.index())
    }

    /// A task was granted to a peer.
    pub(super) fn begin_attempt(&mut self, task: TaskNo, number: u32, peer: PeerNo, grant: Grant) {
        let now = self.now;
        let place = u32::try_from(self.attempts.len()).unwrap_or(NONE);
        let record = self.task_mut(task);
        let waited_here = record.assigned.filter(|(at, _)| *at == peer);
        let assigned_ms = waited_here.map_or(now, |(_, ms)| ms);
        record.assigned = Some((peer, assigned_ms));
        let previous = std::mem::replace(&mut record.last_attempt, place);
        self.attempts.push(Attempt {
            task,
            number,
            peer,
            grant,
            assigned_ms,
            granted_ms: now,
            started_ms: None,
            ended_ms: None,
            ran_ms: 0,
            waited_ms: 0,
            outcome: None,
            error: Text::Absent,
            tokens: 0,
            previous,
        });
    }

    /// The attempts of a task, the last one first.
    pub(super) fn attempts_of(&self, task: TaskNo) -> impl Iterator<Item = &Attempt> {
        let first = self.tasks.get(task.index()).map_or(NONE, |record| record.last_attempt);
        std::iter::successors(self.attempts.get(first as usize), |one| self.attempts.get(one.previous as usize))
    }

    pub(super) fn last_attempt_mut(&mut self, task: TaskNo) -> Option<&mut Attempt> {
        let last = self.tasks.get(task.index())?.last_attempt;
        self.attempts.get_mut(last as usize)
    }

    /// The attempt with this grant.
    pub(super) fn attempt_mut(&mut self, task: TaskNo, grant: Grant) -> Option<&mut Attempt> {
        let mut place = self.tasks.get(task.index())?.last_attempt as usize;
        while let Some(attempt) = self.attempts.get(place) {
            if attempt.grant == grant {
                return self.attempts.get_mut(place);
            }
            place = attempt.previous as usize;
        }
        None
    }

    /// The attempt that waited for its children waits no longer.
    pub(super) fn end_waiting(&mut self, task: TaskNo) {
        if let Some(since) = self.waiting.remove(&task) {
            let waited = self.now.saturating_sub(since);
            if let Some(attempt) = self.last_attempt_mut(task) {
                attempt.waited_ms = attempt.waited_ms.saturating_add(waited);
            }
        }
    }

    /// A peer is up with so many slots; 0: it is gone.
    pub(super) fn set_slots(&mut self, peer: PeerNo, slots: u32) {
        self.slot_ms = self.offered();
        self.slots_since = self.now;
        let old = std::mem::replace(&mut self.peer_mut(peer).slots, slots);
        self.slots_up = self.slots_up - u64::from(old) + u64::from(slots);
    }

    /// Slots times ms that peers have offered so far.
    pub(super) fn offered(&self) -> u64 {
        let open = self.now.saturating_sub(self.slots_since).saturating_mul(self.slots_up);
        self.slot_ms.saturating_add(open)
    }
}

fn grown<T: Default>(records: &mut Vec<T>, index: usize) -> &mut T {
    if index >= records.len() {
        records.resize_with(index + 1, T::default);
    }
    &mut records[index]
}
