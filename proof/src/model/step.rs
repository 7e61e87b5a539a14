//! A step is taken: production code is told what happened, and what it asks for is done.

use super::action::{Action, Lags, Move, heeds, is_sealed};
use super::scope::{Scope, Want};
use super::verdict::{Check, Property, Violation, require};
use super::world::{Asked, Body, Does, Key, Letter, Process, World, name_of};
use meshwork_core::node::{Answer, Ask, BodyEnd, Input, Node, Ticket, Timer};
use meshwork_core::{
    AttemptOutcome, Batch, DownReason, Grant, Op, PauseReason, PeerNo, Position, Returned, Submission, Swarm, TaskNo,
    TaskSpec, Tokens,
};
use std::cell::Cell as Local;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

thread_local! {
    /// A panic of production code is a finding here, and is not to be printed a million times.
    static IN_STEP: Local<bool> = const { Local::new(false) };
}

fn quieten() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IN_STEP.get() {
                before(info);
            }
        }));
    });
}

impl World {
    /// What comes of an action; `None`: nothing changes.
    pub(crate) fn after_action(&self, scope: &Scope, action: &Action) -> Option<Self> {
        quieten();
        let mut next = self.clone();
        IN_STEP.set(true);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let changed = next.act(scope, action)?;
            next.are_told(scope);
            next.drop_spent(scope)?;
            Ok(changed)
        }));
        IN_STEP.set(false);
        match result {
            Ok(Ok(changed)) => changed.then_some(next),
            Ok(Err(violation)) => {
                next.violation = Some(Arc::new(violation));
                Some(next)
            }
            Err(payload) => {
                let text = payload.downcast_ref::<String>().cloned();
                let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let what = text.unwrap_or_else(|| "production code panicked".to_owned());
                let violation = Violation { property: Property::Invariants, what };
                Some(Self { violation: Some(Arc::new(violation)), ..self.clone() })
            }
        }
    }

    fn act(&mut self, scope: &Scope, action: &Action) -> Result<bool, Violation> {
        match action {
            Action::Store { letter, lags } => self.log_stores(scope, *letter, *lags)?,
            Action::Read(name) => self.reads(scope, *name, None)?,
            Action::CutShort(name, after) => return self.is_cut_short(scope, *name, *after),
            Action::Body(name, key, what) => self.body_moves(scope, *name, *key, *what)?,
            Action::Acknowledged(name, (task, grant)) => {
                self.process(*name).messages.remove(&(*task, *grant));
                self.tell(scope, *name, Input::MessagesSettled { task: *task, grant: *grant })?;
            }
            Action::Handler(name, key) => {
                self.process(*name).messages.insert(*key, true);
                let child = self.script(scope, key.0).and_then(|script| script.handler_child.clone());
                self.submits(scope, *name, *key, child.as_slice(), Asked::Handler(*key))?;
            }
            Action::Fire(name, wait) => {
                self.process(*name).timers.retain(|other| other != wait);
                self.tell(scope, *name, Input::Fired(Timer::Due(*wait)))?;
            }
            Action::Suspect { by, incarnation, alive, hears } => {
                self.suspects(scope, *by, *incarnation, *alive, *hears)?;
            }
            Action::Want(person) => self.wants(scope, *person)?,
            other => self.misfortune(scope, other)?,
        }
        Ok(true)
    }

    fn misfortune(&mut self, scope: &Scope, action: &Action) -> Check {
        let spend = |left: &mut u8| *left = left.saturating_sub(1);
        match action {
            Action::Start(name) => return self.starts(scope, *name),
            Action::Resume(peer) => return self.peer_wish(scope, 0, *peer, |peer| Op::Resume { peer }),
            Action::PeerReturns(name, peer) => {
                let spec = scope.peer_specs(*name).into_iter();
                let up = |id: String| spec.filter(|spec| spec.id == id).map(Op::PeerUp).next();
                let up = |id| up(id).expect("a node's peers are those of its setup");
                return self.peer_wish(scope, *name, *peer, up);
            }
            _ => spend(&mut self.budgets.faults),
        }
        match action {
            Action::Crash(name) => {
                spend(&mut self.budgets.crashes);
                self.dies(*name);
            }
            Action::Error(name) => {
                spend(&mut self.budgets.errors);
                self.tell(scope, *name, Input::AppendFailed)?;
            }
            Action::Shutdown(name) => {
                spend(&mut self.budgets.shutdowns);
                self.tell(scope, *name, Input::Shutdown)?;
            }
            Action::PeerDies(name, peer) => {
                spend(&mut self.budgets.deaths);
                let why = DownReason::Died;
                self.peer_wish(scope, *name, *peer, |peer| Op::PeerDown { peer, why })?;
            }
            Action::Cancel(task) => {
                spend(&mut self.budgets.cancels);
                self.wish(scope, 0, Op::Cancel { task: *task }, None)?;
            }
            Action::Pause(peer, reason) => {
                let idle = *reason == PauseReason::Idle;
                spend(if idle { &mut self.budgets.idle_pauses } else { &mut self.budgets.pauses });
                self.peer_wish(scope, 0, *peer, |peer| Op::Pause { peer, reason: *reason })?;
            }
            other => unreachable!("{other:?} is no misfortune"),
        }
        Ok(())
    }

    fn process(&mut self, name: usize) -> &mut Process {
        Arc::make_mut(self.processes[name].as_mut().expect("only who lives does something"))
    }

    fn log_stores(&mut self, scope: &Scope, letter: usize, lags: Lags) -> Check {
        let letter = self.on_way.remove(letter);
        let reads: Vec<usize> = match lags {
            Lags::All => Vec::new(),
            Lags::Also(_) | Lags::NobodyElse => {
                let prompt = self.alive().filter(|(_, process)| self.lag(process) == 0).map(|(name, _)| name);
                prompt.filter(|name| lags != Lags::Also(*name)).collect()
            }
        };
        if matches!(lags, Lags::Also(_)) {
            self.budgets.lags -= 1;
            self.budgets.faults -= 1;
        }
        self.store(&letter.batch)?;
        for name in reads {
            self.reads(scope, name, None)?;
        }
        Ok(())
    }

    /// Reads the next batch, and does what follows: all of it, or so much.
    fn reads(&mut self, scope: &Scope, name: usize, most: Option<usize>) -> Check {
        let Some(process) = &self.processes[name] else { return Ok(()) };
        let seq = process.read() + 1;
        let cell = self.cell(seq).cloned().expect("the log holds what has not been read");
        let results = losable(&process.node, &cell.batch);
        let member = process.node.is_member();
        self.tell_some(scope, name, Input::Stored { seq, batch: cell.batch.clone() }, most)?;
        let Some(process) = &self.processes[name] else { return Ok(()) };
        let (node, hash) = (&process.node, process.node.swarm().state_hash());
        require(hash == cell.hash, Property::SameHash, || {
            format!("{} has {hash:016x} after batch {seq}, the log's reader {:016x}", name_of(name), cell.hash)
        })?;
        let place = node.incarnation().and_then(|incarnation| node.swarm().node_no(incarnation));
        let present = place.and_then(|no| node.swarm().node(no)).is_some_and(|node| node.present);
        require(present || !node.is_member(), Property::NodeRules, || {
            format!("{} has read of its own loss, and goes on", name_of(name))
        })?;
        if member && !node.is_member() {
            let lost = results.iter().find(|op| !node.undecided().any(|other| other == *op));
            require(lost.is_none(), Property::NodeRules, || format!("{} throws away {lost:?}", name_of(name)))?;
        }
        Ok(())
    }

    fn is_cut_short(&mut self, scope: &Scope, name: usize, after: usize) -> Result<bool, Violation> {
        self.budgets.crashes -= 1;
        self.budgets.faults -= 1;
        let seq = self.processes[name].as_ref().map_or(0, |process| process.read());
        let asks = {
            let cell = self.cell(seq + 1).cloned().expect("the log holds what has not been read");
            let mut probe = self.processes[name].as_ref().expect("only who lives reads").node.clone();
            probe.handle(Input::Stored { seq: seq + 1, batch: cell.batch.clone() }, 0).map_or(0, |asks| asks.len())
        };
        if after >= asks {
            return Ok(false);
        }
        self.reads(scope, name, Some(after))?;
        if self.processes[name].is_some() {
            self.dies(name);
        }
        Ok(true)
    }

    /// Everything volatile is gone; what it had appended may still be stored, or never.
    fn dies(&mut self, name: usize) {
        self.processes[name] = None;
        for progress in self.people.iter_mut().filter(|progress| progress.asked == Some(name)) {
            progress.asked = None;
        }
    }

    /// A process that has read everything, or a snapshot of it, joins.
    fn starts(&mut self, scope: &Scope, name: usize) -> Check {
        self.lives[name] += 1;
        let process = name as u64 + 1;
        let setup = Self::setup(scope, name, self.lives[name]);
        let mut node = if scope.replays {
            Node::new(setup, Swarm::new().broken_by(scope.mutant).in_process(process))
        } else {
            Node::new(setup, (*self.reference).clone().in_process(process))
        };
        while node.swarm().last().seq < self.reference.last().seq {
            let seq = node.swarm().last().seq + 1;
            let cell = self.cell(seq).cloned().expect("the log holds everything");
            let asks =
                node.handle(Input::Stored { seq, batch: cell.batch.clone() }, 0).map_err(|fault| damaged(&fault))?;
            require(asks.is_empty(), Property::NodeRules, || format!("asked for in catching up: {asks:?}"))?;
            let hash = node.swarm().state_hash();
            require(hash == cell.hash, Property::SameHash, || format!("{hash:016x} in catching up with batch {seq}"))?;
        }
        self.told = self.told.max(node.swarm().last_round().map_or(0, |last| last.number));
        self.processes[name] = Some(Arc::new(Process {
            node,
            bodies: std::collections::BTreeMap::new(),
            messages: std::collections::BTreeMap::new(),
            timers: Vec::new(),
            still: Vec::new(),
            asked: std::collections::BTreeMap::new(),
            tickets: 0,
        }));
        self.tell(scope, name, Input::CaughtUp)
    }

    fn suspects(
        &mut self,
        scope: &Scope,
        by: usize,
        incarnation: Position,
        alive: Option<usize>,
        hears: bool,
    ) -> Check {
        if alive.is_some() {
            self.budgets.suspicions -= 1;
            self.budgets.faults -= 1;
        }
        self.tell(scope, by, Input::Silent { incarnation })?;
        if let Some(name) = alive.filter(|_| hears) {
            self.tell(scope, name, Input::Suspected)?;
            let says = self.process(name).node.undecided().any(|op| *op == Op::Alive);
            require(says, Property::NodeRules, || {
                format!("{} hears that it is suspected, and is silent", name_of(name))
            })?;
        }
        Ok(())
    }

    fn wants(&mut self, scope: &Scope, person: usize) -> Check {
        let want = &scope.people[person].wants[self.people[person].wants];
        let (at, _) = self.at(self.people[person].at).expect("somebody lives");
        let op = match want {
            Want::Submit(ids, more) => {
                let tasks = ids.iter().map(|id| scope.scripts[id].spec.clone()).collect();
                Op::Submit(Submission { tasks, parent: None, more: *more })
            }
            Want::Edit(id) => {
                let edited = TaskSpec { description: "edited".to_owned(), ..scope.scripts[id].spec.clone() };
                Op::Submit(Submission { tasks: vec![edited], parent: None, more: false })
            }
            Want::Leave => Op::Leave,
            Want::Seal(round) => Op::Seal { round: *round },
            Want::Told(round) => unreachable!("nobody has to be asked to be told of round {round}"),
        };
        (self.people[person].at, self.people[person].asked) = (at, Some(at));
        self.wish(scope, at, op, Some(Asked::Person(person)))
    }

    /// Who waits to be told, or for a seal that is needed no more, goes on.
    fn are_told(&mut self, scope: &Scope) {
        for index in 0..scope.people.len() {
            let person = &scope.people[index];
            let knows = self.at(self.people[index].at).map(|(_, process)| process.node.swarm());
            let passed = |world: &Self, want: &Want| match want {
                Want::Told(round) => world.told >= *round,
                Want::Seal(round) => knows.is_some_and(|swarm| is_sealed(swarm, *round)),
                Want::Submit(..) | Want::Edit(_) | Want::Leave => false,
            };
            let mut progress = self.people[index];
            while progress.asked.is_none() && person.wants.get(progress.wants).is_some_and(|want| passed(self, want)) {
                progress.wants += 1;
            }
            self.people[index] = progress;
        }
    }

    fn peer_wish(&mut self, scope: &Scope, at: usize, peer: PeerNo, op: impl FnOnce(String) -> Op) -> Check {
        let (_, process) = self.at(at).expect("somebody lives");
        let id = process.node.swarm().peer(peer).map(|peer| peer.id.to_string()).expect("it was seen there");
        self.wish(scope, at, op(id), None)
    }

    /// At the first living process from this one on.
    fn wish(&mut self, scope: &Scope, from: usize, op: Op, asked: Option<Asked>) -> Check {
        let (name, _) = self.at(from).expect("somebody lives");
        let ticket = asked.map(|asked| self.ticket(name, asked));
        self.tell(scope, name, Input::Wish { op, ticket })
    }

    fn ticket(&mut self, name: usize, asked: Asked) -> Ticket {
        let process = self.process(name);
        process.tickets += 1;
        let ticket = Ticket(process.tickets);
        process.asked.insert(ticket, asked);
        ticket
    }

    fn submits(&mut self, scope: &Scope, name: usize, key: Key, ids: &[String], asked: Asked) -> Check {
        let tasks = ids.iter().map(|id| scope.scripts[id].spec.clone()).collect();
        let op = Op::Submit(Submission { tasks, parent: Some(key), more: false });
        let ticket = Some(self.ticket(name, asked));
        self.tell(scope, name, Input::Wish { op, ticket })
    }

    fn body_moves(&mut self, scope: &Scope, name: usize, key: Key, what: Move) -> Check {
        let (task, grant) = key;
        let failure =
            matches!(what, Move::Ends(AttemptOutcome::Failed | AttemptOutcome::Rejected) | Move::Checked(false));
        let body = self.process(name).bodies.get_mut(&key).expect("only a body moves");
        let refused = body.does == Does::Fails || body.stopped;
        match what {
            Move::Submits => {
                body.does = Does::Submits;
                let children = self.script(scope, task).map(|script| script.children.clone()).unwrap_or_default();
                return self.submits(scope, name, key, &children, Asked::Children(key));
            }
            Move::Waits => {
                body.does = Does::Waits;
                let ticket = Some(self.ticket(name, Asked::Wait(key)));
                let op = Op::Wait { task, grant, children: Vec::new() };
                return self.tell(scope, name, Input::Wish { op, ticket });
            }
            Move::Ends(_) | Move::EndsWithMessages | Move::Gone | Move::Checked(_) => {}
        }
        if failure && !refused {
            self.budgets.failures -= 1;
        }
        if what == Move::Ends(AttemptOutcome::Lost) {
            self.budgets.losses -= 1;
            self.budgets.faults -= 1;
        }
        self.process(name).bodies.remove(&key);
        let outcome = match what {
            Move::Ends(outcome) => Some(outcome),
            Move::EndsWithMessages => Some(AttemptOutcome::Ok),
            Move::Checked(passed) => {
                let evidence = String::new();
                return self.tell(scope, name, Input::CheckEnded { task, grant, passed, evidence, ran_ms: 0 });
            }
            Move::Submits | Move::Waits | Move::Gone => None,
        };
        let messages_open = what == Move::EndsWithMessages;
        if messages_open {
            self.process(name).messages.insert(key, false);
        }
        self.tell(scope, name, Input::BodyEnded(end_of(key, outcome, messages_open)))
    }

    fn tell(&mut self, scope: &Scope, name: usize, input: Input) -> Check {
        self.tell_some(scope, name, input, None)
    }

    fn tell_some(&mut self, scope: &Scope, name: usize, input: Input, most: Option<usize>) -> Check {
        let read = if let Input::Stored { seq, .. } = input { Some(seq) } else { None };
        // Clocks differ.
        let now = 10_000 - 1_000 * name as u64;
        let asks = self.process(name).node.handle(input, now).map_err(|fault| damaged(&fault))?;
        for ask in asks.into_iter().take(most.unwrap_or(usize::MAX)) {
            self.perform(scope, name, ask, read)?;
        }
        if let Some(process) = &mut self.processes[name] {
            let stale = |process: &Process| {
                let open = |wait| process.node.swarm().open_wait(wait).is_some();
                process.timers.iter().any(|wait| !open(*wait))
            };
            if stale(process) {
                let process = Arc::make_mut(process);
                // A stale timer is recognised by the node: it changes nothing.
                process.timers.retain(|wait| process.node.swarm().open_wait(*wait).is_some());
            }
        }
        Ok(())
    }

    fn perform(&mut self, scope: &Scope, name: usize, ask: Ask, read: Option<u64>) -> Check {
        match ask {
            Ask::Append(batch) => self.appends(name, batch),
            Ask::Start { task, grant, peer, attempt } => {
                let first = attempt == 1;
                self.body_starts(name, (task, grant), Body { peer, first, does: Does::Begins, stopped: false })
            }
            Ask::Check { task, grant, peer, .. } => {
                self.body_starts(name, (task, grant), Body { peer, first: true, does: Does::Check, stopped: false })
            }
            Ask::Continue { task, grant } => {
                let body = self.process(name).bodies.get_mut(&(task, grant));
                let waits = body.is_some_and(|body| std::mem::replace(&mut body.does, Does::GoesOn) == Does::Waits);
                require(waits, Property::NodeRules, || format!("{task:?} goes on, and did not wait"))
            }
            Ask::Stop { task, grant } => {
                let process = self.process(name);
                if let Some(body) = process.bodies.get_mut(&(task, grant)) {
                    let again = std::mem::replace(&mut body.stopped, true);
                    return require(!again, Property::NodeRules, || format!("{task:?} is stopped twice"));
                }
                process.messages.remove(&(task, grant));
                Ok(())
            }
            Ask::Suspend { peer, still } => {
                let process = self.process(name);
                process.still.retain(|other| *other != peer);
                if still {
                    process.still.push(peer);
                    process.still.sort_unstable();
                }
                Ok(())
            }
            Ask::Sleep { timer: Timer::Due(wait), ms } => {
                let process = self.process(name);
                let length = process.node.swarm().open_wait(wait).map_or(0, |wait| wait.ms);
                if !process.timers.contains(&wait) {
                    process.timers.push(wait);
                }
                require(ms >= length, Property::NodeRules, || format!("a wait of {length} ms ends after {ms} ms"))
            }
            Ask::Sleep { timer: Timer::Rebalance, .. } => Ok(()),
            Ask::Answer { ticket, answer } => self.answered(scope, name, ticket, &answer, read),
            Ask::RoundClosed(round) => {
                self.told = self.told.max(round.number);
                let closed = read.and_then(|seq| self.cell(seq)).and_then(|cell| cell.closed);
                require(closed == Some(round), Property::Answers, || {
                    format!("{round:?} is told, the log says {closed:?}")
                })
            }
            Ask::Left => {
                let left = self.process(name).bodies.len();
                self.dies(name);
                require(left == 0, Property::NodeRules, || format!("{} left, and {left} bodies run", name_of(name)))
            }
        }
    }

    fn appends(&mut self, name: usize, batch: Arc<Batch>) -> Check {
        let life = self.lives[name];
        let process = self.process(name);
        for op in &batch.entries {
            let runs = match op {
                Op::Return(Returned { task, grant, .. }) => process.bodies.contains_key(&(*task, *grant)),
                Op::Join { .. } => !process.bodies.is_empty(),
                _ => false,
            };
            require(!runs, Property::NodeRules, || format!("{} appends {op:?} while its body runs", name_of(name)))?;
        }
        self.on_way.push(Letter { name, life, batch });
        Ok(())
    }

    /// Under a present grant of one of the node's own peers, once, and within the peer's slots.
    fn body_starts(&mut self, name: usize, key: (TaskNo, Grant), body: Body) -> Check {
        let process = self.process(name);
        let swarm = process.node.swarm();
        let present = swarm.task(key.0).and_then(|task| task.phase.grant()) == Some((body.peer, key.1));
        let host = swarm.peer(body.peer).and_then(|peer| swarm.node(peer.node)).map(|node| node.incarnation);
        let slots = swarm.peer(body.peer).map_or(0, |peer| peer.slots as usize);
        let own = process.node.incarnation().is_some() && host == process.node.incarnation();
        require(present, Property::Processes, || format!("{key:?} starts, and its grant is not present"))?;
        require(own, Property::Processes, || format!("{} starts {key:?} of another node's peer", name_of(name)))?;
        let again = process.bodies.insert(key, body).is_some();
        require(!again, Property::Processes, || format!("{key:?} starts twice"))?;
        let busy = process.busy(body.peer);
        let elsewhere = self.alive().any(|(other, process)| other != name && process.bodies.contains_key(&key));
        require(!elsewhere, Property::Processes, || format!("{key:?} runs on two nodes"))?;
        require(busy <= slots, Property::Processes, || format!("{:?} has {slots} slots and runs {busy}", body.peer))
    }

    fn answered(&mut self, scope: &Scope, name: usize, ticket: Ticket, answer: &Answer, read: Option<u64>) -> Check {
        if let Answer::Accepted { position, .. } = answer {
            let cell = read.filter(|seq| *seq == position.seq()).and_then(|seq| self.cell(seq));
            let accepted = cell.is_some_and(|cell| cell.accepted.get(position.index()) == Some(&true));
            require(accepted, Property::Answers, || format!("{position} was answered as accepted"))?;
        }
        let asked = self.process(name).asked.remove(&ticket);
        let Some(asked) = asked else {
            let what = format!("{ticket:?} is answered twice");
            return Err(Violation { property: Property::NodeRules, what });
        };
        match asked {
            Asked::Person(person) => self.person_is_answered(scope, person, answer),
            Asked::Handler(_) => {}
            Asked::Children(key) | Asked::Wait(key) => {
                let next = if asked == Asked::Children(key) { Does::HasChildren } else { Does::Waits };
                if let Some(body) = self.process(name).bodies.get_mut(&key) {
                    heeds(body, answer, next);
                }
            }
        }
        Ok(())
    }

    fn person_is_answered(&mut self, scope: &Scope, person: usize, answer: &Answer) {
        let progress = &mut self.people[person];
        progress.asked = None;
        let seals = matches!(scope.people[person].wants[progress.wants], Want::Seal(_));
        match answer {
            Answer::Accepted { .. } => progress.wants += 1,
            // A seal that came too late is made again, or found to be needed no more.
            Answer::Refused(_) if !seals => progress.wants += 1,
            Answer::Refused(_) | Answer::TooLarge { .. } | Answer::NodeLost => {}
        }
    }
}

/// Results that the loss of the node that this batch may tell of must not throw away.
fn losable(node: &Node, batch: &Batch) -> Vec<Op> {
    let loses = batch.entries.iter().any(|op| matches!(op, Op::NodeLost { .. } | Op::Join { .. }));
    if !loses || !node.is_member() {
        return Vec::new();
    }
    let result = |op: &&Op| {
        let own = |outcome| !matches!(outcome, AttemptOutcome::Interrupted | AttemptOutcome::Cancelled);
        matches!(op, Op::Return(returned) if own(returned.outcome))
    };
    node.undecided().filter(result).filter(|op| !batch.entries.contains(op)).cloned().collect()
}

fn damaged(fault: &meshwork_core::LogFault) -> Violation {
    Violation { property: Property::Log, what: fault.to_string() }
}

fn end_of((task, grant): Key, outcome: Option<AttemptOutcome>, messages_open: bool) -> BodyEnd {
    let (usage, started_ms, ran_ms) = (Tokens::default(), 0, 0);
    BodyEnd { task, grant, outcome, result: None, error: None, usage, started_ms, ran_ms, messages_open }
}
