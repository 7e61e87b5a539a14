//! One node's own rules, as a pure machine beside `apply`.
//!
//! The driver tells it what happened ([`Input`]) and does what it asks ([`Ask`]); it never sees a clock,
//! a process or a log. What it holds to:
//!
//! - one batch in flight; an unanswered one is appended again unchanged, the next follows when it has
//!   been read back;
//! - nothing is acted on before it comes back applied, and only for the node's own peers;
//! - a `Return` is appended when no process of the attempt is left;
//! - a node that reads of its own loss ends its bodies, then joins anew;
//! - a wait is measured from the moment its beginning was applied here, and the lowest present node
//!   appends its end first.

mod broken;
#[cfg(any(test, feature = "sim"))]
mod canonical;
mod contract;

pub use contract::{Answer, Ask, BodyEnd, Input, Setup, Ticket, Timer};

use crate::codec::encoded_len;
use crate::config::{BATCH_BYTES_MAX, ENTRY_BYTES_MAX};
use crate::effect::{Effect, Effects};
use crate::ids::{ENTRIES_A_BATCH_MAX, Grant, NodeNo, PeerNo, Position, TaskNo, WaitNo};
use crate::mutant::Mutant;
use crate::op::{AttemptOutcome, Author, Batch, DownReason, Op, PauseReason, PeerSpec, Returned, VERSION};
use crate::peer::Peer;
use crate::refusal::{LogFault, Refusal};
use crate::swarm::{ClosedRound, Swarm};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A node that is not the lowest present one appends a `Due` this much later a rank, in ms: long enough
/// that the first one's entry is usually read before the second would be written.
const DUE_STAGGER_MS: u64 = 500;
/// Part of [`BATCH_BYTES_MAX`] that entries may fill; the rest is for the batch's own fields.
const BATCH_ENTRIES_BYTES: usize = BATCH_BYTES_MAX - 4 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    CatchingUp,
    Joining,
    Member(NodeNo),
    /// Lost: bodies of the old incarnation are being ended.
    Ending,
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Runs,
    /// Its task was cancelled: it returns `Cancelled`.
    Cancelled,
    /// Its node stops: it returns `Interrupted`.
    Interrupted,
    /// Its grant no longer counts: only a result of its own is reported, to be kept as rejected.
    Abandoned,
}

/// A node: the swarm as it has read it, and what it has to do about it.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let node = member()?; // it has joined, and its peer ada is up
/// assert!(node.is_member());
/// assert_eq!(node.swarm().peers().len(), 1, "its peers are announced");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Node {
    setup: Setup,
    swarm: Swarm,
    stage: Stage,
    incarnation: Position,
    next_seq: u64,
    pending: VecDeque<(Op, Option<Ticket>)>,
    in_flight: Option<(Arc<Batch>, Vec<Option<Ticket>>)>,
    bodies: BTreeMap<(TaskNo, Grant), Body>,
    /// Attempts whose body has ended and whose messages are open.
    messages: BTreeSet<(TaskNo, Grant)>,
    /// Peers to be announced by each Join: those of the setup, and what became of them since.
    peers: Vec<PeerSpec>,
    /// Peers whose processes stand still.
    still: BTreeSet<PeerNo>,
    leaving: bool,
    /// The last steps of leaving: nothing more is taken on.
    closing: bool,
    asks: Vec<Ask>,
}

impl Node {
    /// A node that has read `swarm` so far: an empty one, or what a snapshot holds.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let node = node(); // it has not read its log, which is empty
    /// assert!(!node.is_member(), "it has not even read the log");
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(setup: Setup, swarm: Swarm) -> Self {
        Self {
            peers: setup.peers.clone(),
            setup,
            swarm,
            stage: Stage::CatchingUp,
            incarnation: Position::START,
            next_seq: 0,
            pending: VecDeque::new(),
            in_flight: None,
            bodies: BTreeMap::new(),
            messages: BTreeSet::new(),
            still: BTreeSet::new(),
            leaving: false,
            closing: false,
            asks: Vec::new(),
        }
    }

    /// The swarm as this node has read it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let node = member()?; // it has joined, and its peer ada is up
    /// assert_eq!(node.swarm().swarm_id(), "demo");
    /// # Ok(())
    /// # }
    /// ```
    pub fn swarm(&self) -> &Swarm {
        &self.swarm
    }

    /// Whether the node has joined and was not given up on.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let node = node(); // it has not read its log, which is empty
    /// assert!(!node.is_member());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_member(&self) -> bool {
        matches!(self.stage, Stage::Member(_))
    }

    /// Whether a body or check of this grant runs here.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut node = member()?; // it has joined, and its peer ada is up
    /// let op = submit([TaskSpec::new("build")]);
    /// let asks = node.handle(Input::Wish { op, ticket: None }, 0)?;
    /// let asks = settle(&mut node, asks)?;
    /// let [Ask::Start { task, grant, .. }] = asks[..] else { panic!("ada is free") };
    /// assert!(node.runs(task, grant));
    /// # Ok(())
    /// # }
    /// ```
    pub fn runs(&self, task: TaskNo, grant: Grant) -> bool {
        self.bodies.contains_key(&(task, grant))
    }

    /// Whether decisions wait for the log.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut node = member()?; // it has joined, and its peer ada is up
    /// let op = submit([TaskSpec::new("build")]);
    /// assert!(!node.has_undecided());
    /// let _ = node.handle(Input::Wish { op, ticket: None }, 0)?;
    /// assert!(node.has_undecided(), "until it comes back from the log");
    /// # Ok(())
    /// # }
    /// ```
    pub fn has_undecided(&self) -> bool {
        self.in_flight.is_some() || !self.pending.is_empty()
    }

    /// The one door: what happened goes in, what is to be done comes out. `now_ms` (since the epoch) is
    /// written into batches for display.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut node = node(); // it has not read its log, which is empty
    /// let asks = node.handle(Input::CaughtUp, 1_700_000_000_000)?;
    /// let [Ask::Append(batch)] = &asks[..] else { panic!("it wants to join") };
    /// assert!(matches!(batch.entries[..], [Op::Open { .. }, Op::Join { .. }]));
    /// assert_eq!(batch.time_ms, 1_700_000_000_000);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LogFault`] when the log is not what it was: the node must stop, nothing further may be applied.
    pub fn handle(&mut self, input: Input, now_ms: u64) -> Result<Vec<Ask>, LogFault> {
        let mut asks = self.take_in(input)?;
        asks.extend(self.decide(now_ms));
        Ok(asks)
    }

    /// Appends what is pending, when nothing is in flight. A driver that takes in several inputs before it
    /// calls this has them in one batch.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut node = member()?; // it has joined, and its peer ada is up
    /// for _twice in 0..2 {
    ///     assert!(node.take_in(Input::Wish { op: Op::Alive, ticket: None })?.is_empty());
    /// }
    /// let asks = node.decide(0);
    /// assert!(matches!(&asks[..], [Ask::Append(batch)] if batch.entries.len() == 2), "both in one batch");
    /// # Ok(())
    /// # }
    /// ```
    pub fn decide(&mut self, now_ms: u64) -> Vec<Ask> {
        self.append(now_ms);
        std::mem::take(&mut self.asks)
    }

    /// The first half of [`Node::handle`]: what happened is taken in, and nothing is appended yet.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut node = member()?; // it has joined, and its peer ada is up
    /// let asks = node.take_in(Input::Wish { op: Op::Alive, ticket: None })?;
    /// assert!(asks.is_empty() && node.has_undecided(), "nothing is appended yet");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Node::handle`].
    pub fn take_in(&mut self, input: Input) -> Result<Vec<Ask>, LogFault> {
        match input {
            Input::Stored { seq, batch } => self.on_stored(seq, &batch)?,
            Input::CaughtUp => self.on_caught_up(),
            Input::AppendFailed => {
                if self.breaks(Mutant::ResendAsNew) {
                    self.unsay();
                } else if let Some((batch, _)) = &self.in_flight {
                    self.asks.push(Ask::Append(batch.clone()));
                }
            }
            Input::Wish { op, ticket } => self.on_wish(op, ticket),
            Input::BodyEnded(end) => self.on_body_ended(end),
            Input::CheckEnded { task, grant, passed, evidence, ran_ms } => {
                self.on_check_ended(Op::Checked { task, grant, passed, evidence, ran_ms }, task, grant);
            }
            Input::MessagesSettled { task, grant } => {
                if self.messages.remove(&(task, grant)) {
                    self.wish(Op::Settled { task, grant });
                }
            }
            Input::Fired(timer) => self.on_fired(timer),
            Input::Silent { incarnation } => self.on_silent(incarnation),
            // Who is not a member has a Join to say instead.
            Input::Suspected if self.is_member() && !self.breaks(Mutant::SuspectedSilent) => self.wish(Op::Alive),
            Input::Suspected => {}
            Input::Shutdown => self.on_shutdown(),
        }
        self.go_on();
        Ok(std::mem::take(&mut self.asks))
    }

    fn wish(&mut self, op: Op) {
        self.pending.push_back((op, None));
    }

    fn on_wish(&mut self, op: Op, ticket: Option<Ticket>) {
        let found = encoded_len(&op);
        // A task that joins thousands of others names them all: a submission may fill a batch.
        let most = if matches!(op, Op::Submit(_)) { BATCH_ENTRIES_BYTES } else { ENTRY_BYTES_MAX };
        if self.closing || self.stage == Stage::Left {
            self.answer(ticket, Answer::NodeLost);
        } else if found > most {
            self.answer(ticket, Answer::TooLarge { found, most });
        } else {
            self.pending.push_back((op, ticket));
        }
    }

    fn answer(&mut self, ticket: Option<Ticket>, answer: Answer) {
        if let Some(ticket) = ticket {
            self.asks.push(Ask::Answer { ticket, answer });
        }
    }

    fn on_caught_up(&mut self) {
        assert_eq!(self.stage, Stage::CatchingUp, "a node catches up once");
        if self.leaving {
            self.leave(&Answer::NodeLost);
            return;
        }
        self.join();
        if let Some(ms) = self.setup.rebalance_ms {
            self.asks.push(Ask::Sleep { timer: Timer::Rebalance, ms });
        }
    }

    /// Joins, opening the log first when it is empty. Goes ahead of everything that is pending.
    fn join(&mut self) {
        self.stage = Stage::Joining;
        let replaces = self.swarm.last_incarnation(&self.setup.name);
        let join = Op::Join { replaces, version: VERSION, sessions: self.setup.sessions };
        self.pending.push_front((join, None));
        if !self.swarm.is_open()
            && let Some((log_id, swarm_id, config)) = self.setup.open.clone()
        {
            self.pending.push_front((Op::Open { log_id, swarm_id, config, version: VERSION }, None));
        }
    }

    fn on_stored(&mut self, seq: u64, batch: &Arc<Batch>) -> Result<(), LogFault> {
        let applied = self.swarm.apply_batch(seq, batch)?;
        if applied.duplicate {
            return Ok(());
        }
        let own = self.in_flight.as_ref().is_some_and(|(mine, _)| Arc::ptr_eq(mine, batch) || mine == batch);
        let tickets = if own { self.in_flight.take().map(|(_, tickets)| tickets) } else { None };
        if !own && batch.author.node == self.setup.name {
            // What an earlier incarnation was about to say has been said, and need not be said again.
            self.pending.retain(|(op, _)| !matches!(op, Op::Return(_)) || !batch.entries.contains(op));
        }
        let refusal = applied.effects.last().and_then(|effects| effects.refusal.clone());
        for (index, effects) in applied.effects.into_iter().enumerate() {
            let position = Position::new(seq, index);
            let joined = effects.list.iter().any(|effect| matches!(effect, Effect::Joined { .. }));
            if own && joined {
                self.on_joined(position);
            }
            if own && effects.refusal.is_none() {
                self.remember_peer(&batch.entries[index]);
            }
            if let Some(ticket) = tickets.as_ref().and_then(|tickets| tickets[index]) {
                let answer = answer_of(position, &effects);
                self.answer(Some(ticket), answer);
            }
            for effect in effects.list {
                self.on_effect(effect);
            }
        }
        if own && self.stage == Stage::Joining {
            self.on_join_refused(refusal.expect("a Join is accepted or refused"));
        }
        Ok(())
    }

    /// A Join of an earlier process under this name may have come first: then that one is replaced.
    /// Everything else is for good, and whoever wants something of this node is told.
    fn on_join_refused(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::NotLastIncarnation { .. } => self.join(),
            other => self.leave(&Answer::Refused(other)),
        }
    }

    /// Keeps what is to be announced when the node has to join anew.
    fn remember_peer(&mut self, op: &Op) {
        let (Op::PeerUp(PeerSpec { id, .. }) | Op::PeerDown { peer: id, .. }) = op else { return };
        let known = self.peers.iter().position(|peer| peer.id == *id);
        match (op, known) {
            (Op::PeerUp(spec), Some(index)) => self.peers[index] = spec.clone(),
            (Op::PeerUp(spec), None) => self.peers.push(spec.clone()),
            (_, Some(index)) => {
                self.peers.remove(index);
            }
            (_, None) => {}
        }
    }

    fn on_joined(&mut self, incarnation: Position) {
        self.incarnation = incarnation;
        self.next_seq = 1;
        let last = self.swarm.node_no(incarnation);
        self.stage = Stage::Member(last.expect("a Join that was applied made this node"));
        // Who is to leave before it was there announces nobody.
        let peers = if self.leaving { Vec::new() } else { self.peers.clone() };
        for peer in peers.into_iter().rev() {
            self.pending.push_front((Op::PeerUp(peer), None));
        }
        // After a restart waits are counted anew: late, never early.
        let mut waits: Vec<(WaitNo, u64)> = self.swarm.open_waits().map(|(no, wait)| (no, wait.ms)).collect();
        if self.breaks(Mutant::WaitsForgotten) {
            waits.clear();
        }
        for (wait, ms) in waits {
            self.sleep_for(wait, ms);
        }
    }

    fn on_effect(&mut self, effect: Effect) {
        // Completion is told to whoever has caught up, also while its own place in the swarm is in doubt.
        if let (Effect::RoundClosed { round: number, at, ok, failed }, false) =
            (effect, self.stage == Stage::CatchingUp)
        {
            self.asks.push(Ask::RoundClosed(ClosedRound { number, at, ok, failed }));
        }
        let me = match self.stage {
            Stage::Member(me) => me,
            Stage::CatchingUp if self.breaks(Mutant::ActsWhileCatchingUp) => NodeNo(u32::MAX),
            _ => return,
        };
        let all = self.breaks(Mutant::ActsForOthers) || self.stage == Stage::CatchingUp;
        let mine = |node: &Self, peer: PeerNo| all || node.swarm.peer(peer).is_some_and(|peer| peer.node == me);
        match effect {
            Effect::Start { task, grant, peer, attempt } if mine(self, peer) && self.is_present(task, grant) => {
                self.bodies.insert((task, grant), Body::Runs);
                self.asks.push(Ask::Start { task, grant, peer, attempt });
            }
            Effect::Check { task, grant, peer, attempt } if mine(self, peer) && self.is_present(task, grant) => {
                self.bodies.insert((task, grant), Body::Runs);
                self.asks.push(Ask::Check { task, grant, peer, attempt });
            }
            Effect::Continue { task, grant, .. } if self.bodies.contains_key(&(task, grant)) => {
                self.asks.push(Ask::Continue { task, grant });
            }
            Effect::Stop { task, grant, awaited, .. } => {
                self.stop(task, grant, if awaited { Body::Cancelled } else { Body::Abandoned });
                self.stop_messages(task, grant);
            }
            Effect::Paused { peer, reason: PauseReason::User | PauseReason::RateLimit } if mine(self, peer) => {
                self.still.insert(peer);
                self.asks.push(Ask::Suspend { peer, still: true });
            }
            // Who comes up again is not paused.
            Effect::Resumed { peer } | Effect::PeerDown { peer, .. } if self.still.remove(&peer) => {
                self.asks.push(Ask::Suspend { peer, still: false });
            }
            Effect::Await { wait, ms } => self.sleep_for(wait, ms),
            Effect::NodeLost { node } if node == me && !self.breaks(Mutant::OwnLossIgnored) => self.on_own_loss(),
            // Somebody may have asked for it while bodies of peers that are gone are still being ended.
            Effect::NodeLeft { node } if node == me => {
                self.leaving = true;
                self.on_own_loss();
            }
            _ => {}
        }
    }

    /// A later entry of the same batch may have taken the grant back: then its body never starts.
    fn is_present(&self, task: TaskNo, grant: Grant) -> bool {
        let present = self.swarm.task(task).and_then(|task| task.phase.grant());
        present.is_some_and(|(_, present)| present == grant) || self.breaks(Mutant::StartsStaleGrant)
    }

    /// Ends the bodies, forgets what can no longer be said, and joins anew when they are gone.
    fn on_own_loss(&mut self) {
        self.stage = Stage::Ending;
        for peer in std::mem::take(&mut self.still) {
            self.asks.push(Ask::Suspend { peer, still: false });
        }
        self.stop_all(Body::Abandoned);
        for (task, grant) in std::mem::take(&mut self.messages) {
            self.asks.push(Ask::Stop { task, grant });
        }
        let (batch, tickets) =
            self.in_flight.take().map_or_else(Default::default, |(batch, tickets)| (batch.entries.clone(), tickets));
        for (op, ticket) in batch.into_iter().zip(tickets).chain(std::mem::take(&mut self.pending)) {
            // A result is not thrown away: it will be refused, and kept where people can look at it.
            if is_result(&op) && !self.breaks(Mutant::ResultDropped) {
                self.pending.push_back((op, ticket));
            } else {
                self.answer(ticket, Answer::NodeLost);
            }
        }
    }

    fn stop(&mut self, task: TaskNo, grant: Grant, why: Body) {
        if let Some(body) = self.bodies.get_mut(&(task, grant))
            && *body != Body::Abandoned
        {
            let told = std::mem::replace(body, why) != Body::Runs;
            if !told {
                self.asks.push(Ask::Stop { task, grant });
            }
            if why == Body::Cancelled && self.breaks(Mutant::SlotFreedEarly) {
                self.return_early(task, grant);
            }
        }
    }

    fn stop_all(&mut self, why: Body) {
        for (task, grant) in self.bodies.keys().copied().collect::<Vec<_>>() {
            self.stop(task, grant, why);
        }
    }

    /// The messages of an attempt whose body has ended hold nothing any more.
    fn stop_messages(&mut self, task: TaskNo, grant: Grant) {
        if self.messages.remove(&(task, grant)) {
            self.asks.push(Ask::Stop { task, grant });
        }
    }

    fn on_body_ended(&mut self, end: BodyEnd) {
        let Some(body) = self.bodies.remove(&(end.task, end.grant)) else { return };
        let outcome = match (end.outcome, body) {
            (Some(outcome), _) => outcome,
            (None, Body::Cancelled) => AttemptOutcome::Cancelled,
            (None, Body::Interrupted | Body::Runs) => AttemptOutcome::Interrupted,
            (None, Body::Abandoned) => return,
        };
        let BodyEnd { task, grant, result, error, usage, started_ms, ran_ms, messages_open, .. } = end;
        let counted = !self.breaks(Mutant::MessagesForgotten);
        let messages_open = counted && messages_open && outcome == AttemptOutcome::Ok && body != Body::Abandoned;
        if messages_open {
            self.messages.insert((task, grant));
        }
        self.wish(Op::Return(Returned {
            task,
            grant,
            outcome,
            result,
            error,
            usage,
            started_ms,
            ran_ms,
            messages_open,
        }));
    }

    fn on_check_ended(&mut self, checked: Op, task: TaskNo, grant: Grant) {
        match self.bodies.remove(&(task, grant)) {
            // An interrupted check says nothing of the evidence: the loss of the peer repeats it.
            None | Some(Body::Abandoned | Body::Interrupted) => {}
            Some(Body::Runs | Body::Cancelled) => self.wish(checked),
        }
    }

    fn sleep_for(&mut self, wait: WaitNo, ms: u64) {
        let Stage::Member(me) = self.stage else { return };
        let rank = self.swarm.present_nodes().take_while(|(no, _)| *no != me).count() as u64;
        if rank > 0 && self.breaks(Mutant::DueByFirstAlone) {
            return;
        }
        let ms = if self.breaks(Mutant::DueEarly) { ms / 2 } else { ms };
        let ms = ms.saturating_add(rank.saturating_mul(DUE_STAGGER_MS));
        self.asks.push(Ask::Sleep { timer: Timer::Due(wait), ms });
    }

    fn on_fired(&mut self, timer: Timer) {
        match timer {
            Timer::Due(wait) => {
                if self.swarm.open_wait(wait).is_some() && self.is_member() {
                    self.wish(Op::Due { wait });
                }
            }
            Timer::Rebalance => {
                if self.is_first() && !self.swarm.is_balanced(self.setup.imbalance_permille) && self.swarm.has_move() {
                    self.wish(Op::Rebalance);
                }
                if let Some(ms) = self.setup.rebalance_ms.filter(|_| !self.leaving) {
                    self.asks.push(Ask::Sleep { timer: Timer::Rebalance, ms });
                }
            }
        }
    }

    fn is_first(&self) -> bool {
        let first = self.swarm.present_nodes().next().map(|(no, _)| no);
        matches!(self.stage, Stage::Member(me) if first == Some(me))
    }

    fn on_silent(&mut self, incarnation: Position) {
        let heard = self.swarm.present_nodes().find(|(_, node)| node.incarnation == incarnation);
        if let (Some((_, node)), true) = (heard, self.is_member()) {
            let heard = node.heard;
            self.wish(Op::NodeLost { incarnation, heard });
        }
    }

    fn on_shutdown(&mut self) {
        self.leaving = true;
    }

    /// What follows once earlier steps have come back: joining anew, and the steps of leaving.
    fn go_on(&mut self) {
        let ended = self.bodies.is_empty() || self.breaks(Mutant::JoinsWithBodies);
        if self.stage == Stage::Ending && ended {
            // A result that is still to be handed in needs a place in the swarm.
            if self.leaving && self.pending.is_empty() { self.leave(&Answer::NodeLost) } else { self.join() }
        }
        if let (Stage::Member(me), true) = (self.stage, self.leaving) {
            self.go_on_leaving(me);
        }
    }

    /// Pause, stop the bodies, report their ends, take the peers down, leave. The next step follows from what is
    /// the case, not from what was done: a peer may have come or been resumed, a check begun meanwhile.
    fn go_on_leaving(&mut self, me: NodeNo) {
        let up = self.swarm.peers().filter(|(_, peer)| peer.up && peer.node == me);
        let (paused, open): (Vec<_>, Vec<_>) = up.partition(|(_, peer)| peer.paused == Some(PauseReason::Shutdown));
        let ids = |peers: Vec<(PeerNo, &Peer)>| -> Vec<String> {
            peers.into_iter().map(|(_, peer)| peer.id.to_string()).collect()
        };
        let (paused, open) = (ids(paused), ids(open));
        if !open.is_empty() {
            self.wish_unless_undecided(open, |peer| Op::Pause { peer, reason: PauseReason::Shutdown });
            return;
        }
        // The pauses are applied, so nothing new starts: now the bodies can be ended.
        self.stop_all(Body::Interrupted);
        if !self.bodies.is_empty() {
            return;
        }
        self.closing = true;
        self.wish_unless_undecided(paused, |peer| Op::PeerDown { peer, why: DownReason::Shutdown });
        if !self.has_undecided() {
            self.wish(Op::Leave);
        }
    }

    fn wish_unless_undecided(&mut self, peers: Vec<String>, op: impl Fn(String) -> Op) {
        let ops: Vec<Op> = peers.into_iter().map(op).collect();
        let in_flight = self.in_flight.iter().flat_map(|(batch, _)| &batch.entries);
        let undecided = in_flight.chain(self.pending.iter().map(|(op, _)| op));
        let mut said = vec![false; ops.len()];
        for other in undecided.filter(|op| matches!(op, Op::Pause { .. } | Op::PeerDown { .. })) {
            ops.iter().zip(&mut said).filter(|(op, _)| *op == other).for_each(|(_, said)| *said = true);
        }
        for (op, _) in ops.into_iter().zip(said).filter(|(_, said)| !said) {
            self.wish(op);
        }
    }

    /// Nothing of this node runs; what was not decided is not decided here any more.
    fn leave(&mut self, answer: &Answer) {
        self.stage = Stage::Left;
        for (_, ticket) in std::mem::take(&mut self.pending) {
            self.answer(ticket, answer.clone());
        }
        self.asks.push(Ask::Left);
    }

    /// One batch in flight: as much of what is pending as one may hold.
    fn append(&mut self, now_ms: u64) {
        let may = match self.stage {
            Stage::Joining | Stage::Member(_) => self.in_flight.is_none() && !self.pending.is_empty(),
            Stage::CatchingUp | Stage::Ending | Stage::Left => false,
        };
        if !may {
            return;
        }
        let joining = self.stage == Stage::Joining;
        let mut bytes = 0;
        let (mut entries, mut tickets) = (Vec::new(), Vec::new());
        while let Some((op, _)) = self.pending.front() {
            bytes += encoded_len(op);
            let full = bytes > BATCH_ENTRIES_BYTES || entries.len() == ENTRIES_A_BATCH_MAX;
            if full && !entries.is_empty() || joining && !matches!(op, Op::Open { .. } | Op::Join { .. }) {
                break;
            }
            let (op, ticket) = self.pending.pop_front().expect("its front was just looked at");
            entries.push(op);
            tickets.push(ticket);
        }
        let (incarnation, seq) =
            if joining { (Position::START, self.setup.nonce) } else { (self.incarnation, self.next_seq) };
        let author = Author { node: self.setup.name.clone(), incarnation };
        if self.breaks(Mutant::ActsBeforeApplied) {
            self.answer_early(&mut tickets);
        }
        let batch = Arc::new(Batch { author, seq, seen: self.swarm.last(), time_ms: now_ms, entries });
        self.next_seq += u64::from(!joining);
        self.in_flight = Some((batch.clone(), tickets));
        self.asks.push(Ask::Append(batch));
    }
}

/// What an attempt says by itself, not because it was stopped.
fn is_result(op: &Op) -> bool {
    matches!(op, Op::Return(Returned { outcome, .. }) if !matches!(outcome, AttemptOutcome::Interrupted | AttemptOutcome::Cancelled))
}

fn answer_of(position: Position, effects: &Effects) -> Answer {
    if let Some(refusal) = &effects.refusal {
        return Answer::Refused(refusal.clone());
    }
    let mut tasks: Vec<(u32, TaskNo)> = effects
        .list
        .iter()
        .filter_map(|effect| match effect {
            Effect::Submitted { task, index } | Effect::Kept { task, index } | Effect::Amended { task, index } => {
                Some((*index, *task))
            }
            _ => None,
        })
        .collect();
    tasks.sort_unstable();
    Answer::Accepted { position, tasks: tasks.into_iter().map(|(_, task)| task).collect() }
}
