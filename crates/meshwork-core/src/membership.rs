//! Nodes and peers that come, pause, and go.

use crate::class::Shift;
use crate::effect::Effect;
use crate::ids::{NodeNo, PeerNo, Position, TaskNo};
use crate::mutant::Mutant;
use crate::op::{AttemptOutcome, DownReason, PauseReason, PeerSpec, Tokens, VERSION};
use crate::peer::{Node, Peer};
use crate::refusal::{LimitKind, Refusal};
use crate::submit::judge_id;
use crate::swarm::Swarm;
use crate::task::Phase;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

impl Swarm {
    pub(crate) fn join(&mut self, name: &str, replaces: Position, version: u32, sessions: u32) -> Result<(), Refusal> {
        judge_id(name)?;
        if version != self.version || version != VERSION {
            return Err(Refusal::Version { found: version, expected: self.version });
        }
        let expected = self.last_incarnation(name);
        if replaces != expected && !self.switch.breaks(Mutant::JoinWithoutReplaces) {
            return Err(Refusal::NotLastIncarnation { node: name.to_owned(), found: replaces, expected });
        }
        if let Some(old) = self.index.nodes.get(name)
            && !self.switch.breaks(Mutant::ReplacedNotLost)
        {
            self.lose_node(NodeNo(old));
        }
        let no = NodeNo::from_index(self.nodes.len());
        let name: Arc<str> = name.into();
        self.index.nodes.insert(name.clone(), no.0);
        self.index.incarnations.insert(self.at, no);
        self.nodes.push(Node {
            name,
            incarnation: self.at,
            present: true,
            last_seq: 0,
            heard: self.at,
            sessions,
            sessions_held: 0,
            starved: VecDeque::new(),
            submitting: Vec::new(),
            hash: 0,
        });
        self.touch_node(no);
        self.emit(Effect::Joined { node: no });
        Ok(())
    }

    pub(crate) fn node_lost(&mut self, incarnation: Position, heard: Position) -> Result<(), Refusal> {
        let found = self.index.incarnations.get(&incarnation).copied();
        let Some(no) = found.filter(|no| self.nodes[no.index()].present) else {
            return Err(Refusal::NoSuchNode { incarnation });
        };
        let last = self.nodes[no.index()].heard;
        // The author may give up on itself: its own entry is the one that lies after `heard`.
        if last > heard && last != self.at && !self.switch.breaks(Mutant::HeardIgnored) {
            return Err(Refusal::HeardSince { heard, last });
        }
        self.lose_node(no);
        Ok(())
    }

    /// It has stopped: nothing of it runs, so nothing is interrupted. A Join replaces it as any other.
    pub(crate) fn node_leaves(&mut self, no: NodeNo) -> Result<(), Refusal> {
        let node = self.nodes[no.index()].name.to_string();
        if let Some(peer) = self.peers.iter().find(|peer| peer.up && peer.node == no)
            && !self.switch.breaks(Mutant::LeavesWithPeers)
        {
            return Err(Refusal::PeersUp { node, peer: peer.id.to_string() });
        }
        self.nodes[no.index()].present = false;
        self.touch_node(no);
        self.emit(Effect::NodeLeft { node: no });
        self.end_submission(no);
        Ok(())
    }

    /// All its peers at once, so that nothing of the one is handed to the other.
    fn lose_node(&mut self, no: NodeNo) {
        if !self.nodes[no.index()].present {
            return;
        }
        self.nodes[no.index()].present = false;
        self.nodes[no.index()].starved.clear();
        self.touch_node(no);
        self.emit(Effect::NodeLost { node: no });
        let mut peers: Vec<PeerNo> =
            self.peers().filter(|(_, peer)| peer.node == no && peer.up).map(|(p, _)| p).collect();
        if self.switch.breaks(Mutant::UnorderedMap) && self.switch.process() % 2 == 1 {
            peers.reverse();
        }
        let one_by_one = self.switch.breaks(Mutant::PeersOneByOne);
        for peer in &peers {
            self.peers[peer.index()].up = false;
            self.changed(*peer);
            self.emit(Effect::PeerDown { peer: *peer, why: None });
            if one_by_one {
                self.hand_on(*peer);
                self.revoke_all(*peer, AttemptOutcome::Interrupted, true);
                self.bring_to_rest();
            }
        }
        for peer in peers.into_iter().filter(|_| !one_by_one) {
            self.hand_on(peer);
            self.revoke_all(peer, AttemptOutcome::Interrupted, true);
        }
        if !self.switch.breaks(Mutant::SubmissionOfLostNodeOpen) {
            self.end_submission(no);
        }
    }

    pub(crate) fn peer_up(&mut self, node: NodeNo, spec: &PeerSpec) -> Result<(), Refusal> {
        judge_id(&spec.id)?;
        if spec.slots == 0 {
            let what = format!("the slots of peer {:?}", spec.id);
            return Err(Refusal::OutOfRange { what, found: 0, expected: "at least 1".to_owned() });
        }
        let limits = &self.config.limits;
        self.within(LimitKind::Capabilities, spec.capabilities.len() as u64, limits.capabilities)?;
        let known = self.find_peer(&spec.id);
        if let Some(old) = known.map(|no| &self.peers[no.index()])
            && old.up
            && old.node != node
        {
            let node = self.nodes[old.node.index()].name.to_string();
            return Err(Refusal::PeerElsewhere { peer: spec.id.clone(), node });
        }
        if known.is_none() {
            self.within(LimitKind::Peers, self.peers.len() as u64 + 1, limits.peers)?;
        }
        let capabilities = self.intern_capabilities(&spec.capabilities);
        let no = known.unwrap_or_else(|| self.add_peer(&spec.id, node));
        let peer = &mut self.peers[no.index()];
        let was_up = std::mem::replace(&mut peer.up, true);
        if peer.uses_session != spec.uses_session && peer.busy > 0 {
            // What runs takes sessions from now on, or gives them back.
            let held = &mut self.nodes[node.index()].sessions_held;
            *held = if spec.uses_session { *held + peer.busy } else { *held - peer.busy };
            self.agenda.feed.push(node);
            self.agenda.touched.nodes.push(node);
        }
        peer.node = node;
        peer.capabilities = capabilities;
        peer.slots = spec.slots;
        peer.uses_session = spec.uses_session;
        peer.token_budget = spec.token_budget;
        if !was_up {
            peer.paused = None;
        }
        self.changed(no);
        self.emit(Effect::PeerUp { peer: no });
        if was_up {
            // What it can do may have shrunk: its waiting tasks are placed anew.
            self.hand_on(no);
        }
        self.agenda.fill.push_back(no);
        Ok(())
    }

    fn add_peer(&mut self, id: &str, node: NodeNo) -> PeerNo {
        let no = PeerNo::from_index(self.peers.len());
        let id: Arc<str> = id.into();
        self.index.peers.insert(id.clone(), no.0);
        self.peers.push(Peer {
            id,
            node,
            up: false,
            capabilities: Box::default(),
            slots: 1,
            uses_session: false,
            paused: None,
            busy: 0,
            assigned: BTreeSet::new(),
            line: VecDeque::new(),
            held: BTreeSet::new(),
            starved: false,
            token_budget: None,
            tokens: Tokens::default(),
            reserved: 0,
            completed: 0,
            failed: 0,
            ran_ms: 0,
            placed: None,
            hash: 0,
        });
        no
    }

    fn up(&self, id: &str) -> Result<PeerNo, Refusal> {
        let known = self.find_peer(id).filter(|no| self.peers[no.index()].up);
        known.ok_or_else(|| Refusal::NoSuchPeer { peer: id.to_owned() })
    }

    pub(crate) fn peer_down(&mut self, node: NodeNo, id: &str, why: DownReason) -> Result<(), Refusal> {
        let no = self.up(id)?;
        let at = self.peers[no.index()].node;
        if at != node {
            let node = self.nodes[at.index()].name.to_string();
            return Err(Refusal::PeerElsewhere { peer: id.to_owned(), node });
        }
        self.peers[no.index()].up = false;
        self.changed(no);
        self.emit(Effect::PeerDown { peer: no, why: Some(why) });
        self.hand_on(no);
        match why {
            DownReason::Died => self.revoke_all(no, AttemptOutcome::Lost, true),
            DownReason::Left | DownReason::Shutdown | DownReason::Dismissed => {
                self.revoke_all(no, AttemptOutcome::Interrupted, false);
            }
        }
        Ok(())
    }

    pub(crate) fn pause(&mut self, id: &str, reason: PauseReason) -> Result<(), Refusal> {
        let no = self.up(id)?;
        let load = self.peers[no.index()].load();
        if reason == PauseReason::Idle && load > 0 && !self.switch.breaks(Mutant::IdlePauseAtWork) {
            return Err(Refusal::NotIdle { peer: id.to_owned(), load });
        }
        // An idle pause never lifts a stronger one, and pausing a paused peer is no error.
        if reason != PauseReason::Idle || self.peers[no.index()].paused.is_none() {
            self.pause_peer(no, reason);
        }
        Ok(())
    }

    fn pause_peer(&mut self, no: PeerNo, reason: PauseReason) {
        if self.peers[no.index()].paused == Some(reason) {
            return;
        }
        self.peers[no.index()].paused = Some(reason);
        self.pause_changed(no, reason);
        self.emit(Effect::Paused { peer: no, reason });
        if reason != PauseReason::Idle && !self.switch.breaks(Mutant::PausedGetsWork) {
            self.hand_on(no);
        }
        self.agenda.fill.push_back(no);
    }

    pub(crate) fn pause_for_budget(&mut self) {
        let open: Vec<PeerNo> = self.peers().filter(|(_, peer)| peer.is_open()).map(|(no, _)| no).collect();
        for peer in open {
            self.pause_peer(peer, PauseReason::Budget);
        }
    }

    pub(crate) fn pause_peer_for_budget(&mut self, no: PeerNo) {
        self.pause_peer(no, PauseReason::Budget);
    }

    pub(crate) fn resume(&mut self, id: &str) -> Result<(), Refusal> {
        let no = self.up(id)?;
        self.resume_peer(no);
        self.agenda.fill.push_back(no);
        Ok(())
    }

    pub(crate) fn resume_peer(&mut self, no: PeerNo) {
        if let Some(reason) = self.peers[no.index()].paused.take() {
            self.pause_changed(no, reason);
            self.emit(Effect::Resumed { peer: no });
        }
    }

    /// Brings the indexes up to date after a peer came, went, paused, resumed or changed.
    fn changed(&mut self, no: PeerNo) {
        self.stand(no);
        let Shift { gained, lost } = self.index.classes.refresh_peer(no, &self.peers);
        for peer in gained.iter().map(PeerNo::from_index) {
            self.agenda.fill.push_back(peer);
        }
        for peer in lost.iter().map(PeerNo::from_index) {
            self.hand_on_avoided(peer);
        }
        self.touch_peer(no);
        self.replace(no);
    }

    /// An idle pause leaves a peer eligible, so nothing else changes.
    fn pause_changed(&mut self, no: PeerNo, reason: PauseReason) {
        if reason == PauseReason::Idle {
            self.touch_peer(no);
            self.replace(no);
        } else {
            self.changed(no);
        }
    }

    /// Somebody else came who can take what this peer had failed: that waits here no longer.
    fn hand_on_avoided(&mut self, no: PeerNo) {
        let waiting: Vec<TaskNo> = self.peers[no.index()].assigned.iter().map(|(_, task)| *task).collect();
        for task in waiting {
            if !self.eligible_bits(task).contains(no.index()) {
                self.unassign(task);
                self.agenda.place.push(task);
                self.agenda.fill.push_back(no);
            }
        }
    }

    /// What waits at a peer is placed anew: elsewhere if anybody else can take it.
    pub(crate) fn hand_on(&mut self, no: PeerNo) {
        let waiting: Vec<TaskNo> = self.peers[no.index()].assigned.iter().map(|(_, task)| *task).collect();
        for task in waiting {
            self.unassign(task);
            self.agenda.place.push(task);
        }
    }

    /// Every grant of a peer is taken back; what was first in line there is done elsewhere.
    fn revoke_all(&mut self, no: PeerNo, outcome: AttemptOutcome, counts: bool) {
        let line = std::mem::take(&mut self.peers[no.index()].line);
        let held: Vec<TaskNo> = self.peers[no.index()].held.iter().copied().collect();
        for task in line {
            if let Phase::Settled { .. } = self.tasks[task.index()].phase {
                self.make_ready(task);
            }
        }
        for task in held {
            // The end of one may have cancelled another, and with it what it held here.
            if self.peers[no.index()].held.contains(&task) {
                self.revoke(task, outcome, counts);
            }
        }
        let peer = &self.peers[no.index()];
        assert_eq!((peer.busy, peer.load()), (0, 0), "a peer that is gone holds nothing");
        self.unstarve(no);
        self.touch_peer(no);
        self.replace(no);
    }
}
