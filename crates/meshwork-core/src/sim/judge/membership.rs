//! Which effects an entry may have: nodes and peers that come and go, and the round.

use super::effects::{ensure, rule};
use super::facts::{NodeFacts, PeerFacts, RoundFacts};
use super::{Judge, Wrong};
use crate::sim::finding::FindingKind;
use crate::{Effect, NodeNo, Op, PauseReason, PeerNo, PeerSpec, Position};

impl Judge {
    pub(super) fn of_membership(&mut self, op: &Op, effect: Effect) -> Result<(), Wrong> {
        match effect {
            Effect::Joined { node } => self.joined(op, node),
            Effect::NodeLost { node } => self.node_lost(op, node),
            Effect::NodeLeft { node } => {
                self.nodes[node.index()].present = false;
                self.end_submission(node);
                let said = matches!(op, Op::Leave) && self.author == Some(node);
                rule(said, || format!("{} leaves, and did not say so", self.node_name(node)))
            }
            Effect::PeerUp { peer } => self.peer_up(op, peer),
            Effect::PeerDown { peer, why } => {
                let facts = &mut self.peers[peer.index()];
                let by_node = why.is_none() && !self.nodes[facts.node.index()].present;
                let by_entry =
                    matches!(op, Op::PeerDown { peer, why: reason } if *peer == facts.id && why == Some(*reason));
                facts.up = false;
                self.downs.push(peer);
                rule(by_node || by_entry, || format!("{} goes down for no reason", self.peer_name(peer)))
            }
            Effect::Paused { peer, reason } => {
                let by_entry = matches!(op, Op::Pause { .. }) || reason == PauseReason::Budget;
                self.peers[peer.index()].paused = Some(reason);
                rule(by_entry, || format!("{} is paused for no reason", self.peer_name(peer)))
            }
            Effect::Resumed { peer } => {
                self.peers[peer.index()].paused = None;
                Ok(())
            }
            Effect::RoundOpened { round } => {
                rule(self.round.is_none(), || format!("round {round} opens while another is open"))?;
                self.rounds += 1;
                rule(round == self.rounds, || format!("round {round} opens, {} is the next", self.rounds))?;
                let more = matches!(op, Op::Submit(submission) if submission.more && submission.parent.is_none());
                let submitters = self.author.filter(|_| more).into_iter().collect();
                self.round = Some(RoundFacts { number: round, submitters, ..RoundFacts::default() });
                Ok(())
            }
            Effect::Sealed { .. } => {
                if let Some(round) = &mut self.round {
                    round.sealed = true;
                }
                rule(matches!(op, Op::Seal { .. }), || "a round is sealed by nobody".to_owned())
            }
            Effect::RoundClosed { round, at, ok, failed } => self.round_closed(round, at, ok, failed),
            _ => Ok(()),
        }
    }

    fn round_closed(&mut self, number: u32, at: Position, ok: u32, failed: u32) -> Result<(), Wrong> {
        let Some(round) = self.round.take().filter(|round| round.number == number) else {
            return Err(Wrong::new(FindingKind::DoubleCommit, format!("round {number} closes, and is not open")));
        };
        let early = |holds: bool, what: String| {
            ensure(holds, FindingKind::EarlyCompletion, || format!("round {number} closes, and {what}"))
        };
        early(round.open == 0, format!("{} tasks are open", round.open))?;
        early(round.sealed, "nobody sealed it".to_owned())?;
        early(round.submitters.is_empty(), "a submission has not ended".to_owned())?;
        rule(at == self.at, || format!("round {number} closes at {at}, and its completion is {}", self.at))?;
        rule((ok, failed) == (round.ok, round.failed), || {
            format!("round {number} closes with {ok} ok and {failed} failed, expected {round:?}")
        })
    }

    fn joined(&mut self, op: &Op, node: NodeNo) -> Result<(), Wrong> {
        let Op::Join { sessions, .. } = op else {
            return Err(Wrong::broken("a node joins without an entry"));
        };
        rule(node.index() == self.nodes.len(), || format!("{node:?} is not the next node"))?;
        let name = self.joining.clone();
        let twice = self.nodes.iter().any(|other| other.present && other.name == name);
        rule(!twice, || format!("{name} joins, and is present already"))?;
        self.names.insert(name.clone(), node);
        self.incarnations.insert(self.at, node);
        let (incarnation, heard, sessions) = (self.at, self.at, *sessions);
        self.nodes.push(NodeFacts { name, incarnation, present: true, last_seq: 0, heard, sessions, sessions_held: 0 });
        Ok(())
    }

    fn node_lost(&mut self, op: &Op, node: NodeNo) -> Result<(), Wrong> {
        let incarnation = self.nodes[node.index()].incarnation;
        let named = match op {
            Op::NodeLost { incarnation: lost, .. } => *lost == incarnation,
            Op::Join { replaces, .. } => *replaces == incarnation,
            _ => false,
        };
        rule(named, || format!("{} is lost, and nobody said so", self.node_name(node)))?;
        self.nodes[node.index()].present = false;
        self.end_submission(node);
        Ok(())
    }

    fn peer_up(&mut self, op: &Op, peer: PeerNo) -> Result<(), Wrong> {
        let (Op::PeerUp(spec), Some(node)) = (op, self.author) else {
            return Err(Wrong::broken("a peer comes up without an entry"));
        };
        if peer.index() == self.peers.len() {
            self.peer_ids.insert(spec.id.clone(), peer);
            self.peers.push(PeerFacts::new(spec, node));
        }
        let facts = &mut self.peers[peer.index()];
        let PeerSpec { id, capabilities, slots, uses_session, .. } = spec;
        rule(facts.id == *id, || format!("{id} comes up as {}", facts.id))?;
        let facts = &mut self.peers[peer.index()];
        if facts.up && facts.uses_session != *uses_session {
            let held = &mut self.nodes[node.index()].sessions_held;
            *held = if *uses_session { *held + facts.busy } else { *held - facts.busy };
        }
        if !facts.up {
            facts.paused = None;
        }
        facts.up = true;
        facts.node = node;
        facts.slots = *slots;
        facts.uses_session = *uses_session;
        facts.capabilities = capabilities.iter().cloned().collect();
        Ok(())
    }
}
