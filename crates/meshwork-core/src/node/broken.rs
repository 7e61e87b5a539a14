//! What a node does whose rules are broken by a [`Mutant`]: for tests alone, see `mutant.rs`.

use super::{Answer, Node, Ticket};
use crate::ids::{Grant, Position, TaskNo};
use crate::mutant::Mutant;
use crate::op::{AttemptOutcome, Op, Returned, Tokens};

impl Node {
    /// Whether this rule is broken, to see whether anybody would notice; never in a release.
    pub(super) fn breaks(&self, rule: Mutant) -> bool {
        self.swarm.switch.breaks(rule)
    }

    /// What a broken node does: it says that an attempt has ended whose process has not.
    pub(super) fn return_early(&mut self, task: TaskNo, grant: Grant) {
        let outcome = AttemptOutcome::Cancelled;
        let (result, error, usage) = (None, None, Tokens::default());
        let (started_ms, ran_ms, messages_open) = (0, 0, false);
        self.wish(Op::Return(Returned {
            task,
            grant,
            outcome,
            result,
            error,
            usage,
            started_ms,
            ran_ms,
            messages_open,
        }));
    }

    /// What a broken node does: it takes back what it has appended, to say it anew.
    pub(super) fn unsay(&mut self) {
        let Some((batch, tickets)) = self.in_flight.take() else { return };
        for said in batch.entries.iter().cloned().zip(tickets).rev() {
            self.pending.push_front(said);
        }
    }

    /// It answers before it knows.
    pub(super) fn answer_early(&mut self, tickets: &mut [Option<Ticket>]) {
        let position = Position::new(self.swarm.last().seq + 1, 0);
        for ticket in tickets {
            self.answer(ticket.take(), Answer::Accepted { position, tasks: Vec::new() });
        }
    }
}
