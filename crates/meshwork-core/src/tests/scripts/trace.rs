//! How a trace says what happened: names instead of numbers, one line a fact.

use super::variants::Covered;
use crate::node::{Answer, Ask, Ticket, Timer};
use crate::{
    AttemptOutcome, Author, Batch, DownReason, Effect, Effects, NodeNo, Op, Outcome, PauseReason, PeerNo, PeerVerdict,
    Phase, Position, Swarm, TaskNo, VERSION,
};
use std::collections::BTreeMap;

/// What clocks show until a script says otherwise, in ms since the epoch.
pub(super) const NOON: u64 = 43_200_000;

/// Reads names in a swarm, and notes what it was shown.
pub(super) struct Trace<'a> {
    pub(super) swarm: &'a Swarm,
    pub(super) covered: &'a mut Covered,
}

impl Trace<'_> {
    /// One entry of the log, and what it brought about.
    pub(super) fn entry(&mut self, at: Position, author: &Author, op: &Op, effects: &Effects) -> String {
        self.covered.judged(op, effects.refusal.as_ref());
        let mut lines = format!("@{at} {}: {}\n", self.author(author), self.op(op));
        if let Some(refusal) = &effects.refusal {
            lines += &format!("    refused: {}\n", without_hashes(&refusal.to_string()));
        } else if effects.list.is_empty() {
            lines += "    accepted\n";
        }
        for effect in &effects.list {
            lines += &format!("    {}\n", self.effect(effect));
        }
        lines
    }

    /// The name, and the incarnation where it is not the last one.
    pub(super) fn author(&self, author: &Author) -> String {
        let last = self.swarm.last_incarnation(&author.node);
        if author.incarnation == last || author.incarnation == Position::START {
            author.node.clone()
        } else {
            format!("{}@{}", author.node, author.incarnation)
        }
    }

    pub(super) fn task(&self, no: TaskNo) -> String {
        match self.swarm.task(no) {
            Some(task) if task.generation > 1 => format!("{} (generation {})", task.id, task.generation),
            Some(task) => task.id.to_string(),
            None => format!("task {}", no.0),
        }
    }

    pub(super) fn peer(&self, no: PeerNo) -> String {
        self.swarm.peer(no).map_or_else(|| format!("peer {}", no.0), |peer| peer.id.to_string())
    }

    fn node(&self, no: NodeNo) -> String {
        self.swarm.node(no).map_or_else(|| format!("node {}", no.0), |node| node.name.to_string())
    }

    fn tasks(&self, tasks: &[TaskNo]) -> String {
        let names: Vec<String> = tasks.iter().map(|task| self.task(*task)).collect();
        names.join(" ")
    }

    /// A decision as its author puts it.
    pub(super) fn op(&self, op: &Op) -> String {
        match op {
            Op::Open { version, .. } => format!("opens the log{}", other_version(*version)),
            Op::Configure { .. } => "configures the swarm".to_owned(),
            Op::Join { replaces, version, .. } => {
                let old = if *replaces == Position::START { String::new() } else { format!(" in place of {replaces}") };
                format!("joins{old}{}", other_version(*version))
            }
            Op::NodeLost { incarnation, heard } => {
                let lost = self.swarm.node_no(*incarnation).map(|no| self.node(no));
                let lost = lost.map_or(String::new(), |name| format!("{name}@"));
                format!("gives up on {lost}{incarnation}, heard last at {heard}")
            }
            Op::Alive => "is alive".to_owned(),
            Op::PeerUp(peer) => {
                let slots = if peer.slots == 1 { "1 slot".to_owned() } else { format!("{} slots", peer.slots) };
                let can = if peer.capabilities.is_empty() { String::new() } else { ", can ".to_owned() };
                let id = if peer.id.is_empty() { "\"\"" } else { &peer.id };
                format!("peer {id} is up with {slots}{can}{}", peer.capabilities.join(" "))
            }
            Op::PeerDown { peer, why } => format!("peer {peer} is down ({})", down_word(*why)),
            Op::Pause { peer, reason } => format!("pauses {peer} ({})", reason.word()),
            Op::Resume { peer } => format!("resumes {peer}"),
            Op::Seal { round } => format!("seals round {round}"),
            Op::Due { wait } => format!("wait {} is over", wait.0),
            Op::Rebalance => "rebalances".to_owned(),
            Op::Leave => "leaves".to_owned(),
            of_task => self.op_of_task(of_task),
        }
    }

    fn op_of_task(&self, op: &Op) -> String {
        match op {
            Op::Submit(submission) => {
                let tasks: Vec<&str> = submission.tasks.iter().map(|task| &*task.id).collect();
                let parent = submission.parent.map_or(String::new(), |(task, grant)| {
                    format!(" as children of {} under {grant}", self.task(task))
                });
                let more = if submission.more { ", more follows" } else { "" };
                let tasks = if tasks.is_empty() { "nothing more".to_owned() } else { tasks.join(" ") };
                format!("submits {tasks}{parent}{more}")
            }
            Op::Return(returned) => {
                let messages = if returned.messages_open { ", messages are open" } else { "" };
                let end = outcome_word(returned.outcome);
                format!("{} returned {end} under {}{messages}", self.task(returned.task), returned.grant)
            }
            Op::Settled { task, grant } => format!("messages of {} under {grant} are settled", self.task(*task)),
            Op::Wait { task, grant, children } if children.is_empty() => {
                format!("{} under {grant} waits for all its children", self.task(*task))
            }
            Op::Wait { task, grant, children } => {
                format!("{} under {grant} waits for {}", self.task(*task), self.tasks(children))
            }
            Op::Checked { task, grant, passed, .. } => {
                let held = if *passed { "holds" } else { "does not hold" };
                format!("evidence of {} under {grant} {held}", self.task(*task))
            }
            Op::Cancel { task } => format!("cancels {}", self.task(*task)),
            Op::Usage { task, grant, tokens } => {
                format!("{} under {grant} has used {} tokens so far", self.task(*task), tokens.total())
            }
            Op::Progress { task, grant, text } => {
                format!("{} under {grant} says {}", self.task(*task), shortened(text))
            }
            other => unreachable!("{other:?} is not of one task"),
        }
    }

    /// What follows from a decision.
    pub(super) fn effect(&mut self, effect: &Effect) -> String {
        self.covered.show(effect);
        match *effect {
            Effect::Joined { node } => {
                let at = self.swarm.node(node).map_or(Position::START, |node| node.incarnation);
                format!("{}: joined, as incarnation {at}", self.node(node))
            }
            Effect::NodeLost { node } => format!("{}: is lost", self.node(node)),
            Effect::NodeLeft { node } => format!("{}: has left", self.node(node)),
            Effect::PeerUp { peer } => format!("{}: up", self.peer(peer)),
            Effect::PeerDown { peer, why: None } => format!("{}: down with its node", self.peer(peer)),
            Effect::PeerDown { peer, why: Some(why) } => {
                self.covered.show(&why);
                format!("{}: down ({})", self.peer(peer), down_word(why))
            }
            Effect::Paused { peer, reason } => {
                self.covered.show(&reason);
                format!("{}: paused ({})", self.peer(peer), reason.word())
            }
            Effect::Resumed { peer } => format!("{}: resumed", self.peer(peer)),
            Effect::RoundOpened { round } => format!("round {round}: opened"),
            Effect::Sealed { round } => format!("round {round}: sealed"),
            Effect::RoundClosed { round, at, ok, failed } => {
                format!("round {round}: CLOSED, completion {at}, {ok} ok, {failed} failed")
            }
            Effect::Await { wait, ms } => format!("wait {}: {ms} ms", wait.0),
            of_task => self.effect_of_task(of_task),
        }
    }

    fn effect_of_task(&mut self, effect: Effect) -> String {
        let (task, what) = match effect {
            Effect::Start { task, grant, peer, attempt } => {
                (task, format!("attempt {attempt} starts on {} under {grant}", self.peer(peer)))
            }
            Effect::Continue { task, peer, .. } => (task, format!("goes on, on {}", self.peer(peer))),
            Effect::Check { task, grant, peer, .. } => {
                (task, format!("its evidence is looked at on {} under {grant}", self.peer(peer)))
            }
            Effect::Stop { task, grant, peer, awaited: true } => {
                (task, format!("{} is to end what runs under {grant}; its end is awaited", self.peer(peer)))
            }
            Effect::Stop { task, grant, peer, awaited: false } => {
                (task, format!("{} is to end what runs under {grant}; it counts no more", self.peer(peer)))
            }
            Effect::Submitted { task, .. } => (task, "submitted".to_owned()),
            Effect::Kept { task, .. } => (task, "is there already, unchanged".to_owned()),
            Effect::Amended { task, .. } => (task, "amended".to_owned()),
            Effect::Ready { task } => (task, "ready".to_owned()),
            Effect::Assigned { task, peer } => (task, format!("assigned to {}", self.peer(peer))),
            Effect::Unassigned { task, peer } => (task, format!("taken back from {}", self.peer(peer))),
            Effect::Waiting { task, children: 1 } => (task, "gives up its slot for 1 child".to_owned()),
            Effect::Waiting { task, children } => (task, format!("gives up its slot for {children} children")),
            Effect::AttemptEnded { task, attempt, peer, outcome, .. } => {
                self.covered.show(&outcome);
                (task, format!("attempt {attempt} on {} ended {}", self.peer(peer), outcome_word(outcome)))
            }
            Effect::SettledTask { task } => (task, "settled".to_owned()),
            Effect::CheckEnded { task, passed: true, .. } => (task, "its evidence held".to_owned()),
            Effect::CheckEnded { task, passed: false, .. } => (task, "its evidence did not hold".to_owned()),
            Effect::ReviewOpened { review, of } => (review, format!("is to review {}", self.task(of))),
            Effect::ReviewsOverLimit { task, limit } => {
                self.covered.show(&limit);
                (task, format!("there is no room for its reviews within the limit on {limit}"))
            }
            Effect::Voted { review, approves: true, .. } => (review, "approves".to_owned()),
            Effect::Voted { review, approves: false, .. } => (review, "does not approve".to_owned()),
            Effect::ReviewEnded { task, approved: true, .. } => (task, "was approved".to_owned()),
            Effect::ReviewEnded { task, approved: false, .. } => (task, "was not approved".to_owned()),
            Effect::Retry { task, ms } => (task, format!("another attempt comes after {ms} ms")),
            Effect::CancelMarked { task } => (task, "is to end".to_owned()),
            Effect::Closed { task, outcome, because } => {
                self.covered.show(&outcome);
                let because = because.map_or(String::new(), |failed| format!(", because of {}", self.task(failed)));
                (task, format!("closed {}{because}", outcome.word()))
            }
            other => unreachable!("{other:?} is not of one task"),
        };
        format!("{}: {what}", self.task(task))
    }

    /// What a node wants of the world.
    pub(super) fn ask(&mut self, ask: &Ask, wishes: &BTreeMap<Ticket, String>) -> String {
        self.covered.show(ask);
        match ask {
            Ask::Append(batch) if batch.time_ms == NOON => format!("append: {}", self.batch(batch)),
            Ask::Append(batch) => format!("append (at {} ms): {}", batch.time_ms, self.batch(batch)),
            Ask::Start { task, grant, peer, attempt } => {
                let (task, peer) = (self.task(*task), self.peer(*peer));
                format!("start {task} on {peer}, attempt {attempt} under {grant}")
            }
            Ask::Continue { task, .. } => format!("let {} go on", self.task(*task)),
            Ask::Check { task, grant, peer, .. } => {
                format!("look at the evidence of {} on {} under {grant}", self.task(*task), self.peer(*peer))
            }
            Ask::Stop { task, grant } => format!("stop {} under {grant}", self.task(*task)),
            Ask::Suspend { peer, still: true } => format!("{} is to stand still", self.peer(*peer)),
            Ask::Suspend { peer, still: false } => format!("{} may go on", self.peer(*peer)),
            Ask::Sleep { timer: Timer::Due(wait), ms } => format!("sleep {ms} ms for wait {}", wait.0),
            Ask::Sleep { timer: Timer::Rebalance, ms } => format!("sleep {ms} ms until it looks at the balance"),
            Ask::Answer { ticket, answer } => format!("answer \"{}\": {}", wishes[ticket], self.answer(answer)),
            Ask::RoundClosed(closed) => {
                let (number, at, ok, failed) = (closed.number, closed.at, closed.ok, closed.failed);
                format!("tell that round {number} is closed: completion {at}, {ok} ok, {failed} failed")
            }
            Ask::Left => "it has left".to_owned(),
        }
    }

    fn answer(&mut self, answer: &Answer) -> String {
        self.covered.show(answer);
        match answer {
            Answer::Accepted { position, .. } => format!("accepted at {position}"),
            Answer::Refused(refusal) => format!("refused, {}", without_hashes(&refusal.to_string())),
            Answer::TooLarge { most, .. } => format!("not written, it is over the limit of {most} bytes"),
            Answer::NodeLost => "not decided, the node lost its place or left".to_owned(),
        }
    }

    /// The decisions of a batch in one line.
    pub(super) fn batch(&self, batch: &Batch) -> String {
        const SHOWN: usize = 6;
        let mut ops: Vec<String> = batch.entries.iter().take(SHOWN).map(|op| self.op(op)).collect();
        if batch.entries.len() > SHOWN {
            ops.push(format!("and {} more", batch.entries.len() - SHOWN));
        }
        ops.join("; ")
    }

    /// Where a task is, and why.
    pub(super) fn explain(&self, no: TaskNo) -> Option<String> {
        let why = self.swarm.explain(no)?;
        let mut lines = format!("{}: {}, {}\n", self.task(no), why.state, why.reason);
        for peer in &why.peers {
            lines += &format!("    {}\n", verdict(peer));
        }
        for kept in self.swarm.rejected(no) {
            let end = outcome_word(kept.outcome);
            lines += &format!("    rejected at {}: {end} under {}\n", kept.at, kept.grant);
        }
        Some(lines)
    }

    /// All tasks, what every peer has, and the round.
    pub(super) fn state(&self) -> String {
        let mut lines = String::new();
        for (no, task) in self.swarm.tasks() {
            let at = match task.phase {
                Phase::Assigned { peer } | Phase::Settled { peer } => format!(" at {}", self.peer(peer)),
                Phase::Closed { outcome } => format!(" {}", outcome.word()),
                phase => phase
                    .grant()
                    .map_or(String::new(), |(peer, grant)| format!(" on {} under {grant}", self.peer(peer))),
            };
            let deficit = if task.deficit > 0 { format!(", deficit {}", task.deficit) } else { String::new() };
            let phase = format!("{:?}", task.phase.stage()).to_lowercase();
            lines += &format!("{}: {phase}{at}{deficit}\n", self.task(no));
        }
        for (_, peer) in self.swarm.peers().filter(|(_, peer)| peer.up) {
            let paused = peer.paused.map_or(String::new(), |why| format!(", paused ({})", why.word()));
            lines += &format!("{}: {} of {} slots, load {}{paused}\n", peer.id, peer.busy, peer.slots, peer.load());
        }
        lines + &self.round()
    }

    fn round(&self) -> String {
        match (self.swarm.round(), self.swarm.last_round()) {
            (Some(round), _) => {
                let sealed = if round.sealed { "sealed" } else { "not sealed" };
                format!(
                    "round {}: {} open, {} ok, {} failed, {sealed}\n",
                    round.number, round.open, round.ok, round.failed
                )
            }
            (None, Some(closed)) => format!("round {}: closed at {}\n", closed.number, closed.at),
            (None, None) => "no round yet\n".to_owned(),
        }
    }
}

fn verdict(verdict: &PeerVerdict) -> String {
    match verdict {
        PeerVerdict::Lacks { peer, missing } => format!("{peer} lacks {}", missing.join(" ")),
        PeerVerdict::Paused { peer, reason } => format!("{peer} is paused ({})", reason.word()),
        PeerVerdict::Full { peer, busy, waiting } => format!("{peer} is full: {busy} in its slots, {waiting} waiting"),
        PeerVerdict::Starved { peer } => format!("{peer} has a free slot, but no session or no tokens"),
        PeerVerdict::Avoided { peer } => format!("{peer} failed it before, and somebody else can take it"),
    }
}

fn other_version(version: u32) -> String {
    if version == VERSION { String::new() } else { format!(" with version {version} of apply") }
}

fn down_word(why: DownReason) -> &'static str {
    match why {
        DownReason::Left => "left",
        DownReason::Died => "died",
        DownReason::Shutdown => "shutdown",
        DownReason::Dismissed => "dismissed",
    }
}

pub(super) fn down_reason(word: &str) -> Option<DownReason> {
    [DownReason::Left, DownReason::Died, DownReason::Shutdown, DownReason::Dismissed]
        .into_iter()
        .find(|why| down_word(*why) == word)
}

pub(super) fn pause_reason(word: &str) -> Option<PauseReason> {
    use PauseReason::{Budget, Idle, RateLimit, Shutdown, User};
    [Idle, User, Budget, RateLimit, Shutdown].into_iter().find(|why| why.word() == word)
}

/// The words for the end of an attempt are those for the end of a task.
pub(super) fn outcome_word(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Ok => Outcome::Ok.word(),
        AttemptOutcome::Failed => Outcome::Failed.word(),
        AttemptOutcome::TimedOut => Outcome::TimedOut.word(),
        AttemptOutcome::Lost => Outcome::Lost.word(),
        AttemptOutcome::Interrupted => Outcome::Interrupted.word(),
        AttemptOutcome::Cancelled => Outcome::Cancelled.word(),
        AttemptOutcome::Unverified => Outcome::Unverified.word(),
        AttemptOutcome::Rejected => Outcome::Rejected.word(),
    }
}

pub(super) fn attempt_outcome(word: &str) -> Option<AttemptOutcome> {
    use AttemptOutcome::{Cancelled, Failed, Interrupted, Lost, Ok, Rejected, TimedOut, Unverified};
    let all = [Ok, Failed, TimedOut, Lost, Interrupted, Cancelled, Unverified, Rejected];
    all.into_iter().find(|outcome| outcome_word(*outcome) == word)
}

fn shortened(text: &str) -> String {
    if text.len() > 60 { format!("{} bytes of text", text.len()) } else { format!("{text:?}") }
}

/// State hashes change with every new field; that they are there is what a trace tells.
pub(super) fn without_hashes(text: &str) -> String {
    let is_hash = |word: &str| word.len() == 16 && word.chars().all(|c| c.is_ascii_hexdigit());
    let shown = |word: &str| {
        let plain = word.trim_end_matches(',');
        if is_hash(plain) { word.replace(plain, "…") } else { word.to_owned() }
    };
    let words: Vec<String> = text.split(' ').map(shown).collect();
    words.join(" ")
}
