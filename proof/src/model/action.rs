//! What can happen next: people, bodies, the network, the log, time, and misfortune.

use super::scope::{Scope, Script, Want};
use super::world::{Body, Does, Key, Process, World};
use meshwork_core::node::Answer;
use meshwork_core::{AttemptOutcome, Op, PauseReason, PeerNo, PeerSpec, Position, Swarm, TaskNo, WaitNo};

/// One step. The world is the same whenever the same step is taken from the same state.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The log stores an append that is on its way: whichever, so in all orders. Who lags does not read it now.
    Store {
        /// Which.
        letter: usize,
        /// Who lags.
        lags: Lags,
    },
    /// A node that lags reads the next batch.
    Read(usize),
    /// It dies while it does so, after it has done so many of the things that follow.
    CutShort(usize, usize),
    /// A body goes on.
    Body(usize, Key, Move),
    /// The messages of a returned attempt are all acknowledged.
    Acknowledged(usize, Key),
    /// A handler of such a message submits a child of the sending task.
    Handler(usize, Key),
    /// A timer runs out.
    Fire(usize, WaitNo),
    /// A node has not heard of an incarnation for too long; who is suspected may hear of it.
    Suspect {
        /// By which node.
        by: usize,
        /// Whom.
        incarnation: Position,
        /// The living process that it is, if it lives.
        alive: Option<usize>,
        /// It hears that it is suspected.
        hears: bool,
    },
    /// A process dies.
    Crash(usize),
    /// A process starts, under a name that nobody living has.
    Start(usize),
    /// An append in flight comes back with an error.
    Error(usize),
    /// A node is told to stop.
    Shutdown(usize),
    /// The agent of a peer of this node dies.
    PeerDies(usize, PeerNo),
    /// It is there again, and nothing of the dead one is left.
    PeerReturns(usize, PeerNo),
    /// A person makes the next wish.
    Want(usize),
    /// A person cancels a task.
    Cancel(TaskNo),
    /// A person pauses a peer.
    Pause(PeerNo, PauseReason),
    /// A person lets it go on.
    Resume(PeerNo),
}

/// Who does not read a batch at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lags {
    /// Those that lag already.
    NobodyElse,
    /// This one too.
    Also(usize),
    /// Everybody.
    All,
}

/// What a body does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It submits its children.
    Submits,
    /// It waits for them.
    Waits,
    /// It ends by itself.
    Ends(AttemptOutcome),
    /// It ends ok, and messages that it sent are open.
    EndsWithMessages,
    /// It is gone because it was stopped.
    Gone,
    /// A check ends.
    Checked(bool),
}

impl World {
    /// Everything that can happen, in a fixed order.
    pub(crate) fn actions(&self, scope: &Scope, actions: &mut Vec<Action>) {
        if self.violation.is_some() {
            return;
        }
        self.of_log(scope, actions);
        for (name, process) in self.alive() {
            self.of_process(scope, name, process, actions);
        }
        self.of_people(scope, actions);
        self.of_world(scope, actions);
    }

    fn of_log(&self, scope: &Scope, actions: &mut Vec<Action>) {
        for (index, letter) in self.on_way.iter().enumerate() {
            let same = |other: &super::world::Letter| other.batch == letter.batch && other.name == letter.name;
            if self.on_way[..index].iter().any(same) {
                continue;
            }
            if scope.lags_at_will {
                actions.push(Action::Store { letter: index, lags: Lags::All });
                continue;
            }
            actions.push(Action::Store { letter: index, lags: Lags::NobodyElse });
            if self.may(self.budgets.lags) {
                let prompt = self.alive().filter(|(_, process)| self.lag(process) == 0);
                actions.extend(prompt.map(|(name, _)| Action::Store { letter: index, lags: Lags::Also(name) }));
            }
        }
    }

    /// Whether this misfortune is still to be had.
    fn may(&self, left: u8) -> bool {
        left > 0 && self.budgets.faults > 0
    }

    fn of_process(&self, scope: &Scope, name: usize, process: &Process, actions: &mut Vec<Action>) {
        if self.lag(process) > 0 {
            actions.push(Action::Read(name));
            if self.may(self.budgets.crashes) && scope.replays {
                actions.extend((1..=3).map(|after| Action::CutShort(name, after)));
            }
        }
        for (key, body) in &process.bodies {
            self.of_body(scope, process, *key, body, &mut |what| actions.push(Action::Body(name, *key, what)));
        }
        for (key, submitted) in &process.messages {
            actions.push(Action::Acknowledged(name, *key));
            if !submitted && self.script(scope, key.0).is_some_and(|script| script.handler_child.is_some()) {
                actions.push(Action::Handler(name, *key));
            }
        }
        actions.extend(process.timers.iter().map(|wait| Action::Fire(name, *wait)));
        if process.node.in_flight().is_some() && self.may(self.budgets.errors) {
            actions.push(Action::Error(name));
        }
        if process.node.is_member() {
            self.of_detector(name, process, actions);
            self.of_peers(name, process, actions);
        }
    }

    /// Of the script of a task; `None` for one that no script knows.
    pub(crate) fn script<'a>(&self, scope: &'a Scope, task: TaskNo) -> Option<&'a Script> {
        let record = self.reference.task(task)?;
        scope.scripts.get(if record.reviews.is_some() { "review" } else { &*record.id })
    }

    fn of_body(&self, scope: &Scope, process: &Process, (task, _): Key, body: &Body, go: &mut dyn FnMut(Move)) {
        let Some(script) = self.script(scope, task) else { return };
        let fails = self.budgets.failures > 0;
        if body.does == Does::Check {
            // A check that was stopped says nothing of the evidence.
            go(Move::Checked(!body.stopped));
            if script.unverified && fails && !body.stopped {
                go(Move::Checked(false));
            }
            return;
        }
        if body.stopped {
            go(Move::Gone);
        } else if process.still.contains(&body.peer) {
            return;
        }
        let ends = match body.does {
            Does::Begins if script.children.is_empty() => true,
            Does::Begins => script.forgets && !body.first,
            Does::HasChildren => script.leaves,
            Does::GoesOn => true,
            Does::Fails => {
                go(Move::Ends(AttemptOutcome::Failed));
                false
            }
            Does::Check | Does::Submits | Does::Waits => false,
        };
        if ends {
            let with_messages = script.messages && !body.stopped;
            go(if with_messages { Move::EndsWithMessages } else { Move::Ends(AttemptOutcome::Ok) });
        }
        if body.stopped {
            return;
        }
        if body.does == Does::Begins && !script.children.is_empty() {
            go(Move::Submits);
        }
        if body.does == Does::HasChildren && script.waits {
            go(Move::Waits);
        }
        if fails && matches!(body.does, Does::Begins | Does::GoesOn | Does::HasChildren) {
            go(Move::Ends(AttemptOutcome::Failed));
        }
        if fails && script.rejects {
            go(Move::Ends(AttemptOutcome::Rejected));
        }
        if self.may(self.budgets.losses) && body.does != Does::Fails {
            go(Move::Ends(AttemptOutcome::Lost));
        }
    }

    /// Who is dead may be suspected any time, who lives as often as the budget says.
    fn of_detector(&self, by: usize, process: &Process, actions: &mut Vec<Action>) {
        for (_, node) in process.node.swarm().present_nodes() {
            let incarnation = node.incarnation;
            let said = |op: &Op| matches!(op, Op::NodeLost { incarnation: other, .. } if *other == incarnation);
            if process.node.incarnation() == Some(incarnation) || process.node.undecided().any(said) {
                continue;
            }
            let alive = self.alive().find(|(_, other)| self.is_incarnation(other, incarnation));
            match alive {
                None => actions.push(Action::Suspect { by, incarnation, alive: None, hears: false }),
                Some((name, _)) if self.may(self.budgets.suspicions) => {
                    let suspect = |hears| Action::Suspect { by, incarnation, alive: Some(name), hears };
                    actions.extend([suspect(false), suspect(true)]);
                }
                Some(_) => {}
            }
        }
    }

    fn of_peers(&self, name: usize, process: &Process, actions: &mut Vec<Action>) {
        let swarm = process.node.swarm();
        let host = |no| swarm.node(no).map(|node| node.incarnation);
        for (no, peer) in swarm.peers() {
            let own = host(peer.node).is_some_and(|host| Some(host) == process.node.incarnation());
            let is_its = |op: &Op| match op {
                Op::PeerDown { peer: id, .. } | Op::PeerUp(PeerSpec { id, .. }) => **id == *peer.id,
                _ => false,
            };
            if !own || process.node.undecided().any(is_its) {
                continue;
            }
            let left = process.bodies.values().any(|body| body.peer == no);
            if !peer.up && !left {
                actions.push(Action::PeerReturns(name, no));
            } else if peer.up && self.may(self.budgets.deaths) {
                actions.push(Action::PeerDies(name, no));
            }
        }
    }

    /// Whether a living process has this incarnation, or will when it reads that its Join was stored.
    fn is_incarnation(&self, process: &Process, incarnation: Position) -> bool {
        let joins = || {
            let cell = self.cell(incarnation.seq());
            cell.is_some_and(|cell| process.node.in_flight() == Some(&cell.batch))
        };
        process.node.incarnation() == Some(incarnation) || !process.node.is_member() && joins()
    }

    /// The first living process from this one on.
    pub(crate) fn at(&self, from: usize) -> Option<(usize, &Process)> {
        let count = self.processes.len();
        let name = (from..from + count).map(|name| name % count).find(|name| self.processes[*name].is_some())?;
        Some((name, self.processes[name].as_deref()?))
    }

    fn of_people(&self, scope: &Scope, actions: &mut Vec<Action>) {
        for (index, person) in scope.people.iter().enumerate() {
            let progress = self.people[index];
            let Some(want) = person.wants.get(progress.wants) else { continue };
            let Some((_, process)) = self.at(progress.at).filter(|_| progress.asked.is_none()) else { continue };
            let swarm = process.node.swarm();
            let may = match want {
                Want::Submit(..) | Want::Edit(_) | Want::Leave => true,
                Want::Seal(number) => swarm.round().is_some_and(|round| round.number == *number),
                Want::Told(_) => false,
            };
            if may {
                actions.push(Action::Want(index));
            }
        }
        let Some((_, process)) = self.at(0) else { return };
        let swarm = process.node.swarm();
        if self.may(self.budgets.cancels) {
            let open = swarm.tasks().filter(|(_, task)| !task.phase.is_closed() && !task.cancelled);
            actions.extend(open.map(|(no, _)| Action::Cancel(no)));
        }
        for (no, peer) in swarm.peers().filter(|(_, peer)| peer.up) {
            let undecided = |op: &Op| matches!(op, Op::Resume { peer: id } if **id == *peer.id);
            if peer.paused == Some(PauseReason::User) && !process.node.undecided().any(undecided) {
                actions.push(Action::Resume(no));
            }
            if peer.paused.is_none() && self.may(self.budgets.pauses) {
                actions.push(Action::Pause(no, PauseReason::User));
            }
            if peer.paused.is_none() && peer.load() == 0 && self.may(self.budgets.idle_pauses) {
                actions.push(Action::Pause(no, PauseReason::Idle));
            }
        }
    }

    fn of_world(&self, scope: &Scope, actions: &mut Vec<Action>) {
        for name in 0..scope.nodes {
            if self.processes[name].is_none() {
                actions.push(Action::Start(name));
                continue;
            }
            if self.may(self.budgets.crashes) {
                actions.push(Action::Crash(name));
            }
            if self.may(self.budgets.shutdowns) {
                actions.push(Action::Shutdown(name));
            }
        }
    }

    /// Whether this step is what good processes, people and networks do: completion has to be reachable by
    /// such steps alone. A dead process need not start again while another one lives, and what it had
    /// appended need not arrive.
    pub(crate) fn is_good(&self, action: &Action) -> bool {
        match action {
            Action::Store { letter, lags } => self.is_own(&self.on_way[*letter]) && !matches!(lags, Lags::Also(_)),
            Action::Read(_) | Action::Acknowledged(..) | Action::Fire(..) | Action::Want(_) => true,
            Action::Resume(_) | Action::PeerReturns(..) => true,
            Action::Body(name, key, what) => self.is_good_move(*name, *key, *what),
            Action::Suspect { alive, .. } => alive.is_none(),
            Action::Start(_) => self.alive().next().is_none(),
            Action::CutShort(..)
            | Action::Handler(..)
            | Action::Crash(_)
            | Action::Error(_)
            | Action::Shutdown(_)
            | Action::PeerDies(..)
            | Action::Cancel(_)
            | Action::Pause(..) => false,
        }
    }

    fn is_good_move(&self, name: usize, key: Key, what: Move) -> bool {
        let body = self.processes[name].as_ref().and_then(|process| process.bodies.get(&key));
        let refused = body.is_some_and(|body| body.does == Does::Fails);
        let stopped = body.is_some_and(|body| body.stopped);
        match what {
            Move::Ends(AttemptOutcome::Failed) => refused,
            Move::Ends(AttemptOutcome::Lost | AttemptOutcome::Rejected) => false,
            Move::Checked(passed) => passed || stopped,
            Move::Submits | Move::Waits | Move::Ends(_) | Move::EndsWithMessages | Move::Gone => true,
        }
    }
}

/// Whether nothing is left to seal: the round is closed, or what was submitted needed no new one.
pub(crate) fn is_sealed(swarm: &Swarm, round: u32) -> bool {
    let last = swarm.last_round().map_or(0, |last| last.number);
    last >= round || last > 0 && last + 1 == round && swarm.round().is_none()
}

/// What a body makes of an answer.
pub(crate) fn heeds(body: &mut Body, answer: &Answer, next: Does) {
    body.does = if matches!(answer, Answer::Accepted { .. }) { next } else { Does::Fails };
}
