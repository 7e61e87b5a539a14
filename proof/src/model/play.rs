//! A path as something to read: who does what, and what the log then holds.

use super::action::{Action, Lags, Move};
use super::scope::{Scope, Want};
use super::world::{World, name_of};
use meshwork_core::{Batch, Op, PeerNo, Position, TaskNo};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The lines of a play: one for each step, with the entries that a step stores, and what was found last.
pub fn play(scope: &Scope, path: &[Action]) -> String {
    let mut world = World::initial(scope);
    let mut text = String::new();
    for (index, action) in path.iter().enumerate() {
        let line = world.line(scope, action);
        let written = writeln!(text, "{:>4}. {line}", index + 1);
        written.expect("a string takes any text");
        let Some(next) = world.after_action(scope, action) else { break };
        world = next;
        if let Some(violation) = &world.violation {
            let written = writeln!(text, "      {violation}");
            written.expect("a string takes any text");
        }
    }
    text + &world.standing()
}

impl World {
    /// Before the first step: nobody has started, or everybody has joined and the log is read.
    pub(crate) fn initial(scope: &Scope) -> Self {
        let mut world = Self::new(scope);
        if scope.cold {
            return world;
        }
        let step = |world: &mut Self, action: Action| {
            *world = world.after_action(scope, &action).expect("a start changes something");
            let violation = world.violation.clone();
            // A mutant may be found before anything begins: then that is the initial state.
            violation.is_none()
        };
        for name in 0..scope.nodes {
            if !step(&mut world, Action::Start(name)) {
                return world;
            }
            while !world.on_way.is_empty() {
                if !step(&mut world, Action::Store { letter: 0, lags: Lags::NobodyElse }) {
                    return world;
                }
            }
        }
        world
    }

    fn id(&self, task: TaskNo) -> String {
        self.reference.task(task).map_or_else(|| format!("{task:?}"), |task| task.id.to_string())
    }

    fn peer(&self, peer: PeerNo) -> String {
        self.reference.peer(peer).map_or_else(|| format!("{peer:?}"), |peer| peer.id.to_string())
    }

    fn node_of(&self, incarnation: Position) -> String {
        let node = self.reference.node_no(incarnation).and_then(|no| self.reference.node(no));
        node.map_or_else(|| incarnation.to_string(), |node| format!("{}@{incarnation}", node.name))
    }

    /// One step in words.
    fn line(&self, scope: &Scope, action: &Action) -> String {
        let own = |name: &usize| name_of(*name);
        match action {
            Action::Store { letter, lags } => {
                let batch = &self.on_way[*letter].batch;
                let late = match lags {
                    Lags::Also(name) => format!("; {} does not read it yet", name_of(*name)),
                    Lags::NobodyElse | Lags::All => String::new(),
                };
                let seq = self.reference.last().seq + 1;
                format!("the log stores {seq}, {}{late}", self.batch(batch))
            }
            Action::Read(name) => format!("{} reads the next batch", own(name)),
            Action::CutShort(name, after) => {
                format!("{} reads the next batch, does {after} of what follows, dies", own(name))
            }
            Action::Body(name, (task, grant), what) => {
                let what = match what {
                    Move::Submits => "submits its children".to_owned(),
                    Move::Waits => "waits for its children".to_owned(),
                    Move::Ends(outcome) => format!("ends {outcome:?}"),
                    Move::EndsWithMessages => "ends Ok, messages open".to_owned(),
                    Move::Gone => "is gone, as it was stopped".to_owned(),
                    Move::Checked(passed) => format!("has looked at the evidence: {passed}"),
                };
                format!("{}: the body of {} under {grant} {what}", own(name), self.id(*task))
            }
            Action::Acknowledged(name, (task, _)) => {
                format!("{}: the messages of {} are acknowledged", own(name), self.id(*task))
            }
            Action::Handler(name, (task, _)) => {
                format!("{}: a message handler of {} submits a child", own(name), self.id(*task))
            }
            Action::Fire(name, wait) => format!("{}: the timer of {wait:?} runs out", own(name)),
            Action::Suspect { by, incarnation, alive, hears } => {
                let truth = if alive.is_some() { ", wrongly" } else { "" };
                let hears = if *hears { "; it hears of it" } else { "" };
                format!("{} has not heard of {} for too long{truth}{hears}", own(by), self.node_of(*incarnation))
            }
            Action::Crash(name) => format!("{} dies", own(name)),
            Action::Start(name) => format!("{} starts", own(name)),
            Action::Error(name) => format!("{}: the append comes back with an error", own(name)),
            Action::Shutdown(name) => format!("{} is told to stop", own(name)),
            Action::Want(person) => self.want(scope, *person),
            Action::PeerDies(name, peer) => format!("{}: the agent of {} dies", own(name), self.peer(*peer)),
            Action::PeerReturns(name, peer) => format!("{}: {} is there again", own(name), self.peer(*peer)),
            Action::Cancel(task) => format!("somebody cancels {}", self.id(*task)),
            Action::Pause(peer, reason) => format!("somebody pauses {}: {reason:?}", self.peer(*peer)),
            Action::Resume(peer) => format!("somebody lets {} go on", self.peer(*peer)),
        }
    }

    fn want(&self, scope: &Scope, person: usize) -> String {
        let what = match &scope.people[person].wants[self.people[person].wants] {
            Want::Submit(ids, more) => {
                format!("submits {}{}", ids.join(", "), if *more { ", more follows" } else { "" })
            }
            Want::Leave => "says that its node has left".to_owned(),
            Want::Edit(id) => format!("submits an edited {id}"),
            Want::Seal(round) => format!("seals round {round}"),
            Want::Told(round) => format!("has been told that round {round} is closed"),
        };
        format!("person {person} {what}")
    }

    fn batch(&self, batch: &Batch) -> String {
        let words: Vec<String> = batch.entries.iter().map(|op| self.op(op)).collect();
        format!("of {} ({}): {}", batch.author.node, batch.seq, words.join("; "))
    }

    fn op(&self, op: &Op) -> String {
        match op {
            Op::Open { .. } => "open".to_owned(),
            Op::Join { replaces, .. } => format!("join, replacing {replaces}"),
            Op::NodeLost { incarnation, heard } => format!("{} is lost, heard {heard}", self.node_of(*incarnation)),
            Op::Alive => "alive".to_owned(),
            Op::Leave => "leave".to_owned(),
            Op::PeerUp(spec) => format!("peer {} up", spec.id),
            Op::PeerDown { peer, why } => format!("peer {peer} down, {why:?}"),
            Op::Pause { peer, reason } => format!("pause {peer}, {reason:?}"),
            Op::Resume { peer } => format!("resume {peer}"),
            Op::Submit(submission) => {
                let ids: Vec<&str> = submission.tasks.iter().map(|spec| &*spec.id).collect();
                let parent = submission.parent.map(|(task, grant)| format!(" under {} {grant}", self.id(task)));
                format!("submit {}{}", ids.join(", "), parent.unwrap_or_default())
            }
            Op::Return(returned) => {
                let open = if returned.messages_open { ", messages open" } else { "" };
                format!("return {} {} {:?}{open}", self.id(returned.task), returned.grant, returned.outcome)
            }
            Op::Settled { task, grant } => format!("settled {} {grant}", self.id(*task)),
            Op::Wait { task, grant, .. } => format!("wait {} {grant}", self.id(*task)),
            Op::Checked { task, grant, passed, .. } => format!("checked {} {grant} {passed}", self.id(*task)),
            Op::Cancel { task } => format!("cancel {}", self.id(*task)),
            Op::Seal { round } => format!("seal {round}"),
            Op::Due { wait } => format!("due {wait:?}"),
            other => format!("{other:?}"),
        }
    }

    /// How things stand at the end of a play.
    fn standing(&self) -> String {
        let mut text = String::new();
        for (_, task) in self.reference.tasks() {
            let line = writeln!(text, "      {} of generation {} is {:?}", task.id, task.generation, task.phase);
            line.expect("a string takes any text");
        }
        for (name, process) in self.alive() {
            let (lag, bodies) = (self.lag(process), process.bodies.keys().collect::<Vec<_>>());
            let line = writeln!(text, "      {} lags by {lag}, runs {bodies:?}", name_of(name));
            line.expect("a string takes any text");
        }
        text
    }

    /// What can be observed of a step: a round that it closes, and how its tasks ended.
    pub(crate) fn observe(&self, observed: &mut BTreeSet<String>, before: &Self) {
        let (Some(last), earlier) = (self.reference.last_round(), before.reference.last_round()) else { return };
        if earlier.map(|round| round.number) == Some(last.number) {
            return;
        }
        let mut tasks: Vec<String> = self
            .reference
            .tasks()
            .map(|(_, task)| format!("{} {} {:?}", task.id, task.generation, task.phase))
            .collect();
        tasks.sort_unstable();
        observed.insert(format!("round {}: {}", last.number, tasks.join(", ")));
    }
}
