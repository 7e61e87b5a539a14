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

use crate::codec::encoded_len;
use crate::config::{BATCH_BYTES_MAX, Config, ENTRY_BYTES_MAX};
use crate::effect::{Effect, Effects};
use crate::ids::{ENTRIES_A_BATCH_MAX, Grant, NodeNo, PeerNo, Position, TaskNo, WaitNo};
use crate::op::{
    AttemptOutcome, Author, Batch, DownReason, Op, PauseReason, Payload, PeerSpec, Returned, Tokens, VERSION,
};
use crate::refusal::{LogFault, Refusal};
use crate::swarm::Swarm;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A node that is not the lowest present one appends a `Due` this much later a rank, in ms: long enough
/// that the first one's entry is usually read before the second would be written.
const DUE_STAGGER_MS: u64 = 500;
/// Part of [`BATCH_BYTES_MAX`] that entries may fill; the rest is for the batch's own fields.
const BATCH_ENTRIES_BYTES: usize = BATCH_BYTES_MAX - 4 * 1024;

/// Names a wish, so that its answer finds whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input {
    /// The log holds this batch, the next one after those that were told before.
    Stored {
        /// Its sequence number.
        seq: u64,
        /// The batch; the very value that was appended, where the driver still has it.
        batch: Arc<Batch>,
    },
    /// Everything that the log held at the start has been told: the node may join.
    CaughtUp,
    /// The append in flight came back with an error; it may have been stored all the same.
    AppendFailed,
    /// Somebody wants something decided.
    Wish {
        /// What.
        op: Op,
        /// Who is answered; `None`: nobody.
        ticket: Option<Ticket>,
    },
    /// A body has ended, and no process of it is left.
    BodyEnded(BodyEnd),
    /// Evidence was looked at, and no process of the check is left.
    CheckEnded {
        /// The task.
        task: TaskNo,
        /// The grant of the check.
        grant: Grant,
        /// Whether it held.
        passed: bool,
        /// What was seen.
        evidence: String,
        /// How long it took, in ms.
        ran_ms: u64,
    },
    /// The messages of a returned attempt are all acknowledged.
    MessagesSettled {
        /// The task.
        task: TaskNo,
        /// The grant of its attempt.
        grant: Grant,
    },
    /// A timer that was asked for has run out.
    Fired(Timer),
    /// The failure detector has not heard of a node for too long.
    Silent {
        /// Its incarnation.
        incarnation: Position,
    },
    /// Somebody says that this node is suspected.
    Suspected,
    /// The node is to stop: no new work, bodies are interrupted, peers leave.
    Shutdown,
}

/// How a body ended.
#[derive(Clone, Debug)]
pub struct BodyEnd {
    /// Its task.
    pub task: TaskNo,
    /// Its grant.
    pub grant: Grant,
    /// How it ended by itself; `None`: because it was stopped.
    pub outcome: Option<AttemptOutcome>,
    /// What came out.
    pub result: Option<Payload>,
    /// Why it did not end ok.
    pub error: Option<String>,
    /// Tokens spent.
    pub usage: Tokens,
    /// When it started, ms since the epoch; for display.
    pub started_ms: u64,
    /// How long it ran, in ms.
    pub ran_ms: u64,
    /// Messages that it sent are not acknowledged yet.
    pub messages_open: bool,
}

/// What a node asks of the world. In order; "start" and "stop" of one body never cross.
#[derive(Clone, Debug)]
#[must_use = "asks are to be performed"]
pub enum Ask {
    /// Append this batch; again and unchanged until it has been read back.
    Append(Arc<Batch>),
    /// Start a body.
    Start {
        /// The task.
        task: TaskNo,
        /// Its grant.
        grant: Grant,
        /// The peer.
        peer: PeerNo,
        /// Number of the attempt.
        attempt: u32,
    },
    /// Let a body that waits for its children go on.
    Continue {
        /// The task.
        task: TaskNo,
        /// Its grant.
        grant: Grant,
    },
    /// Look at the evidence of a task.
    Check {
        /// The task.
        task: TaskNo,
        /// The grant of the check.
        grant: Grant,
        /// The peer.
        peer: PeerNo,
        /// The attempt that is checked.
        attempt: u32,
    },
    /// End a body or check; its end is awaited as an input.
    Stop {
        /// The task.
        task: TaskNo,
        /// Its grant.
        grant: Grant,
    },
    /// A peer's processes are to stand still, or to go on.
    Suspend {
        /// The peer.
        peer: PeerNo,
        /// `false`: go on.
        still: bool,
    },
    /// Give this timer back after so many ms.
    Sleep {
        /// The timer.
        timer: Timer,
        /// How long.
        ms: u64,
    },
    /// A wish was decided.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// What became of it.
        answer: Answer,
    },
    /// A round closed: completion.
    RoundClosed(crate::swarm::ClosedRound),
    /// The node has left; nothing of it runs.
    Left,
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Decided, and applied.
    Accepted {
        /// Where it lies in the log.
        position: Position,
        /// For a submission: its tasks, by index.
        tasks: Vec<TaskNo>,
    },
    /// Decided, and refused: nothing changed.
    Refused(Refusal),
    /// Over the limit of an entry; it was not written.
    TooLarge {
        /// Bytes of the entry.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// The node lost its place before this was decided; it may be asked again.
    NodeLost,
}

/// A timer as a value. A stale one is recognised, not cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A wait may be over.
    Due(WaitNo),
    /// Time to look at the balance.
    Rebalance,
}

/// What a node is told at its birth.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The node's name.
    pub name: String,
    /// Opens an empty log with these; `None`: an empty log is an error of the caller.
    pub open: Option<(String, String, Config)>,
    /// Sessions that it may hold.
    pub sessions: u32,
    /// Its peers.
    pub peers: Vec<PeerSpec>,
    /// Look at the balance this often, in ms; `None`: never.
    pub rebalance_ms: Option<u64>,
    /// Rebalance when the largest load is more than this many thousandths of the mean.
    pub imbalance_permille: u64,
}

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
    leaving: bool,
    stopped_all: bool,
    down_sent: bool,
    asks: Vec<Ask>,
}

impl Node {
    /// A node that has read `swarm` so far: an empty one, or what a snapshot holds.
    pub fn new(setup: Setup, swarm: Swarm) -> Self {
        Self {
            setup,
            swarm,
            stage: Stage::CatchingUp,
            incarnation: Position::START,
            next_seq: 0,
            pending: VecDeque::new(),
            in_flight: None,
            bodies: BTreeMap::new(),
            leaving: false,
            stopped_all: false,
            down_sent: false,
            asks: Vec::new(),
        }
    }

    /// The swarm as this node has read it.
    pub fn swarm(&self) -> &Swarm {
        &self.swarm
    }

    /// Whether the node has joined and was not given up on.
    pub fn is_member(&self) -> bool {
        matches!(self.stage, Stage::Member(_))
    }

    /// Whether a body or check of this grant runs here.
    pub fn runs(&self, task: TaskNo, grant: Grant) -> bool {
        self.bodies.contains_key(&(task, grant))
    }

    /// Whether decisions wait for the log.
    pub fn has_undecided(&self) -> bool {
        self.in_flight.is_some() || !self.pending.is_empty()
    }

    /// The one door: what happened goes in, what is to be done comes out. `now_ms` (since the epoch) is
    /// written into batches for display.
    ///
    /// # Errors
    /// [`LogFault`] when the log is not what it was: the node must stop, nothing further may be applied.
    pub fn handle(&mut self, input: Input, now_ms: u64) -> Result<Vec<Ask>, LogFault> {
        match input {
            Input::Stored { seq, batch } => self.on_stored(seq, &batch)?,
            Input::CaughtUp => self.on_caught_up(),
            Input::AppendFailed => {
                if let Some((batch, _)) = &self.in_flight {
                    self.asks.push(Ask::Append(batch.clone()));
                }
            }
            Input::Wish { op, ticket } => self.on_wish(op, ticket),
            Input::BodyEnded(end) => self.on_body_ended(end),
            Input::CheckEnded { task, grant, passed, evidence, ran_ms } => {
                self.on_check_ended(Op::Checked { task, grant, passed, evidence, ran_ms }, task, grant);
            }
            Input::MessagesSettled { task, grant } => self.wish(Op::Settled { task, grant }),
            Input::Fired(timer) => self.on_fired(timer),
            Input::Silent { incarnation } => self.on_silent(incarnation),
            Input::Suspected => self.wish(Op::Alive),
            Input::Shutdown => self.on_shutdown(),
        }
        self.go_on();
        self.append(now_ms);
        Ok(std::mem::take(&mut self.asks))
    }

    fn wish(&mut self, op: Op) {
        self.pending.push_back((op, None));
    }

    fn on_wish(&mut self, op: Op, ticket: Option<Ticket>) {
        let found = encoded_len(&op);
        if found <= ENTRY_BYTES_MAX {
            self.pending.push_back((op, ticket));
        } else {
            self.answer(ticket, Answer::TooLarge { found, most: ENTRY_BYTES_MAX });
        }
    }

    fn answer(&mut self, ticket: Option<Ticket>, answer: Answer) {
        if let Some(ticket) = ticket {
            self.asks.push(Ask::Answer { ticket, answer });
        }
    }

    fn on_caught_up(&mut self) {
        assert_eq!(self.stage, Stage::CatchingUp, "a node catches up once");
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
        for (index, effects) in applied.effects.into_iter().enumerate() {
            let position = Position::new(seq, index);
            let joined = effects.list.iter().any(|effect| matches!(effect, Effect::Joined { .. }));
            if own && joined {
                self.on_joined(position);
            }
            if let Some(ticket) = tickets.as_ref().and_then(|tickets| tickets[index]) {
                let answer = answer_of(position, &effects);
                self.answer(Some(ticket), answer);
            }
            for effect in effects.list {
                self.on_effect(effect);
            }
        }
        Ok(())
    }

    fn on_joined(&mut self, incarnation: Position) {
        self.incarnation = incarnation;
        self.next_seq = 1;
        let last = self.swarm.node_no(incarnation);
        self.stage = Stage::Member(last.expect("a Join that was applied made this node"));
        // Who is to leave before it was there announces nobody.
        let peers = if self.leaving { Vec::new() } else { self.setup.peers.clone() };
        for peer in peers.into_iter().rev() {
            self.pending.push_front((Op::PeerUp(peer), None));
        }
        // After a restart waits are counted anew: late, never early.
        let waits: Vec<(WaitNo, u64)> = self.swarm.open_waits().map(|(no, wait)| (no, wait.ms)).collect();
        for (wait, ms) in waits {
            self.sleep_for(wait, ms);
        }
    }

    fn on_effect(&mut self, effect: Effect) {
        let Stage::Member(me) = self.stage else { return };
        let mine = |node: &Self, peer: PeerNo| node.swarm.peer(peer).is_some_and(|peer| peer.node == me);
        match effect {
            Effect::Start { task, grant, peer, attempt } if mine(self, peer) => {
                self.bodies.insert((task, grant), Body::Runs);
                self.asks.push(Ask::Start { task, grant, peer, attempt });
            }
            Effect::Check { task, grant, peer, attempt } if mine(self, peer) => {
                self.bodies.insert((task, grant), Body::Runs);
                self.asks.push(Ask::Check { task, grant, peer, attempt });
            }
            Effect::Continue { task, grant, peer } if mine(self, peer) => {
                self.asks.push(Ask::Continue { task, grant });
            }
            Effect::Stop { task, grant, awaited, .. } => {
                self.stop(task, grant, if awaited { Body::Cancelled } else { Body::Abandoned });
            }
            Effect::Paused { peer, reason: PauseReason::User | PauseReason::RateLimit } if mine(self, peer) => {
                self.asks.push(Ask::Suspend { peer, still: true });
            }
            Effect::Resumed { peer } if mine(self, peer) => self.asks.push(Ask::Suspend { peer, still: false }),
            Effect::Await { wait, ms } => self.sleep_for(wait, ms),
            Effect::NodeLost { node } if node == me => self.on_own_loss(),
            Effect::RoundClosed { .. } => {
                let closed = self.swarm.last_round().expect("a round just closed");
                self.asks.push(Ask::RoundClosed(closed));
            }
            _ => {}
        }
    }

    /// Ends the bodies, forgets what can no longer be said, and joins anew when they are gone.
    fn on_own_loss(&mut self) {
        self.stage = Stage::Ending;
        let bodies: Vec<(TaskNo, Grant)> = self.bodies.keys().copied().collect();
        for (task, grant) in bodies {
            self.stop(task, grant, Body::Abandoned);
        }
        let in_flight = self.in_flight.take().map(|(_, tickets)| tickets).unwrap_or_default();
        let pending: Vec<Option<Ticket>> = self.pending.drain(..).map(|(_, ticket)| ticket).collect();
        for ticket in in_flight.into_iter().chain(pending) {
            self.answer(ticket, Answer::NodeLost);
        }
    }

    fn stop(&mut self, task: TaskNo, grant: Grant, why: Body) {
        if let Some(body) = self.bodies.get_mut(&(task, grant)) {
            let told = std::mem::replace(body, why) != Body::Runs;
            if !told {
                self.asks.push(Ask::Stop { task, grant });
            }
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
        let messages_open = messages_open && outcome == AttemptOutcome::Ok;
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
        if let Some((_, node)) = heard {
            let heard = node.heard;
            self.wish(Op::NodeLost { incarnation, heard });
        }
    }

    /// Peers of this node that are up, or will be when what is pending has come back.
    fn own_peers(&self) -> BTreeSet<String> {
        let Stage::Member(me) = self.stage else { return BTreeSet::new() };
        let up = self.swarm.peers().filter(|(_, peer)| peer.up && peer.node == me);
        let mut own: BTreeSet<String> = up.map(|(_, peer)| peer.id.to_string()).collect();
        let announced = |op: &Op| if let Op::PeerUp(peer) = op { Some(peer.id.clone()) } else { None };
        own.extend(self.pending.iter().filter_map(|(op, _)| announced(op)));
        own.extend(self.in_flight.iter().flat_map(|(batch, _)| &batch.entries).filter_map(announced));
        own
    }

    fn on_shutdown(&mut self) {
        self.leaving = true;
        for peer in self.own_peers() {
            self.wish(Op::Pause { peer, reason: PauseReason::Shutdown });
        }
    }

    /// What follows once earlier steps have come back: joining anew, and the steps of leaving.
    fn go_on(&mut self) {
        if self.stage == Stage::Ending && self.bodies.is_empty() {
            if self.leaving {
                self.stage = Stage::Left;
                self.asks.push(Ask::Left);
            } else {
                self.join();
            }
        }
        if !self.leaving || self.has_undecided() || !self.is_member() {
            return;
        }
        if !self.stopped_all {
            // The pauses are applied, so nothing new starts: now the bodies can be ended.
            self.stopped_all = true;
            let bodies: Vec<(TaskNo, Grant)> = self.bodies.keys().copied().collect();
            for (task, grant) in bodies {
                self.stop(task, grant, Body::Interrupted);
            }
        }
        if !self.bodies.is_empty() {
            return;
        }
        if !self.down_sent {
            self.down_sent = true;
            for peer in self.own_peers() {
                self.wish(Op::PeerDown { peer, why: DownReason::Shutdown });
            }
        }
        if self.pending.is_empty() {
            self.stage = Stage::Left;
            self.asks.push(Ask::Left);
        }
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
        let author = Author { node: self.setup.name.clone(), incarnation: self.incarnation_of_author() };
        let batch = Arc::new(Batch { author, seq: self.next_seq, seen: self.swarm.last(), time_ms: now_ms, entries });
        self.next_seq += u64::from(!joining);
        self.in_flight = Some((batch.clone(), tickets));
        self.asks.push(Ask::Append(batch));
    }

    fn incarnation_of_author(&self) -> Position {
        if self.stage == Stage::Joining { Position::START } else { self.incarnation }
    }
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
