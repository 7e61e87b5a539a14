//! Nodes and peers as records, and the index that finds the least loaded one.

use crate::bits::Bits;
use crate::ids::{CapNo, NodeNo, PeerNo, Position, TaskNo};
use crate::op::{PauseReason, Tokens};
use crate::task::Rank;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// One incarnation of a node.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let swarm = swarm(); // one node with one peer, ada, who has one slot
/// let (_, node) = swarm.present_nodes().next().expect("one has joined");
/// assert_eq!((&*node.name, node.incarnation, node.sessions), ("local", Position::new(1, 1), 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name; another incarnation may have the same.
    pub name: Arc<str>,
    /// Position of its Join.
    pub incarnation: Position,
    /// It has neither been replaced nor given up on.
    pub present: bool,
    /// Number of its last batch applied.
    pub last_seq: u64,
    /// Position of its last entry.
    pub heard: Position,
    /// Sessions that it may hold.
    pub sessions: u32,
    /// Sessions that are held.
    pub sessions_held: u32,
    /// Peers that had work and a free slot but no session or token: first come, first served.
    pub starved: VecDeque<PeerNo>,
    /// Tasks of its submission that has not ended.
    pub submitting: Vec<TaskNo>,
    pub(crate) hash: u64,
}

/// A peer.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let ada = swarm.find_peer("ada").and_then(|no| swarm.peer(no)).expect("a peer");
/// assert_eq!((ada.up, ada.slots, ada.busy), (true, 1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its id.
    pub id: Arc<str>,
    /// The node that hosts it, or did last.
    pub node: NodeNo,
    /// It is there.
    pub up: bool,
    /// What it can do, sorted.
    pub capabilities: Box<[CapNo]>,
    /// Tasks that it runs at once.
    pub slots: u32,
    /// Its attempts take sessions.
    pub uses_session: bool,
    /// Why it gets no new work.
    pub paused: Option<PauseReason>,
    /// Slots in use: running and checking tasks.
    pub busy: u32,
    /// Tasks that wait here, by rank.
    #[serde(skip)]
    pub assigned: BTreeSet<(Rank, TaskNo)>,
    /// Tasks first in line for a slot: their children are closed, or their evidence is to be looked at.
    pub line: VecDeque<TaskNo>,
    /// Tasks with a present grant here.
    #[serde(skip)]
    pub held: BTreeSet<TaskNo>,
    /// It is in its node's `starved`.
    pub starved: bool,
    /// Tokens that it may spend.
    pub token_budget: Option<u64>,
    /// Tokens that it spent.
    pub tokens: Tokens,
    /// Tokens reserved for its running attempts.
    pub reserved: u64,
    /// Attempts that ended ok.
    pub completed: u64,
    /// Attempts that ended otherwise, interruptions aside.
    pub failed: u64,
    /// Sum of what its finished attempts ran, in ms.
    pub ran_ms: u64,
    /// Its key in the placement index, when it is there.
    #[serde(skip)]
    pub(crate) placed: Option<PlaceKey>,
    pub(crate) hash: u64,
}

impl Peer {
    /// Assigned-not-started plus running tasks (contracts, section 1), and those in line.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let ada = swarm.find_peer("ada").and_then(|no| swarm.peer(no)).expect("a peer");
    /// assert_eq!(ada.load(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn load(&self) -> u32 {
        self.busy + PeerNo::from_index(self.assigned.len() + self.line.len()).0
    }

    /// It may be given work: up, and not paused for a reason that work does not end.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let ada = swarm.find_peer("ada").and_then(|no| swarm.peer(no)).expect("a peer");
    /// assert!(ada.is_open(), "up and not paused; that it is busy is another question");
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_open(&self) -> bool {
        self.up && matches!(self.paused, None | Some(PauseReason::Idle))
    }

    /// What is first in line may go on: such a task began before the pause.
    pub(crate) fn serves_line(&self) -> bool {
        self.up && !matches!(self.paused, Some(PauseReason::User | PauseReason::Shutdown))
    }

    /// Share of finished attempts that ended ok, in thousandths; 1,000 before the first.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let build = swarm.find_task("build").expect("it was submitted");
    /// let (_, grant) = swarm.task(build).and_then(|task| task.phase.grant()).expect("ada runs it");
    /// let _ = write(&mut swarm, vec![returned(build, grant, AttemptOutcome::Ok), Op::Seal { round: 1 }])?;
    /// let ada = swarm.find_peer("ada").and_then(|no| swarm.peer(no)).expect("a peer");
    /// assert_eq!(ada.success_permille(), 1_000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn success_permille(&self) -> u64 {
        let all = self.completed + self.failed;
        (self.completed * 1_000).checked_div(all).unwrap_or(1_000)
    }

    /// Mean run time of finished attempts in ms; 0 before the first.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let build = swarm.find_task("build").expect("it was submitted");
    /// let (_, grant) = swarm.task(build).and_then(|task| task.phase.grant()).expect("ada runs it");
    /// let _ = write(&mut swarm, vec![returned(build, grant, AttemptOutcome::Ok), Op::Seal { round: 1 }])?;
    /// let ada = swarm.find_peer("ada").and_then(|no| swarm.peer(no)).expect("a peer");
    /// assert_eq!(ada.mean_ms(), 80);
    /// # Ok(())
    /// # }
    /// ```
    pub fn mean_ms(&self) -> u64 {
        self.ran_ms.checked_div(self.completed + self.failed).unwrap_or(0)
    }

    /// When one more task is expected to end, in eighths of a power of two: so that peers that are about as good share
    /// one bit set. A peer without a record counts as one that takes 1 ms, so that it gets one.
    fn expected_finish(&self) -> u64 {
        let work = u128::from(self.load() + 1) * u128::from(self.mean_ms().max(1)) * 1_000_000;
        let by = u128::from(self.slots.max(1)) * u128::from(self.success_permille().max(1));
        let expected = u64::try_from(work / by).unwrap_or(u64::MAX).max(8);
        let octave = 63 - expected.leading_zeros();
        u64::from(octave) << 3 | (expected >> (octave - 3) & 7)
    }

    fn place_key(&self, order: PlaceOrder) -> PlaceKey {
        let waits = self.starved || self.load() >= self.slots;
        match order {
            PlaceOrder::First => return PlaceKey { load: u64::from(waits), quality: 0 },
            PlaceOrder::Finish => return PlaceKey { load: u64::from(waits), quality: self.expected_finish() },
            PlaceOrder::Load => {}
        }
        let load = u64::from(self.load()) * LOAD_SCALE / u64::from(self.slots.max(1));
        // A free slot that cannot be used attracts no work away from one that can.
        let load = if self.starved { load.max(LOAD_SCALE) } else { load };
        // Quality in buckets, so that peers of like quality share one bit set: failures in sixteenths,
        // time by powers of two. Within a bucket the peer that was seen first wins.
        let failing = (1_000 - self.success_permille()) * 16 / 1_000;
        let slowness = u64::from(64 - self.mean_ms().leading_zeros());
        PlaceKey { load, quality: failing << 8 | slowness }
    }
}

/// What makes one peer better for a task than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlaceOrder {
    /// Who was there first.
    First,
    /// The least relative load.
    Load,
    /// The earliest expected end of one more task.
    Finish,
}

/// A common multiple of all slot counts up to 16, so that relative loads compare exactly there.
pub(crate) const LOAD_SCALE: u64 = 720_720;

/// The order in which peers are preferred; the least is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct PlaceKey {
    load: u64,
    quality: u64,
}

/// Open peers that are not full, by relative load, then quality.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    levels: BTreeMap<PlaceKey, Bits>,
}

impl Placement {
    /// Brings the index up to date with a peer.
    pub(crate) fn update(&mut self, no: PeerNo, peer: &mut Peer, backlog: u32, order: PlaceOrder) {
        let full = peer.load() >= peer.slots.saturating_add(backlog);
        let key = (peer.is_open() && !full).then(|| peer.place_key(order));
        if key == peer.placed {
            return;
        }
        if let Some(old) = peer.placed
            && let Some(level) = self.levels.get_mut(&old)
        {
            level.remove(no.index());
            if level.is_empty() {
                self.levels.remove(&old);
            }
        }
        if let Some(key) = key {
            self.levels.entry(key).or_default().insert(no.index());
        }
        peer.placed = key;
    }

    /// The least loaded of these peers that is open and not full.
    pub(crate) fn least_loaded(&self, eligible: &Bits) -> Option<PeerNo> {
        self.levels.values().find_map(|level| level.both(eligible).next()).map(PeerNo::from_index)
    }
}

/// What is learned of a task type, as integer sums over what `Return` carries.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let build = swarm.find_task("build").expect("it was submitted");
/// let (_, grant) = swarm.task(build).and_then(|task| task.phase.grant()).expect("ada runs it");
/// let _ = write(&mut swarm, vec![returned(build, grant, AttemptOutcome::Ok), Op::Seal { round: 1 }])?;
/// let kind = swarm.task(build).and_then(|task| swarm.kind(task.kind)).expect("its type");
/// assert_eq!((&*kind.name, kind.runs, kind.ran_ms), ("task", 1, 80));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// The type.
    pub name: Arc<str>,
    /// Attempts that ended ok.
    pub runs: u64,
    /// Sum of their run times, in ms.
    pub ran_ms: u64,
    /// Sum of the tokens of all its attempts that reported any.
    pub tokens: u64,
    /// How many reported any.
    pub reports: u64,
    pub(crate) hash: u64,
}

impl Kind {
    /// Mean run time in ms, at least 1, so that a path of unknown tasks counts by its length.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let build = swarm.find_task("build").expect("it was submitted");
    /// let (_, grant) = swarm.task(build).and_then(|task| task.phase.grant()).expect("ada runs it");
    /// let _ = write(&mut swarm, vec![returned(build, grant, AttemptOutcome::Ok), Op::Seal { round: 1 }])?;
    /// let kind = swarm.task(build).and_then(|task| swarm.kind(task.kind)).expect("its type");
    /// assert_eq!(kind.mean_ms(), 80);
    /// # Ok(())
    /// # }
    /// ```
    pub fn mean_ms(&self) -> u64 {
        self.ran_ms.checked_div(self.runs).unwrap_or(1).max(1)
    }

    /// Mean tokens of an attempt; 0 while none has reported any.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let build = swarm.find_task("build").expect("it was submitted");
    /// let (_, grant) = swarm.task(build).and_then(|task| task.phase.grant()).expect("ada runs it");
    /// let _ = write(&mut swarm, vec![returned(build, grant, AttemptOutcome::Ok), Op::Seal { round: 1 }])?;
    /// let kind = swarm.task(build).and_then(|task| swarm.kind(task.kind)).expect("its type");
    /// assert_eq!(kind.mean_tokens(), 1_500);
    /// # Ok(())
    /// # }
    /// ```
    pub fn mean_tokens(&self) -> u64 {
        self.tokens.checked_div(self.reports).unwrap_or(0)
    }
}

/// Numbers of names, given in log order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names {
    by_name: BTreeMap<Arc<str>, u32>,
}

impl Names {
    pub(crate) fn get(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn insert(&mut self, name: Arc<str>, number: u32) {
        self.by_name.insert(name, number);
    }
}
