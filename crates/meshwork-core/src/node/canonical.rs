//! What of a node can still matter, for the model checker; and what a world that drives it may see of it.

use super::{Body, Node, Stage, Ticket};
use crate::canonical::Canon;
use crate::ids::Position;
use crate::op::{Batch, Op};
use std::sync::Arc;

impl Node {
    /// Its incarnation, while it is a member.
    pub fn incarnation(&self) -> Option<Position> {
        self.is_member().then_some(self.incarnation)
    }

    /// What it has decided to say and has not read back yet, in order.
    pub fn undecided(&self) -> impl Iterator<Item = &Op> {
        let in_flight = self.in_flight.iter().flat_map(|(batch, _)| &batch.entries);
        in_flight.chain(self.pending.iter().map(|(op, _)| op))
    }

    /// The batch that it has appended and not read back.
    pub fn in_flight(&self) -> Option<&Arc<Batch>> {
        self.in_flight.as_ref().map(|(batch, _)| batch)
    }

    /// Walks over everything that its rules can still read, its swarm aside: that is named by how many
    /// batches it is ahead of the base. `ticket` names what somebody waits for.
    pub fn walk(&self, canon: &mut Canon<'_>, mut ticket: impl FnMut(&mut Canon<'_>, Ticket)) {
        let mut said = |canon: &mut Canon<'_>, ops: &mut dyn Iterator<Item = (&Op, &Option<Ticket>)>| {
            for (op, asked) in ops {
                canon.op(op);
                canon.flag(asked.is_some());
                if let Some(asked) = asked {
                    ticket(canon, *asked);
                }
            }
            canon.word(u64::MAX);
        };
        match self.stage {
            Stage::CatchingUp => canon.word(1),
            Stage::Joining => canon.word(2),
            Stage::Ending => canon.word(3),
            Stage::Left => canon.word(4),
            Stage::Member(me) => {
                canon.word(5);
                canon.node_no(me);
                canon.incarnation(self.incarnation);
                canon.sequence(self.incarnation, self.next_seq);
            }
        }
        said(canon, &mut self.pending.iter().map(|(op, asked)| (op, asked)));
        canon.flag(self.in_flight.is_some());
        if let Some((batch, tickets)) = &self.in_flight {
            canon.batch(batch);
            said(canon, &mut batch.entries.iter().zip(tickets));
        }
        for ((task, grant), body) in &self.bodies {
            canon.grant(*task, *grant);
            canon.word(match body {
                Body::Runs => 1,
                Body::Cancelled => 2,
                Body::Interrupted => 3,
                Body::Abandoned => 4,
            });
        }
        canon.word(u64::MAX);
        for (task, grant) in &self.messages {
            canon.grant(*task, *grant);
        }
        canon.word(u64::MAX);
        canon.word(self.peers.len() as u64);
        self.peers.iter().for_each(|spec| canon.peer_spec(spec));
        canon.list(self.still.iter().map(|peer| u64::from(peer.0)));
        canon.word(u64::from(self.leaving) << 1 | u64::from(self.closing));
    }
}
