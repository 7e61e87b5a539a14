//! The swarm as one value, and `apply`: an entry of the log goes in, effects come out.

use crate::bits::Bits;
use crate::class::Classes;
use crate::config::Config;
use crate::effect::{Effect, Effects};
use crate::ids::{ENTRIES_A_BATCH_MAX, Grant, NodeNo, PeerNo, Position, TaskNo, WaitNo};
use crate::mutant::{Mutant, Switch};
use crate::op::{AttemptOutcome, Author, Batch, Op, Seen, Tokens};
use crate::peer::{Kind, Names, Node, Peer, Placement};
use crate::queue::Queue;
use crate::refusal::{LogFault, Refusal};
use crate::task::Task;
use crate::topology::Shape;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Batches whose state hash is remembered, to compare with what their authors had applied.
const SEEN_KEPT: usize = 1_024;

/// The state of a swarm: what the log up to [`Swarm::last`] says.
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
/// let round = swarm.last_round().expect("it was sealed, and its one task is closed");
/// assert_eq!((round.ok, round.failed, round.at), (1, 0, Position::new(4, 1)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Swarm {
    pub(crate) log_id: String,
    pub(crate) swarm_id: String,
    pub(crate) config: Config,
    pub(crate) version: u32,

    pub(crate) tasks: Vec<Task>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) capabilities: Vec<Arc<str>>,
    pub(crate) waits: BTreeMap<WaitNo, Wait>,
    pub(crate) rejected: BTreeMap<TaskNo, VecDeque<Rejected>>,

    /// Tokens that running attempts have reported so far.
    pub(crate) reported: BTreeMap<TaskNo, Tokens>,
    /// Who stands where. A record: it follows from the order of all joins and losses, not from who is there.
    pub(crate) shape: Shape,
    pub(crate) round: Option<Round>,
    pub(crate) last_round: Option<ClosedRound>,
    pub(crate) tokens: Tokens,
    pub(crate) reserved: u64,
    pub(crate) next_wait: u32,
    pub(crate) next_ready: u64,

    pub(crate) seq: u64,
    seen: VecDeque<Seen>,

    #[serde(skip)]
    pub(crate) index: Index,
    #[serde(skip)]
    pub(crate) agenda: Agenda,
    #[serde(skip)]
    pub(crate) at: Position,
    #[serde(skip)]
    pub(crate) out: Vec<Effect>,
    #[serde(skip)]
    pub(crate) switch: Switch,
    #[cfg(test)]
    #[serde(skip)]
    pub(crate) probe: Probe,
}

/// What tests see of the inside.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    /// Every change of a phase that came about.
    pub(crate) passed: BTreeSet<(crate::task::Stage, crate::task::Stage)>,
    /// Invariants are not checked: this swarm replays what another one has checked.
    pub(crate) unchecked: bool,
}

/// Everything that is derived from the records; rebuilt from them when a snapshot is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// Id → the task of the latest generation.
    pub(crate) tasks: BTreeMap<Arc<str>, TaskNo>,
    pub(crate) peers: Names,
    pub(crate) kinds: Names,
    pub(crate) capabilities: Names,
    /// Name of a node → its last incarnation.
    pub(crate) nodes: Names,
    pub(crate) incarnations: BTreeMap<Position, NodeNo>,
    pub(crate) graph: crate::graph::Graph,
    pub(crate) classes: Classes,
    /// Ready and assigned tasks: what a free slot takes from.
    pub(crate) waiting: Queue,
    /// Ready tasks that no peer has: what a peer with room takes from.
    pub(crate) unassigned: Queue,
    pub(crate) placement: Placement,
    /// Tasks with a present grant.
    pub(crate) granted: u32,
    /// Those of them that wait for their children.
    pub(crate) parked: u32,
    /// Tasks whose body has ended and whose messages are open.
    pub(crate) messages_open: u32,
    /// Sum of all record hashes.
    pub(crate) hash: u64,
}

/// What is still to be done within the present apply. Empty between entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agenda {
    pub(crate) settle: VecDeque<TaskNo>,
    pub(crate) fill: VecDeque<PeerNo>,
    /// Nodes that have a session again.
    pub(crate) feed: Vec<NodeNo>,
    pub(crate) tokens_back: bool,
    pub(crate) place: Vec<TaskNo>,
    pub(crate) top_up: Vec<PeerNo>,
    pub(crate) budget_spent: bool,
    pub(crate) touched: Touched,
}

/// Records whose hash is to be made anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    pub(crate) tasks: Vec<TaskNo>,
    pub(crate) peers: Vec<PeerNo>,
    pub(crate) nodes: Vec<NodeNo>,
    pub(crate) kinds: Vec<crate::ids::KindNo>,
}

/// A wait that nodes measure: a back-off.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec { retries: 1, ..TaskSpec::new("build") }])])?;
/// let failed = returned(TaskNo(0), Position::new(3, 0), AttemptOutcome::Failed);
/// let _ = write(&mut swarm, vec![failed])?;
/// let (_, wait) = swarm.open_waits().next().expect("a back-off");
/// assert_eq!((wait.task, wait.ms), (TaskNo(0), 1_000));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The task that waits.
    pub task: TaskNo,
    /// Its length, in ms.
    pub ms: u64,
}

/// The open round: the root of the engagement tree.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let round = swarm.round().expect("a submission opens one");
/// assert_eq!((round.number, round.open, round.sealed), (1, 1, false));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Rounds are numbered from 1.
    pub number: u32,
    /// Where it opened.
    pub opened: Position,
    /// It may close.
    pub sealed: bool,
    /// Its tasks that are not closed.
    pub open: u32,
    /// Its tasks that closed ok; reviews count in neither.
    pub ok: u32,
    /// Its tasks that closed otherwise.
    pub failed: u32,
    /// Nodes whose submission has not ended.
    pub(crate) submitters: BTreeSet<NodeNo>,
}

/// The last closed round.
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
/// let round = swarm.last_round().expect("it is closed");
/// assert_eq!((round.number, round.at.to_string()), (1, "4.1".to_owned()), "the completion is a position");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedRound {
    /// Its number.
    pub number: u32,
    /// The completion: the position that closed it.
    pub at: Position,
    /// Tasks that closed ok in it.
    pub ok: u32,
    /// Tasks that closed otherwise.
    pub failed: u32,
}

/// A result that came from a grant that was no longer present: kept for people to look at.
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
/// // A zombie returns once more, under the grant that has ended.
/// let _ = write(&mut swarm, vec![returned(build, grant, AttemptOutcome::Ok)])?;
/// let rejected = swarm.rejected(build).next().expect("it is kept for people to look at");
/// assert_eq!((rejected.at, rejected.grant), (Position::new(5, 0), grant));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Where it lies in the log, in full.
    pub at: Position,
    /// The stale grant.
    pub grant: Grant,
    /// What it said.
    pub outcome: AttemptOutcome,
}

/// What a batch brought about.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let applied = write(&mut swarm, vec![Op::Alive, submit([TaskSpec::new("build")])])?;
/// assert!(!applied.duplicate);
/// assert_eq!(applied.effects.len(), 2, "one for each entry");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "effects are to be performed, or to be dropped on purpose"]
pub struct Applied {
    /// The batch was applied before under its author's number; nothing happened.
    pub duplicate: bool,
    /// One for each entry; empty for a duplicate.
    pub effects: Vec<Effects>,
}

impl Swarm {
    /// A swarm before its first entry.
    ///
    /// ```
    /// use meshwork_core::Swarm;
    ///
    /// let swarm = Swarm::new();
    /// assert!(!swarm.is_open() && swarm.last().seq == 0);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the batch that the log holds at `seq`.
    ///
    /// ```
    /// use meshwork_core::{Author, Batch, Config, Op, Position, Seen, Swarm, VERSION};
    ///
    /// let (log_id, swarm_id, config) = ("log-1".to_owned(), "demo".to_owned(), Config::default());
    /// let open = Op::Open { log_id, swarm_id, config, version: VERSION };
    /// let join = Op::Join { replaces: Position::START, version: VERSION, sessions: 1 };
    /// let author = Author { node: "local".to_owned(), incarnation: Position::START };
    /// let batch = Batch { author, seq: 1, seen: Seen::default(), time_ms: 0, entries: vec![open, join] };
    ///
    /// let mut swarm = Swarm::new();
    /// let applied = swarm.apply_batch(1, &batch)?;
    /// assert!(applied.effects.iter().all(|effects| effects.refusal.is_none()));
    /// assert!(swarm.apply_batch(3, &batch).is_err(), "the log has a hole: nothing was applied");
    /// # Ok::<(), meshwork_core::LogFault>(())
    /// ```
    ///
    /// # Errors
    /// [`LogFault`] when the log is not what it was; then nothing was applied, and the caller must stop.
    pub fn apply_batch(&mut self, seq: u64, batch: &Batch) -> Result<Applied, LogFault> {
        self.inspect(seq, batch)?;
        self.switch.read_clock(batch.time_ms);
        let author = self.index.incarnations.get(&batch.author.incarnation).copied();
        if let Some(node) = author {
            let last = self.nodes[node.index()].last_seq;
            if batch.seq <= last && !self.switch.breaks(Mutant::DuplicateApplied) {
                self.remember(seq);
                return Ok(Applied { duplicate: true, effects: Vec::new() });
            }
            self.nodes[node.index()].last_seq = batch.seq;
            self.touch_node(node);
        }
        let effects = batch
            .entries
            .iter()
            .enumerate()
            .map(|(index, op)| self.apply(Position::new(seq, index), &batch.author, op))
            .collect();
        self.rehash();
        self.remember(seq);
        Ok(Applied { duplicate: false, effects })
    }

    /// **The transition function.** Pure: the same swarm and entry give the same swarm and effects.
    ///
    /// ```
    /// use meshwork_core::{Author, Config, Effect, NodeNo, Op, Position, Swarm, VERSION};
    ///
    /// let mut swarm = Swarm::new();
    /// let author = Author { node: "local".to_owned(), incarnation: Position::START };
    /// let (log_id, swarm_id, config) = ("log-1".to_owned(), "demo".to_owned(), Config::default());
    /// let open = Op::Open { log_id, swarm_id, config, version: VERSION };
    /// assert_eq!(swarm.apply(Position::new(1, 0), &author, &open).refusal, None);
    /// let join = Op::Join { replaces: Position::START, version: VERSION, sessions: 1 };
    /// let effects = swarm.apply(Position::new(1, 1), &author, &join);
    /// assert_eq!(effects.list, [Effect::Joined { node: NodeNo(0) }]);
    /// ```
    pub fn apply(&mut self, at: Position, author: &Author, op: &Op) -> Effects {
        self.at = at;
        let refusal = self.judge(author, op).err();
        if refusal.is_some() {
            assert!(self.out.is_empty(), "a refused entry has no effects");
        }
        self.drain();
        #[cfg(test)]
        if !self.probe.unchecked {
            self.rehash();
            self.check_invariants();
        }
        Effects { list: std::mem::take(&mut self.out), refusal }
    }

    /// What must hold before any entry of a batch is looked at.
    fn inspect(&self, seq: u64, batch: &Batch) -> Result<(), LogFault> {
        if seq != self.seq + 1 {
            return Err(LogFault::Hole { last: self.seq, found: seq });
        }
        if batch.entries.len() > ENTRIES_A_BATCH_MAX {
            return Err(LogFault::TooManyEntries { at: seq, found: batch.entries.len() });
        }
        let seen = batch.seen;
        let ours = self.hash_at(seen.seq);
        let forgotten = seen.seq <= self.seq && ours.is_none();
        let other = ours != Some(seen.hash) && !self.switch.breaks(Mutant::RegressionIgnored);
        if seen.seq > 0 && !forgotten && other {
            let (seen, theirs) = (seen.seq, seen.hash);
            return Err(LogFault::LedgerRegressed { at: seq, seen, theirs, ours });
        }
        if let Some(node) = self.index.incarnations.get(&batch.author.incarnation) {
            let node = &self.nodes[node.index()];
            if batch.seq > node.last_seq + 1 && !self.switch.breaks(Mutant::GapIgnored) {
                let (node, last) = (node.name.to_string(), node.last_seq);
                return Err(LogFault::AuthorGap { node, last, found: batch.seq });
            }
        }
        Ok(())
    }

    fn remember(&mut self, seq: u64) {
        self.seq = seq;
        if self.seen.len() == SEEN_KEPT {
            self.seen.pop_front();
        }
        let hash = self.state_hash();
        self.seen.push_back(Seen { seq, hash });
    }

    /// Accepts and does, or refuses and changes nothing.
    fn judge(&mut self, author: &Author, op: &Op) -> Result<(), Refusal> {
        match op {
            Op::Open { log_id, swarm_id, config, version } => {
                return self.open(log_id, swarm_id, config, *version);
            }
            _ if !self.is_open() => return Err(Refusal::NotOpen),
            Op::Join { replaces, version, sessions } => {
                return self.join(&author.node, *replaces, *version, *sessions);
            }
            _ => {}
        }
        let node = self.present(author, op)?;
        self.nodes[node.index()].heard = self.at;
        self.touch_node(node);
        match op {
            Op::Open { .. } | Op::Join { .. } | Op::Alive => Ok(()),
            Op::Configure { config } => {
                self.configure(config);
                Ok(())
            }
            Op::NodeLost { incarnation, heard } => self.node_lost(*incarnation, *heard),
            Op::PeerUp(spec) => self.peer_up(node, spec),
            Op::PeerDown { peer, why } => self.peer_down(node, peer, *why),
            Op::Pause { peer, reason } => self.pause(peer, *reason),
            Op::Resume { peer } => self.resume(peer),
            Op::Submit(submission) => self.submit(node, submission),
            Op::Return(returned) => self.returned(node, returned),
            Op::Settled { task, grant } => self.messages_settled(*task, *grant),
            Op::Wait { task, grant, children } => self.wait(node, *task, *grant, children),
            Op::Checked { task, grant, passed, .. } => self.checked(node, *task, *grant, *passed),
            Op::Cancel { task } => self.cancel(*task),
            Op::Seal { round } => self.seal(*round),
            Op::Due { wait } => self.due(*wait),
            Op::Rebalance => {
                self.rebalance();
                Ok(())
            }
            Op::Usage { task, grant, tokens } => self.usage(node, *task, *grant, *tokens),
            Op::Progress { task, grant, .. } => self.holder(node, *task, *grant).map(|_| ()),
            Op::Leave => self.node_leaves(node),
        }
    }

    /// The author's node, if it is present. A stale `Return` is remembered as a rejected attempt.
    fn present(&mut self, author: &Author, op: &Op) -> Result<NodeNo, Refusal> {
        let node = self.index.incarnations.get(&author.incarnation).copied();
        if let Some(node) = node.filter(|_| self.switch.breaks(Mutant::AbsentAuthor)) {
            return Ok(node);
        }
        match node {
            Some(node) if self.nodes[node.index()].present && *self.nodes[node.index()].name == *author.node => {
                Ok(node)
            }
            _ => {
                if let Op::Return(returned) = op {
                    self.reject(returned.task, returned.grant, returned.outcome);
                }
                Err(Refusal::NotPresent { node: author.node.clone(), incarnation: author.incarnation })
            }
        }
    }

    fn open(&mut self, log_id: &str, swarm_id: &str, config: &Config, version: u32) -> Result<(), Refusal> {
        if self.is_open() {
            return Err(Refusal::AlreadyOpen);
        }
        if version != crate::op::VERSION {
            return Err(Refusal::Version { found: version, expected: crate::op::VERSION });
        }
        self.log_id = log_id.to_owned();
        self.swarm_id = swarm_id.to_owned();
        self.config = config.clone();
        self.shape = config.topology.shape();
        self.version = version;
        Ok(())
    }

    fn configure(&mut self, config: &Config) {
        self.config = config.clone();
        self.stand_anew();
        self.agenda.tokens_back = true;
        for index in 0..self.peers.len() {
            let no = PeerNo::from_index(index);
            // A budget may have been raised; who finds it spent all the same is paused again.
            if self.peers[index].paused == Some(crate::op::PauseReason::Budget) {
                self.resume_peer(no);
            }
            self.replace(no);
            self.agenda.fill.push_back(no);
        }
    }

    /// Brings everything to rest: what closed releases others, what became free takes work.
    ///
    /// What became ready is placed, best first, before what became free is filled: so it spreads over the peers that have
    /// room, where whoever made it ready would take all of it. A slot takes the best of all that wait for it either way,
    /// from one ordered queue that holds both, so a placed task never overtakes.
    pub(crate) fn drain(&mut self) {
        self.bring_to_rest();
        self.close_round_when_done();
    }

    pub(crate) fn bring_to_rest(&mut self) {
        loop {
            if let Some(task) = self.agenda.settle.pop_front() {
                self.settle(task);
            } else if let Some(node) = self.agenda.feed.pop() {
                self.feed_starved(node);
            } else if std::mem::take(&mut self.agenda.tokens_back) {
                self.feed_starved_of_tokens();
            } else if !self.agenda.place.is_empty() {
                self.place_all();
            } else if let Some(peer) = self.agenda.fill.pop_front() {
                self.fill(peer);
            } else if std::mem::take(&mut self.agenda.budget_spent) {
                self.pause_for_budget();
            } else if let Some(peer) = self.agenda.top_up.pop() {
                self.top_up(peer);
            } else {
                break;
            }
        }
    }

    pub(crate) fn emit(&mut self, effect: Effect) {
        self.out.push(effect);
    }
}

/// What others may ask.
impl Swarm {
    /// Whether the log was opened.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert!(swarm.is_open() && !Swarm::new().is_open());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_open(&self) -> bool {
        self.version != 0
    }

    /// The log's own name.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert_eq!(swarm.log_id(), "log-1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn log_id(&self) -> &str {
        &self.log_id
    }

    /// The swarm's id.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert_eq!(swarm.swarm_id(), "demo");
    /// # Ok(())
    /// # }
    /// ```
    pub fn swarm_id(&self) -> &str {
        &self.swarm_id
    }

    /// The settings in force.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert_eq!(swarm.config(), &Config::default());
    /// # Ok(())
    /// # }
    /// ```
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Sequence number and state hash of the last batch applied.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert_eq!(swarm.last().seq, 2);
    /// assert_eq!(swarm.last().hash, swarm.state_hash());
    /// # Ok(())
    /// # }
    /// ```
    pub fn last(&self) -> Seen {
        Seen { seq: self.seq, hash: self.seen.back().map_or(0, |seen| seen.hash) }
    }

    /// State hash after the batch `seq`; `None` where it was not applied yet, or too long ago to be remembered.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// assert_ne!(swarm.hash_at(2), swarm.hash_at(3));
    /// assert_eq!(swarm.hash_at(4), None, "not applied yet");
    /// # Ok(())
    /// # }
    /// ```
    pub fn hash_at(&self, seq: u64) -> Option<u64> {
        // One is remembered a batch, the last one at the end.
        let back = usize::try_from(self.seq.checked_sub(seq)?).ok()?;
        self.seen.iter().rev().nth(back).map(|seen| seen.hash)
    }

    /// The open round.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// assert_eq!(swarm.round().map(|round| round.open), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn round(&self) -> Option<&Round> {
        self.round.as_ref()
    }

    /// The last closed round.
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
    /// assert_eq!(swarm.round(), None);
    /// assert_eq!(swarm.last_round().map(|round| round.ok), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn last_round(&self) -> Option<ClosedRound> {
        self.last_round
    }

    /// A task by number.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let build = swarm.find_task("build").expect("it was submitted");
    /// assert_eq!(swarm.task(build).map(|task| task.attempt), Some(1));
    /// assert!(swarm.task(TaskNo(9)).is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn task(&self, no: TaskNo) -> Option<&Task> {
        self.tasks.get(no.index())
    }

    /// The latest generation of a task.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// assert_eq!((swarm.find_task("build"), swarm.find_task("test")), (Some(TaskNo(0)), None));
    /// # Ok(())
    /// # }
    /// ```
    pub fn find_task(&self, id: &str) -> Option<TaskNo> {
        self.index.tasks.get(id).copied()
    }

    /// All tasks of all generations, by number.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// assert_eq!(swarm.tasks().map(|(_, task)| &*task.id).collect::<Vec<_>>(), ["build"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = (TaskNo, &Task)> {
        self.tasks.iter().enumerate().map(|(index, task)| (TaskNo::from_index(index), task))
    }

    /// The children of a task, last submitted first.
    ///
    /// ```
    /// use meshwork_core::Submission;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let build = swarm.find_task("build").expect("it was submitted");
    /// let (_, grant) = swarm.task(build).and_then(|task| task.phase.grant()).expect("ada runs it");
    /// let tasks = ["lint", "test"].map(TaskSpec::new).to_vec();
    /// let _ = write(&mut swarm, vec![Op::Submit(Submission { tasks, parent: Some((build, grant)), more: false })])?;
    /// assert_eq!(swarm.children(build).collect::<Vec<_>>(), [TaskNo(2), TaskNo(1)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn children(&self, task: TaskNo) -> impl Iterator<Item = TaskNo> + '_ {
        self.index.graph.children(task)
    }

    /// A peer by number.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert_eq!(swarm.peer(PeerNo(0)).map(|peer| &*peer.id), Some("ada"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer(&self, no: PeerNo) -> Option<&Peer> {
        self.peers.get(no.index())
    }

    /// A peer by id.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert!(swarm.find_peer("ada").is_some() && swarm.find_peer("bob").is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn find_peer(&self, id: &str) -> Option<PeerNo> {
        self.index.peers.get(id).map(PeerNo)
    }

    /// All peers ever, by number.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert_eq!(swarm.peers().filter(|(_, peer)| peer.up).count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn peers(&self) -> impl ExactSizeIterator<Item = (PeerNo, &Peer)> {
        self.peers.iter().enumerate().map(|(index, peer)| (PeerNo::from_index(index), peer))
    }

    /// A node by number.
    ///
    /// ```
    /// use meshwork_core::NodeNo;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert_eq!(swarm.node(NodeNo(0)).map(|node| &*node.name), Some("local"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn node(&self, no: NodeNo) -> Option<&Node> {
        self.nodes.get(no.index())
    }

    /// The last incarnation of a node's name; [`Position::START`] for none.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert_eq!(swarm.last_incarnation("local"), Position::new(1, 1));
    /// assert_eq!(swarm.last_incarnation("other"), Position::START);
    /// # Ok(())
    /// # }
    /// ```
    pub fn last_incarnation(&self, name: &str) -> Position {
        self.index.nodes.get(name).map_or(Position::START, |no| self.nodes[no as usize].incarnation)
    }

    /// The node whose Join lies at this position.
    ///
    /// ```
    /// use meshwork_core::NodeNo;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert_eq!(swarm.node_no(Position::new(1, 1)), Some(NodeNo(0)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn node_no(&self, incarnation: Position) -> Option<NodeNo> {
        self.index.incarnations.get(&incarnation).copied()
    }

    /// Whether the largest load is at most so many thousandths of the mean over open peers. An idle
    /// mesh is balanced.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![Op::PeerUp(PeerSpec::new("bob")), submit([TaskSpec::new("build")])])?;
    /// assert!(!swarm.is_balanced(1_500), "1 and 0: the largest is twice the mean");
    /// assert!(swarm.is_balanced(2_000));
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_balanced(&self, permille: u64) -> bool {
        let (mut max, mut sum, mut count) = (0, 0, 0);
        for peer in self.peers.iter().filter(|peer| peer.is_open()) {
            let load = u64::from(peer.load());
            max = load.max(max);
            sum += load;
            count += 1;
        }
        sum == 0 || max * count * 1_000 <= sum * permille
    }

    /// The present nodes, by number.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert_eq!(swarm.present_nodes().map(|(_, node)| &*node.name).collect::<Vec<_>>(), ["local"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn present_nodes(&self) -> impl Iterator<Item = (NodeNo, &Node)> {
        let numbered = self.nodes.iter().enumerate();
        numbered.filter(|(_, node)| node.present).map(|(index, node)| (NodeNo::from_index(index), node))
    }

    /// What is learned of a task type.
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
    /// assert_eq!((kind.runs, kind.mean_ms()), (1, 80));
    /// # Ok(())
    /// # }
    /// ```
    pub fn kind(&self, no: crate::ids::KindNo) -> Option<&Kind> {
        self.kinds.get(no.index())
    }

    /// The name of a capability.
    ///
    /// ```
    /// use meshwork_core::CapNo;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let bob = PeerSpec { capabilities: vec!["review".to_owned()], ..PeerSpec::new("bob") };
    /// let _ = write(&mut swarm, vec![Op::PeerUp(bob)])?;
    /// assert_eq!((swarm.capability(CapNo(0)), swarm.capability(CapNo(1))), (Some("review"), None));
    /// # Ok(())
    /// # }
    /// ```
    pub fn capability(&self, no: crate::ids::CapNo) -> Option<&str> {
        self.capabilities.get(no.index()).map(|name| &**name)
    }

    /// What a task requires, by name.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let task = TaskSpec { requires: vec!["welding".to_owned()], ..TaskSpec::new("frame") };
    /// let _ = write(&mut swarm, vec![submit([task])])?;
    /// assert_eq!(swarm.requirements(TaskNo(0)).collect::<Vec<_>>(), ["welding"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn requirements(&self, task: TaskNo) -> impl Iterator<Item = &str> {
        let class = self.tasks[task.index()].class;
        let wants = &self.index.classes.requirement(class).capabilities;
        wants.iter().map(|cap| &*self.capabilities[cap.index()])
    }

    /// Peers that could take this task now or when they have a slot.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let build = swarm.find_task("build").expect("it was submitted");
    /// assert_eq!(swarm.eligible(build).collect::<Vec<_>>(), [PeerNo(0)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn eligible(&self, task: TaskNo) -> impl Iterator<Item = PeerNo> + '_ {
        self.eligible_bits(task).iter().map(PeerNo::from_index)
    }

    pub(crate) fn eligible_bits(&self, task: TaskNo) -> &Bits {
        self.index.classes.eligible(self.tasks[task.index()].class)
    }

    /// Results that were refused because their grant was stale; the last 16 of a task.
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
    /// // A zombie returns once more, under the grant that has ended.
    /// let _ = write(&mut swarm, vec![returned(build, grant, AttemptOutcome::Ok)])?;
    /// assert_eq!(swarm.rejected(build).count(), 1, "it is kept, and counts for nothing");
    /// # Ok(())
    /// # }
    /// ```
    pub fn rejected(&self, task: TaskNo) -> impl Iterator<Item = &Rejected> {
        self.rejected.get(&task).into_iter().flatten()
    }

    /// A wait that is not over.
    ///
    /// ```
    /// use meshwork_core::WaitNo;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// assert!(swarm.open_wait(WaitNo(0)).is_none(), "no back-off");
    /// # Ok(())
    /// # }
    /// ```
    pub fn open_wait(&self, wait: WaitNo) -> Option<&Wait> {
        self.waits.get(&wait)
    }

    /// All waits that are not over.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec { retries: 1, ..TaskSpec::new("build") }])])?;
    /// let failed = returned(TaskNo(0), Position::new(3, 0), AttemptOutcome::Failed);
    /// let _ = write(&mut swarm, vec![failed])?;
    /// assert_eq!(swarm.open_waits().map(|(_, wait)| wait.ms).collect::<Vec<_>>(), [1_000]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open_waits(&self) -> impl Iterator<Item = (WaitNo, &Wait)> {
        self.waits.iter().map(|(no, wait)| (*no, wait))
    }

    /// Tokens spent by all attempts.
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
    /// assert_eq!(swarm.tokens().total(), 1_500);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// Tasks with a present grant.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// assert_eq!(swarm.granted(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn granted(&self) -> u32 {
        self.index.granted
    }

    /// Tasks that are ready or assigned.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit(["one", "two", "three"].map(TaskSpec::new))])?;
    /// assert_eq!((swarm.granted(), swarm.waiting()), (1, 2), "ada has one slot");
    /// # Ok(())
    /// # }
    /// ```
    pub fn waiting(&self) -> usize {
        self.index.waiting.len()
    }

    /// Whether nothing runs but what waits for its children, and no timer of a task is set: what is open waits for
    /// messages, for a peer, or for a person.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// assert!(!swarm.is_at_rest(), "ada works");
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_at_rest(&self) -> bool {
        self.index.granted == self.index.parked && self.waits.is_empty()
    }

    /// Whether nothing runs but what waits for its children, nothing is awaited, and yet tasks are open:
    /// no event of this swarm's own will change that. A peer that a person paused may be resumed, so it
    /// does not count as the end.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let task = TaskSpec { requires: vec!["welding".to_owned()], ..TaskSpec::new("frame") };
    /// let _ = write(&mut swarm, vec![submit([task])])?;
    /// assert!(swarm.is_stalled(), "nobody here can weld");
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_stalled(&self) -> bool {
        let open = self.round.as_ref().is_some_and(|round| round.open > 0 && round.submitters.is_empty());
        let idle = self.is_at_rest() && self.index.messages_open == 0;
        let by_hand = [crate::op::PauseReason::User, crate::op::PauseReason::RateLimit];
        open && idle && !self.peers.iter().any(|p| p.up && p.paused.is_some_and(|r| by_hand.contains(&r)))
    }
}
