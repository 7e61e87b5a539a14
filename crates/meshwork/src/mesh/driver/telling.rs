//! What those who look on and wait are told: counts after each batch, and the ends of rounds.

use super::super::{RoundEnd, Status};
use super::Driver;

impl Driver {
    pub(super) fn publish(&self) {
        let swarm = self.node.swarm();
        self.mesh.has_queen.store(swarm.shape().queen().is_some(), std::sync::atomic::Ordering::Relaxed);
        let mut status = Status {
            running: swarm.granted(),
            waiting: u32::try_from(swarm.waiting()).unwrap_or(u32::MAX),
            seq: swarm.last().seq,
            ..Status::default()
        };
        if let Some(round) = swarm.round() {
            (status.round, status.open) = (round.number, round.open);
            (status.completed, status.failed) = (round.ok, round.failed);
        } else if let Some(last) = swarm.last_round() {
            (status.round, status.completed, status.failed) = (last.number, last.ok, last.failed);
        }
        self.status.send_replace(status);
    }

    /// Tells those who wait for a round that is closed.
    pub(super) fn tell_closed(&mut self) {
        let swarm = self.node.swarm();
        if !self.mark.may_announce(swarm) {
            return;
        }
        let (open, last) = (swarm.round().map(|round| round.number), swarm.last_round());
        for (round, answer) in std::mem::take(&mut self.rounds) {
            let end = match (round, last) {
                // A round that closed before this node was started is told of as the last one.
                (Some(round), Some(last)) if round <= last.number => {
                    RoundEnd::Closed(self.closed.get(&round).copied().unwrap_or(last))
                }
                (None, last) if open.is_none() => RoundEnd::Empty(last),
                _ => {
                    self.rounds.push((round, answer));
                    continue;
                }
            };
            let _gone = answer.send(Ok(end));
        }
    }

    /// Tells those who wait for a round that nothing can close any more.
    pub(super) fn tell_stalled(&mut self) {
        if self.rounds.is_empty() || self.node.has_undecided() || !self.node.is_member() {
            return;
        }
        // A parent that waits for children which nobody can run waits for ever; any other body may still do something.
        let waits = |body| self.waiting.get(body).is_some_and(|waiting| !waiting.is_closed());
        let swarm = self.node.swarm();
        if !self.bodies.keys().all(waits) || !swarm.is_stalled() {
            return;
        }
        if self.staff.as_ref().is_some_and(|staff| staff.could_help(swarm)) {
            return;
        }
        for (_, answer) in self.rounds.drain(..) {
            let _gone = answer.send(Ok(RoundEnd::Stalled));
        }
    }
}
