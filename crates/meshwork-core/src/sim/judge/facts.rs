//! What the judge knows of tasks, peers, nodes and the round.

use crate::{Grant, NodeNo, Outcome, PauseReason, PeerNo, PeerSpec, Position, TaskNo, TaskSpec, WaitNo};
use std::collections::BTreeSet;

/// A task, as entries and effects tell of it.
#[derive(Clone, Debug)]
pub(crate) struct TaskFacts {
    pub(crate) spec: TaskSpec,
    pub(crate) generation: u32,
    pub(crate) round: u32,
    pub(crate) parent: Option<TaskNo>,
    pub(crate) depth: u32,
    /// The grant that submitted or adopted it last.
    pub(crate) adopted_by: Grant,
    pub(crate) dependencies: Vec<TaskNo>,
    pub(crate) dependants: Vec<TaskNo>,
    pub(crate) children: Vec<TaskNo>,
    pub(crate) open_children: u32,
    /// The node whose submission has not ended.
    pub(crate) held: Option<NodeNo>,
    pub(crate) ready: bool,
    pub(crate) assigned: Option<PeerNo>,
    /// First in line for a slot of this peer.
    pub(crate) line: Option<PeerNo>,
    pub(crate) live: Option<Live>,
    /// Its last attempt returned ok, and that still counts.
    pub(crate) returned_ok: bool,
    pub(crate) passed: bool,
    /// Its reviewers approved its last attempt.
    pub(crate) approved: bool,
    /// The attempt of its parent that it reviews.
    pub(crate) reviews: Option<u32>,
    /// What its own last attempt says of it, when it is a review.
    pub(crate) vote: Option<bool>,
    pub(crate) messages_open: bool,
    pub(crate) last_grant: Grant,
    pub(crate) last_peer: Option<PeerNo>,
    pub(crate) attempt: u32,
    pub(crate) keeps_number: bool,
    pub(crate) failures: u32,
    pub(crate) crashes: u32,
    pub(crate) interruptions: u32,
    pub(crate) backoff: Option<WaitNo>,
    pub(crate) cancelled: bool,
    /// How it is to close.
    pub(crate) ending: Option<Outcome>,
    pub(crate) closed: Option<Outcome>,
}

impl TaskFacts {
    /// Just submitted.
    pub(crate) fn new(spec: TaskSpec, generation: u32, round: u32) -> Self {
        Self {
            spec,
            generation,
            round,
            parent: None,
            depth: 0,
            adopted_by: Position::START,
            dependencies: Vec::new(),
            dependants: Vec::new(),
            children: Vec::new(),
            open_children: 0,
            held: None,
            ready: false,
            assigned: None,
            line: None,
            live: None,
            returned_ok: false,
            passed: false,
            approved: false,
            reviews: None,
            vote: None,
            messages_open: false,
            last_grant: Position::START,
            last_peer: None,
            attempt: 0,
            keeps_number: false,
            failures: 0,
            crashes: 0,
            interruptions: 0,
            backoff: None,
            cancelled: false,
            ending: None,
            closed: None,
        }
    }

    /// Its evidence, if it is to show any, held.
    pub(crate) fn has_passed(&self) -> bool {
        self.spec.verify.is_none() || self.passed
    }

    /// Its reviewers, if it is to have any, approved it.
    pub(crate) fn is_approved(&self) -> bool {
        self.spec.review.is_none() || self.approved
    }

    /// Its id, with the generation where there are several.
    pub(crate) fn name(&self) -> String {
        match self.generation {
            0 | 1 => self.spec.id.clone(),
            generation => format!("{} (generation {generation})", self.spec.id),
        }
    }

    /// Nobody has begun it.
    pub(crate) fn is_untouched(&self) -> bool {
        self.attempt == 0 && self.live.is_none() && self.closed.is_none() && self.ending.is_none() && !self.cancelled
    }
}

/// A present grant.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) grant: Grant,
    pub(crate) peer: PeerNo,
    pub(crate) check: bool,
    /// Its slot is given up until these are closed.
    pub(crate) waits_for: Option<BTreeSet<TaskNo>>,
    pub(crate) stopped: bool,
}

impl Live {
    pub(crate) fn holds_slot(&self) -> bool {
        self.waits_for.is_none()
    }
}

/// A peer.
#[derive(Clone, Debug)]
pub(crate) struct PeerFacts {
    pub(crate) id: String,
    pub(crate) node: NodeNo,
    pub(crate) up: bool,
    pub(crate) slots: u32,
    pub(crate) capabilities: BTreeSet<String>,
    pub(crate) uses_session: bool,
    pub(crate) paused: Option<PauseReason>,
    /// Running and checking.
    pub(crate) busy: u32,
    pub(crate) assigned: u32,
    pub(crate) line: u32,
}

impl PeerFacts {
    /// Not up yet.
    pub(crate) fn new(spec: &PeerSpec, node: NodeNo) -> Self {
        Self {
            id: spec.id.clone(),
            node,
            up: false,
            slots: spec.slots,
            capabilities: BTreeSet::new(),
            uses_session: spec.uses_session,
            paused: None,
            busy: 0,
            assigned: 0,
            line: 0,
        }
    }

    pub(crate) fn load(&self) -> u32 {
        self.busy + self.assigned + self.line
    }

    pub(crate) fn takes_work(&self) -> bool {
        self.up && matches!(self.paused, None | Some(PauseReason::Idle))
    }
}

/// One incarnation of a node.
#[derive(Clone, Debug)]
pub(crate) struct NodeFacts {
    pub(crate) name: String,
    pub(crate) incarnation: Position,
    pub(crate) present: bool,
    pub(crate) last_seq: u64,
    pub(crate) heard: Position,
    pub(crate) sessions: u32,
    pub(crate) sessions_held: u32,
}

/// The open round.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoundFacts {
    pub(crate) number: u32,
    pub(crate) sealed: bool,
    pub(crate) open: u32,
    pub(crate) ok: u32,
    pub(crate) failed: u32,
    pub(crate) submitters: BTreeSet<NodeNo>,
}

/// A back-off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitFacts {
    pub(crate) task: TaskNo,
    pub(crate) ms: u64,
    /// Virtual time of its beginning.
    pub(crate) since: u64,
}
