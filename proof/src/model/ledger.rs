//! What holds while the entries of one batch are read one by one, from effects alone.

use meshwork_core::{Effect, Grant, Op, Outcome, PauseReason, PeerNo, Phase, Position, Swarm, TaskNo, WaitNo};
use std::collections::{BTreeMap, BTreeSet};

/// Begins as what the swarm says before a batch, and ends as what it must say after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) live: BTreeMap<TaskNo, Live>,
    /// Returned attempts whose messages are open.
    pub(crate) messages: BTreeMap<TaskNo, Grant>,
    pub(crate) closed: BTreeMap<TaskNo, Outcome>,
    pub(crate) cancelled: BTreeSet<TaskNo>,
    /// Present incarnations and their names.
    pub(crate) present: BTreeMap<Position, String>,
    /// Last incarnation by name.
    pub(crate) last: BTreeMap<String, Position>,
    pub(crate) heard: BTreeMap<Position, Position>,
    /// Number, and whether it is sealed.
    pub(crate) round: Option<(u32, bool)>,
    pub(crate) paused: BTreeMap<PeerNo, PauseReason>,
    /// Incarnation that hosts a peer that is up.
    pub(crate) hosts: BTreeMap<PeerNo, Position>,
    pub(crate) waits: BTreeSet<WaitNo>,
}

/// A grant that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) grant: Grant,
    pub(crate) peer: PeerNo,
    pub(crate) check: bool,
    pub(crate) waiting: bool,
}

impl Ledger {
    /// What the records say.
    pub(crate) fn of(swarm: &Swarm) -> Self {
        let mut ledger = Self::default();
        for (no, task) in swarm.tasks() {
            ledger.task(no, task);
        }
        for (_, node) in swarm.present_nodes() {
            ledger.present.insert(node.incarnation, node.name.to_string());
            ledger.heard.insert(node.incarnation, node.heard);
            ledger.last.insert(node.name.to_string(), node.incarnation);
        }
        for (no, peer) in swarm.peers().filter(|(_, peer)| peer.up) {
            ledger.paused.extend(peer.paused.map(|reason| (no, reason)));
            ledger.hosts.extend(swarm.node(peer.node).map(|node| (no, node.incarnation)));
        }
        ledger.round = swarm.round().map(|round| (round.number, round.sealed));
        ledger.waits = swarm.open_waits().map(|(no, _)| no).collect();
        ledger
    }

    fn task(&mut self, no: TaskNo, task: &meshwork_core::Task) {
        if let Some((peer, grant)) = task.phase.grant() {
            let check = matches!(task.phase, Phase::Checking { .. });
            let waiting = matches!(task.phase, Phase::Waiting { .. } | Phase::InLine { .. });
            self.live.insert(no, Live { grant, peer, check, waiting });
        }
        if task.messages_open {
            self.messages.insert(no, task.last_grant);
        }
        if let Phase::Closed { outcome } = task.phase {
            self.closed.insert(no, outcome);
        }
        if task.cancelled {
            self.cancelled.insert(no);
        }
    }

    /// The grant is the task's, and its peer is hosted by this incarnation.
    pub(crate) fn holds(&self, task: TaskNo, grant: Grant, author: Position) -> Option<Live> {
        let live = self.live.get(&task).copied().filter(|live| live.grant == grant)?;
        (self.hosts.get(&live.peer) == Some(&author)).then_some(live)
    }

    /// Slots of a peer in use.
    pub(crate) fn busy(&self, peer: PeerNo) -> usize {
        self.live.values().filter(|live| live.peer == peer && !live.waiting).count()
    }

    /// Takes in one effect of an entry of this author.
    pub(crate) fn take(&mut self, op: &Op, author: Position, at: Position, effect: Effect, swarm: &Swarm) {
        match effect {
            Effect::Start { task, grant, peer, .. } => {
                self.live.insert(task, Live { grant, peer, check: false, waiting: false });
            }
            Effect::Check { task, grant, peer, .. } => {
                self.live.insert(task, Live { grant, peer, check: true, waiting: false });
            }
            Effect::Continue { task, .. } => self.wait(task, false),
            Effect::Waiting { task, .. } => self.wait(task, true),
            Effect::Stop { task, awaited: false, .. } => self.revoked(task),
            Effect::AttemptEnded { task, grant, .. } => {
                self.live.remove(&task);
                if matches!(op, Op::Return(returned) if returned.task == task && returned.messages_open) {
                    self.messages.insert(task, grant);
                }
            }
            Effect::CheckEnded { task, .. } => {
                self.live.remove(&task);
            }
            Effect::Closed { task, outcome, .. } => {
                self.closed.insert(task, outcome);
            }
            Effect::CancelMarked { task } => {
                self.cancelled.insert(task);
            }
            other => self.fact(author, at, other, swarm),
        }
    }

    fn fact(&mut self, author: Position, at: Position, effect: Effect, swarm: &Swarm) {
        match effect {
            Effect::Joined { node } => {
                let name = swarm.node(node).map(|node| node.name.to_string()).unwrap_or_default();
                self.last.insert(name.clone(), at);
                self.present.insert(at, name);
                self.heard.insert(at, at);
            }
            Effect::NodeLost { node } | Effect::NodeLeft { node } => {
                if let Some(node) = swarm.node(node) {
                    self.present.remove(&node.incarnation);
                    self.heard.remove(&node.incarnation);
                    if self.last.get(&*node.name) == Some(&node.incarnation) {
                        self.last.remove(&*node.name);
                    }
                }
            }
            Effect::PeerUp { peer } => {
                let comes = self.hosts.insert(peer, author).is_none();
                // Who comes up is not paused; who is up already stays as it was.
                self.paused.retain(|paused, _| *paused != peer || !comes);
            }
            Effect::PeerDown { peer, .. } => {
                self.hosts.remove(&peer);
                self.paused.remove(&peer);
            }
            Effect::Paused { peer, reason } => {
                self.paused.insert(peer, reason);
            }
            Effect::Resumed { peer } => {
                self.paused.remove(&peer);
            }
            Effect::RoundOpened { round } => self.round = Some((round, false)),
            Effect::Sealed { .. } => self.round = self.round.map(|(number, _)| (number, true)),
            Effect::RoundClosed { .. } => self.round = None,
            Effect::Await { wait, .. } => {
                self.waits.insert(wait);
            }
            _ => {}
        }
    }

    fn wait(&mut self, task: TaskNo, waiting: bool) {
        if let Some(live) = self.live.get_mut(&task) {
            live.waiting = waiting;
        }
    }

    /// Revoked: a check is over with that, an attempt's end follows, and messages hold nothing.
    fn revoked(&mut self, task: TaskNo) {
        match self.live.get(&task) {
            Some(live) if live.check => {
                self.live.remove(&task);
            }
            Some(_) => {}
            None => {
                self.messages.remove(&task);
            }
        }
    }

    /// What the effects told and what the records say afterwards, where both say it.
    pub(crate) fn difference(&self, swarm: &Swarm) -> Option<String> {
        let records = Self::of(swarm);
        let pairs = [
            ("grants", format!("{:?}", self.live), format!("{:?}", records.live)),
            ("open messages", format!("{:?}", self.messages), format!("{:?}", records.messages)),
            ("ends", format!("{:?}", self.closed), format!("{:?}", records.closed)),
            ("marks of cancels", format!("{:?}", self.cancelled), format!("{:?}", records.cancelled)),
            ("present nodes", format!("{:?}", self.present), format!("{:?}", records.present)),
            ("peers", format!("{:?}", self.hosts), format!("{:?}", records.hosts)),
            ("pauses", format!("{:?}", self.paused), format!("{:?}", records.paused)),
            ("round", format!("{:?}", self.round), format!("{:?}", records.round)),
        ];
        let other = pairs.into_iter().find(|(_, told, are)| told != are);
        other.map(|(what, told, are)| format!("{what}: effects tell {told}, records say {are}"))
    }

    /// Whether `difference` would find something; without the words.
    pub(crate) fn agrees(&self, swarm: &Swarm) -> bool {
        let records = Self::of(swarm);
        self.live == records.live
            && self.messages == records.messages
            && self.closed == records.closed
            && self.cancelled == records.cancelled
            && self.present == records.present
            && self.hosts == records.hosts
            && self.paused == records.paused
            && self.round == records.round
    }
}
