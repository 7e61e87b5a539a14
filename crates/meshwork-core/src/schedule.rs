//! Scheduling: part of `apply`, so every node agrees and nothing is negotiated.

use crate::config::{AGEING_MAX, MOVES_A_REBALANCE, RUNS_TO_LEARN};
use crate::effect::Effect;
use crate::ids::{NodeNo, PeerNo, TaskNo};
use crate::mutant::Mutant;
use crate::op::PauseReason;
use crate::peer::{LOAD_SCALE, PlaceOrder};
use crate::swarm::Swarm;
use crate::task::{Phase, Rank};
use crate::topology::Strategy;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Ready numbers count down from here, so that the first to become ready has the highest level.
const READY_BASE: u64 = 1 << 62;

impl Swarm {
    /// The only way to change a phase.
    pub(crate) fn set_phase(&mut self, task: TaskNo, next: Phase) {
        let record = &mut self.tasks[task.index()];
        let now = record.phase;
        let same = now == Phase::Returned && next == Phase::Returned;
        assert!(same || now.stage().may_become(next.stage()), "{task:?} cannot go from {now:?} to {next:?}");
        record.phase = next;
        let parked = |phase| u32::from(matches!(phase, Phase::Waiting { .. }));
        self.index.parked = self.index.parked + parked(next) - parked(now);
        #[cfg(test)]
        self.probe.passed.insert((now.stage(), next.stage()));
        self.touch(task);
    }

    /// A task can run, or its evidence can be looked at: it is ranked, and waits for a slot.
    pub(crate) fn make_ready(&mut self, task: TaskNo) {
        let peers = u32::try_from(self.eligible_bits(task).len()).unwrap_or(u32::MAX);
        let ready = self.next_ready;
        self.next_ready += 1;
        let ageing = self.config.ageing.clamp(1, AGEING_MAX);
        let record = &mut self.tasks[task.index()];
        // (priority · K + (2^62 − ready number)) div K: linear ageing that never re-sorts.
        let level = (u64::from(record.priority) * ageing + (READY_BASE - ready)) / ageing;
        record.rank = Rank { level: !level, peers, upward: !record.upward, ready };
        let (class, rank) = (record.class, record.rank);
        self.set_phase(task, Phase::Ready);
        self.index.waiting.insert(class, rank, task);
        self.index.unassigned.insert(class, rank, task);
        self.agenda.place.push(task);
        self.emit(Effect::Ready { task });
    }

    /// Places what became ready or lost its peer, best first; what finds no room stays pending.
    pub(crate) fn place_all(&mut self) {
        let mut tasks = std::mem::take(&mut self.agenda.place);
        tasks.retain(|task| self.tasks[task.index()].phase == Phase::Ready);
        tasks.sort_unstable_by_key(|task| self.tasks[task.index()].rank);
        tasks.dedup();
        for task in tasks {
            if self.tasks[task.index()].phase == Phase::Ready {
                self.place(task);
            }
        }
    }

    fn place(&mut self, task: TaskNo) {
        while self.tasks[task.index()].phase == Phase::Ready {
            // Of a review this may be another class than a moment ago: whoever got another review of the same is avoided.
            let eligible = self.eligible_bits(task);
            let Some(least) = self.index.placement.least_loaded(eligible) else {
                return;
            };
            let preferred = self.tasks[task.index()]
                .prefers
                .filter(|peer| eligible.contains(peer.index()) && self.peers[peer.index()].placed.is_some());
            // No task waits for the peer that it prefers while another one could run it.
            let peer = preferred.filter(|peer| self.is_free(*peer) || !self.is_free(least)).unwrap_or(least);
            if self.is_free(peer) {
                // It takes the best that it can: this task, or it turns out to be starved or paused.
                // One slot: the next task may be better off with another peer.
                self.fill_slots(peer, 1);
            } else {
                self.assign(task, peer);
            }
        }
    }

    fn is_free(&self, peer: PeerNo) -> bool {
        let peer = &self.peers[peer.index()];
        peer.busy < peer.slots && !peer.starved
    }

    /// A free slot takes what is first in line, then the highest-ranked task that its peer can take.
    pub(crate) fn fill(&mut self, no: PeerNo) {
        self.fill_slots(no, u32::MAX);
    }

    fn fill_slots(&mut self, no: PeerNo, most: u32) {
        let mut starves = false;
        let mut left = most;
        let slots = self.peers[no.index()].slots + u32::from(self.switch.breaks(Mutant::SlotsExceeded));
        while !starves && left > 0 && self.peers[no.index()].busy < slots {
            left -= 1;
            let peer = &self.peers[no.index()];
            if let Some(task) = peer.line.front().copied()
                && peer.serves_line()
            {
                starves = !self.has_session(no);
                if !starves {
                    self.serve_line(no, task);
                }
            } else if let Some(task) = self.next_for(no) {
                starves = !self.has_session(no) || !self.has_tokens(no, task);
                if !starves {
                    self.grant(task, no);
                }
            } else {
                break;
            }
        }
        if starves {
            self.starve(no);
        } else {
            self.unstarve(no);
        }
        self.agenda.top_up.push(no);
    }

    /// Its own first among equals, else one that waits elsewhere: work stealing that cannot race.
    fn next_for(&self, no: PeerNo) -> Option<TaskNo> {
        let peer = &self.peers[no.index()];
        let paused = peer.up && self.switch.breaks(Mutant::PausedGetsWork);
        if !peer.is_open() && !paused {
            return None;
        }
        let own = peer.assigned.first().copied();
        let best = self.index.waiting.best(self.index.classes.takes(no));
        match (own, best) {
            (Some((own_rank, own)), Some((rank, best))) => {
                Some(if own_rank <= rank || own_rank.equals(&rank) { own } else { best })
            }
            (own, best) => own.or(best).map(|(_, task)| task),
        }
    }

    fn serve_line(&mut self, no: PeerNo, task: TaskNo) {
        self.peers[no.index()].line.pop_front();
        self.resume_idle(no);
        match self.tasks[task.index()].phase {
            Phase::InLine { peer, grant } => {
                self.set_phase(task, Phase::Running { peer, grant });
                self.take_slot(no);
                self.emit(Effect::Continue { task, grant, peer });
            }
            Phase::Settled { peer } => {
                self.take_slot(no);
                self.index.granted += 1;
                self.peers[no.index()].held.insert(task);
                self.start_check(task, peer);
            }
            other => unreachable!("{task:?} is in line as {other:?}"),
        }
        self.touch_peer(no);
        self.replace(no);
    }

    /// The slot, the place in `held` and the count of grants are there already.
    pub(crate) fn start_check(&mut self, task: TaskNo, peer: PeerNo) {
        let grant = self.at;
        self.set_phase(task, Phase::Checking { peer, grant });
        let record = &mut self.tasks[task.index()];
        record.check = true;
        record.last_peer = peer;
        let attempt = record.attempt;
        self.emit(Effect::Check { task, grant, peer, attempt });
    }

    /// **A grant**: the task is this peer's until it returns, or the peer is given up on.
    fn grant(&mut self, task: TaskNo, no: PeerNo) {
        let grant = self.at;
        let left = self.leave_queues(task);
        self.take_slot(no);
        self.index.granted += 1;
        let peer = &mut self.peers[no.index()];
        peer.held.insert(task);
        self.resume_idle(no);
        if self.tasks[task.index()].check {
            self.start_check(task, no);
        } else {
            self.set_phase(task, Phase::Running { peer: no, grant });
            let tokens = self.kinds[self.tasks[task.index()].kind.index()].mean_tokens();
            let record = &mut self.tasks[task.index()];
            record.attempt += u32::from(!std::mem::take(&mut record.keeps_number));
            record.last_grant = grant;
            record.last_peer = no;
            record.reserved = tokens;
            let attempt = record.attempt;
            self.reserved += tokens;
            self.peers[no.index()].reserved += tokens;
            self.emit(Effect::Start { task, grant, peer: no, attempt });
            self.spread_votes(task, no);
        }
        self.touch_peer(no);
        self.replace(no);
        if let Some(other) = left.filter(|left| *left != no) {
            self.agenda.top_up.push(other);
        }
    }

    fn assign(&mut self, task: TaskNo, no: PeerNo) {
        let (class, rank) = (self.tasks[task.index()].class, self.tasks[task.index()].rank);
        self.index.unassigned.remove(class, rank, task);
        self.peers[no.index()].assigned.insert((rank, task));
        self.set_phase(task, Phase::Assigned { peer: no });
        self.resume_idle(no);
        self.touch_peer(no);
        self.replace(no);
        self.emit(Effect::Assigned { task, peer: no });
    }

    /// Back to pending.
    pub(crate) fn unassign(&mut self, task: TaskNo) {
        let record = &self.tasks[task.index()];
        let Phase::Assigned { peer } = record.phase else {
            unreachable!("only an assigned task is unassigned");
        };
        let (class, rank) = (record.class, record.rank);
        self.peers[peer.index()].assigned.remove(&(rank, task));
        self.set_phase(task, Phase::Ready);
        self.index.unassigned.insert(class, rank, task);
        self.touch_peer(peer);
        self.replace(peer);
        self.emit(Effect::Unassigned { task, peer });
    }

    /// A task that is ready or assigned waits no longer. Returns the peer that has room for another now.
    fn leave_queues(&mut self, task: TaskNo) -> Option<PeerNo> {
        let record = &self.tasks[task.index()];
        let (class, rank) = (record.class, record.rank);
        self.index.waiting.remove(class, rank, task);
        match record.phase {
            Phase::Ready => {
                self.index.unassigned.remove(class, rank, task);
                None
            }
            Phase::Assigned { peer } => {
                self.peers[peer.index()].assigned.remove(&(rank, task));
                self.touch_peer(peer);
                self.replace(peer);
                Some(peer)
            }
            other => unreachable!("{task:?} waits as {other:?}"),
        }
    }

    /// Out of whatever it waits in, because it ends.
    pub(crate) fn withdraw(&mut self, task: TaskNo) {
        match self.tasks[task.index()].phase {
            Phase::Ready | Phase::Assigned { .. } => {
                // It has to be gone from its phase before its peer is given another.
                if let Some(peer) = self.leave_queues(task) {
                    self.agenda.fill.push_back(peer);
                }
            }
            Phase::Backoff { wait } => {
                self.take_wait(wait);
            }
            Phase::Settled { peer } => self.leave_line(task, peer),
            _ => {}
        }
    }

    /// No longer first in line: its peer has room for another task.
    pub(crate) fn leave_line(&mut self, task: TaskNo, peer: PeerNo) {
        self.peers[peer.index()].line.retain(|other| *other != task);
        self.touch_peer(peer);
        self.replace(peer);
        if self.peers[peer.index()].up {
            self.agenda.fill.push_back(peer);
        }
    }

    /// A peer with room takes pending tasks, best first, up to its backlog. This comes last: what is
    /// still pending then has no free slot anywhere.
    pub(crate) fn top_up(&mut self, no: PeerNo) {
        while self.index.unassigned.len() > 0 {
            let peer = &self.peers[no.index()];
            if !peer.is_open() || peer.load() >= peer.slots.saturating_add(self.config.backlog) {
                break;
            }
            let Some((_, task)) = self.index.unassigned.best(self.index.classes.takes(no)) else {
                break;
            };
            self.assign(task, no);
        }
    }

    fn resume_idle(&mut self, no: PeerNo) {
        if self.peers[no.index()].paused == Some(PauseReason::Idle) {
            self.resume_peer(no);
        }
    }

    fn take_slot(&mut self, no: PeerNo) {
        let peer = &mut self.peers[no.index()];
        peer.busy += 1;
        if peer.uses_session {
            let node = peer.node;
            self.nodes[node.index()].sessions_held += 1;
            self.touch_node(node);
        }
    }

    pub(crate) fn free_slot(&mut self, no: PeerNo) {
        let peer = &mut self.peers[no.index()];
        peer.busy -= 1;
        if peer.up {
            self.agenda.fill.push_back(no);
        }
        if peer.uses_session {
            let node = peer.node;
            self.nodes[node.index()].sessions_held -= 1;
            self.touch_node(node);
            self.agenda.feed.push(node);
        }
    }

    fn has_session(&self, no: PeerNo) -> bool {
        let peer = &self.peers[no.index()];
        let node = &self.nodes[peer.node.index()];
        !peer.uses_session || node.sessions_held < node.sessions
    }

    /// Budgets are reserved before a task is handed out: its type's mean, and at least one token.
    fn has_tokens(&mut self, no: PeerNo, task: TaskNo) -> bool {
        let need = self.kinds[self.tasks[task.index()].kind.index()].mean_tokens().max(1);
        let peer = &self.peers[no.index()];
        let fits = |budget: Option<u64>, used: u64| budget.is_none_or(|budget| used.saturating_add(need) <= budget);
        let own = fits(peer.token_budget, peer.tokens.total().saturating_add(peer.reserved));
        let all = fits(self.config.token_budget, self.tokens.total().saturating_add(self.reserved));
        // What is reserved comes back when an attempt ends; one that waits for its children may wait
        // for the very task that finds no tokens.
        let returns = self.index.granted > self.index.parked && self.reserved > 0;
        // Of its own budget only what runs here, or goes on here, gives back: then this is asked again.
        let goes_on = peer.busy > 0 || !peer.line.is_empty();
        let own_returns = goes_on && peer.reserved > 0;
        if !all && !returns {
            self.agenda.budget_spent = true;
        } else if !own && !own_returns {
            self.pause_peer_for_budget(no);
        }
        own && all
    }

    /// It has work and a slot but no session or token: it is asked again when one comes back.
    fn starve(&mut self, no: PeerNo) {
        let peer = &mut self.peers[no.index()];
        if !std::mem::replace(&mut peer.starved, true) {
            let node = peer.node;
            self.nodes[node.index()].starved.push_back(no);
            self.touch_node(node);
            self.touch_peer(no);
            self.replace(no);
        }
    }

    pub(crate) fn unstarve(&mut self, no: PeerNo) {
        let peer = &mut self.peers[no.index()];
        if std::mem::take(&mut peer.starved) {
            let node = peer.node;
            self.nodes[node.index()].starved.retain(|other| *other != no);
            self.touch_node(node);
            self.touch_peer(no);
            self.replace(no);
        }
    }

    /// Sessions came back: those that wait for one are asked in order, until none is left.
    pub(crate) fn feed_starved(&mut self, node: NodeNo) {
        for _ in 0..self.nodes[node.index()].starved.len() {
            let at = &self.nodes[node.index()];
            let Some(peer) = at.starved.front().copied().filter(|_| at.sessions_held < at.sessions) else { break };
            self.unstarve(peer);
            self.fill(peer);
        }
    }

    /// Tokens came back: everybody who waits for some is asked, in order.
    pub(crate) fn feed_starved_of_tokens(&mut self) {
        let starved: Vec<PeerNo> = self.present_nodes().flat_map(|(_, node)| node.starved.iter().copied()).collect();
        for peer in starved {
            if self.peers[peer.index()].starved {
                self.unstarve(peer);
                self.fill(peer);
            }
        }
    }

    /// The placement index follows a peer's load.
    pub(crate) fn replace(&mut self, no: PeerNo) {
        let (backlog, order) = (self.config.backlog, self.place_order());
        self.index.placement.update(no, &mut self.peers[no.index()], backlog, order);
    }

    fn place_order(&self) -> PlaceOrder {
        if !self.config.load_balancing {
            return PlaceOrder::First;
        }
        match self.config.strategy {
            Strategy::Performance => PlaceOrder::Finish,
            Strategy::Adaptive if self.has_learned() => PlaceOrder::Finish,
            Strategy::Balanced | Strategy::Adaptive => PlaceOrder::Load,
        }
    }

    /// Whether each task type has been done often enough to say how long it takes.
    fn has_learned(&self) -> bool {
        !self.kinds.is_empty() && self.kinds.iter().all(|kind| kind.runs >= RUNS_TO_LEARN)
    }

    /// A task type is new, or has just been learned: with the adaptive strategy the order of all peers may be another.
    pub(crate) fn learned_changed(&mut self) {
        if self.config.strategy == Strategy::Adaptive {
            for index in 0..self.peers.len() {
                self.replace(PeerNo::from_index(index));
            }
        }
    }

    /// Moves one assigned task after the other, by the rule in [`crate::balance`]: Σ L²/c falls strictly, so it ends.
    /// Running tasks do not move.
    pub(crate) fn rebalance(&mut self) {
        if !self.config.load_balancing {
            return;
        }
        let mut loaded = self.loaded();
        for _ in 0..MOVES_A_REBALANCE {
            let Some((task, from, to)) = self.find_move(&loaded) else { break };
            for no in [from, to] {
                self.load_key(no).map(|key| loaded.remove(&key));
            }
            self.unassign(task);
            self.assign(task, to);
            loaded.extend([from, to].into_iter().filter_map(|no| self.load_key(no)));
            self.agenda.fill.push_back(to);
            self.agenda.fill.push_back(from);
        }
    }

    /// Whether a `Rebalance` would move anything.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// assert!(!swarm.has_move(), "one peer, and nothing waits");
    /// # Ok(())
    /// # }
    /// ```
    pub fn has_move(&self) -> bool {
        self.config.load_balancing && self.find_move(&self.loaded()).is_some()
    }

    fn loaded(&self) -> BTreeSet<(Reverse<u64>, PeerNo)> {
        self.peers().filter_map(|(no, _)| self.load_key(no)).collect()
    }

    /// Sorts the peers with waiting tasks, the relatively most loaded first.
    fn load_key(&self, no: PeerNo) -> Option<(Reverse<u64>, PeerNo)> {
        let peer = &self.peers[no.index()];
        let load = u64::from(peer.load()) * LOAD_SCALE / u64::from(peer.slots);
        (!peer.assigned.is_empty()).then_some((Reverse(load), no))
    }

    /// From the most loaded peers on: the last of its waiting tasks that somebody is better off with.
    fn find_move(&self, loaded: &BTreeSet<(Reverse<u64>, PeerNo)>) -> Option<(TaskNo, PeerNo, PeerNo)> {
        let mut least = BTreeMap::new();
        loaded.iter().find_map(|(_, from)| {
            let waiting = self.peers[from.index()].assigned.iter().rev();
            waiting.map(|(_, task)| *task).find_map(|task| {
                let class = self.tasks[task.index()].class;
                let find = || self.index.placement.least_loaded(self.index.classes.eligible(class));
                let to = (*least.entry(class).or_insert_with(find))?;
                (to != *from && self.is_better(*from, to)).then_some((task, *from, to))
            })
        })
    }

    fn is_better(&self, from: PeerNo, to: PeerNo) -> bool {
        let (p, q) = (&self.peers[from.index()], &self.peers[to.index()]);
        crate::balance::is_better(p.load().into(), p.slots.into(), q.load().into(), q.slots.into())
    }
}
