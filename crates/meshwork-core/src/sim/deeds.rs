//! What the world does to nodes and peers, and what it does at which time.

use super::faults::Fault;
use super::host::Start;
use super::people::Whom;
use super::world::{Event, World, say};
use crate::node::Input;
use crate::{DownReason, Op, PauseReason, PeerSpec};

/// Deeds of one kind, at most: one, and one more for so many tasks.
const TASKS_A_DEED: u32 = 50;
/// However many tasks there are.
const DEEDS_MAX: u32 = 20;
/// A node stands still up to this long, in virtual ms.
const PAUSE_MS: u64 = 4_000;
/// A peer that left comes back within this time.
const RETURN_MS: u64 = 2_000;

/// What is done at some time, not at some append, body or message.
const DEEDS: [Fault; 17] = [
    Fault::Crash,
    Fault::CrashMidway,
    Fault::CrashCatchingUp,
    Fault::SnapshotRestart,
    Fault::NodeGone,
    Fault::NodePause,
    Fault::OldView,
    Fault::WrongSuspicion,
    Fault::Shutdown,
    Fault::ClockJump,
    Fault::PeerLeft,
    Fault::PeerDied,
    Fault::PeerLate,
    Fault::PeerChanged,
    Fault::Pause,
    Fault::Cancel,
    Fault::EarlySeal,
];

impl World<'_> {
    /// Spreads what will go wrong over the time of unrest.
    pub(super) fn plan_deeds(&mut self, unrest_ms: u64) {
        let faults = self.plan.faults;
        let most = (2 + self.plan.tasks / TASKS_A_DEED).min(DEEDS_MAX);
        let alone = faults.count() <= 2;
        for fault in DEEDS.into_iter().filter(|fault| faults.has(*fault)) {
            if !alone && self.dice.chance(50) {
                continue;
            }
            for _ in 0..self.dice.between(1, most) {
                let ms = 50 + self.dice.ms(unrest_ms - 100);
                self.after(ms, Event::Deed(fault));
            }
        }
        if faults.has(Fault::Regress) {
            let ms = 150 + self.dice.ms(unrest_ms / 5);
            self.after(ms, Event::Deed(Fault::Regress));
        }
    }

    pub(super) fn deed(&mut self, fault: Fault) {
        if self.calm && fault != Fault::Regress {
            return;
        }
        let Some(host) = self.living(false) else { return };
        let done = match fault {
            Fault::Crash => self.kill_by(host, Start::Replay, "is killed"),
            // These two are counted when the next process starts.
            Fault::CrashCatchingUp => !self.kill_by(host, Start::KilledIn, "is killed"),
            Fault::SnapshotRestart => !self.kill_by(host, Start::Snapshot, "is killed"),
            Fault::CrashMidway => {
                self.hosts[host].trip = Some(self.dice.below(4));
                return;
            }
            Fault::NodeGone => self.bury(host),
            Fault::NodePause => {
                let ms = 100 + self.dice.ms(PAUSE_MS);
                say!(self, self.hosts[host].name, "stands still for {ms} ms");
                self.hosts[host].still_until = self.now + ms;
                true
            }
            Fault::OldView => {
                let ms = 100 + self.dice.ms(PAUSE_MS);
                say!(self, self.hosts[host].name, "reads nothing for {ms} ms");
                self.hosts[host].blind_until = self.now + ms;
                true
            }
            Fault::WrongSuspicion => self.suspect(),
            Fault::Shutdown => {
                if self.dice.chance(30) {
                    // Somebody who does not know how a node stops: refused while a peer of it is up.
                    self.wish(host, Op::Leave, Whom::Nobody);
                    return self.report.inject(fault.name());
                }
                say!(self, self.hosts[host].name, "is told to stop");
                self.after(0, Event::Tell(self.process(host), Box::new(Input::Shutdown)));
                true
            }
            Fault::ClockJump => {
                let jumps = [0, 1, 1 << 20, 1 << 40, u64::MAX];
                self.hosts[host].skew = self.dice.pick(&jumps).unwrap_or_default();
                say!(self, self.hosts[host].name, "has another time");
                true
            }
            Fault::Regress => self.regress(),
            _ => self.deed_to_work(host, fault),
        };
        if done {
            self.report.inject(fault.name());
        }
    }

    /// What happens to peers, tasks and rounds.
    fn deed_to_work(&mut self, host: usize, fault: Fault) -> bool {
        match fault {
            Fault::PeerLeft => self.peer_goes(host, DownReason::Left),
            Fault::PeerDied => self.peer_goes(host, DownReason::Died),
            Fault::PeerLate => {
                let id = format!("late{}", self.log.len());
                let capabilities = vec!["a".to_owned()];
                let slots = self.dice.between(1, 3);
                let spec = PeerSpec { id, capabilities, slots, uses_session: false, token_budget: None };
                self.wish(host, Op::PeerUp(spec), Whom::Nobody);
                true
            }
            Fault::PeerChanged => {
                let Some(spec) = self.some_spec(host) else { return false };
                let slots = self.dice.between(1, 6);
                let capabilities = if self.dice.chance(50) { Vec::new() } else { spec.capabilities };
                let uses_session = self.dice.chance(30);
                let changed = PeerSpec { slots, capabilities, uses_session, ..spec };
                self.wish(host, Op::PeerUp(changed), Whom::Nobody);
                true
            }
            Fault::Pause => self.pause_or_resume(host),
            Fault::Cancel => {
                let open: Vec<crate::TaskNo> = self.judge.open_tasks().map(|(task, _)| task).collect();
                let Some(task) = self.dice.pick(&open) else { return false };
                self.wish(host, Op::Cancel { task }, Whom::Nobody);
                true
            }
            Fault::EarlySeal => {
                // The open round, or one that is over, or one that is yet to come.
                let open = self.judge.round.as_ref().map_or(1, |round| round.number);
                let round = self.dice.pick(&[open, open, open.saturating_sub(1), open + 1]).unwrap_or(open);
                self.wish(host, Op::Seal { round }, Whom::Nobody);
                true
            }
            _ => false,
        }
    }

    fn kill_by(&mut self, host: usize, next: Start, how: &str) -> bool {
        say!(self, self.hosts[host].name, "{how}");
        self.hosts[host].start = next;
        self.report.note("a node crashed");
        self.kill(host);
        true
    }

    /// A node that never comes back; the first one always does, and most of the others.
    fn bury(&mut self, host: usize) -> bool {
        if host == 0 || self.hosts.iter().any(|other| other.gone) {
            return false;
        }
        say!(self, self.hosts[host].name, "is gone for good");
        self.hosts[host].gone = true;
        self.kill(host);
        let (ms, incarnation) = (500 + self.dice.ms(1_500), self.incarnation(host));
        if let (Some(other), Some(incarnation)) = (self.living(true), incarnation) {
            self.after(ms, Event::Tell(self.process(other), Box::new(Input::Silent { incarnation })));
        }
        true
    }

    /// A node has not heard of another that lives, or of itself.
    fn suspect(&mut self) -> bool {
        let Some(host) = self.living(true) else { return false };
        let other = self.dice.below(self.hosts.len());
        let Some(incarnation) = self.incarnation(other) else { return false };
        say!(self, self.hosts[host].name, "suspects {}", self.hosts[other].name);
        self.after(0, Event::Tell(self.process(host), Box::new(Input::Silent { incarnation })));
        if self.dice.chance(40) {
            self.after(0, Event::Suspected(self.process(other)));
        }
        true
    }

    fn some_spec(&mut self, host: usize) -> Option<PeerSpec> {
        let count = self.hosts[host].specs.len();
        (count > 0).then(|| self.hosts[host].specs[self.dice.below(count)].clone())
    }

    /// A peer goes and comes back; its processes go with it, sooner or later.
    fn peer_goes(&mut self, host: usize, why: DownReason) -> bool {
        let Some(spec) = self.some_spec(host) else { return false };
        self.wish(host, Op::PeerDown { peer: spec.id.clone(), why }, Whom::Nobody);
        let ms = 100 + self.dice.ms(RETURN_MS);
        let up = Input::Wish { op: Op::PeerUp(spec), ticket: None };
        self.after(ms, Event::Tell(self.process(host), Box::new(up)));
        true
    }

    fn pause_or_resume(&mut self, host: usize) -> bool {
        let peers: Vec<String> = self.judge.peers.iter().map(|peer| peer.id.clone()).collect();
        if peers.is_empty() {
            return false;
        }
        let peer = peers[self.dice.below(peers.len())].clone();
        let reasons = [PauseReason::User, PauseReason::RateLimit, PauseReason::Idle, PauseReason::Idle];
        let reason = self.dice.pick(&reasons).unwrap_or(PauseReason::User);
        let op = if self.dice.chance(35) { Op::Resume { peer } } else { Op::Pause { peer, reason } };
        self.wish(host, op, Whom::Nobody);
        true
    }
}
