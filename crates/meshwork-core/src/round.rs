//! Rounds: the root of the engagement tree. Its close is the completion.

use crate::effect::Effect;
use crate::ids::WaitNo;
use crate::mutant::Mutant;
use crate::refusal::Refusal;
use crate::swarm::{ClosedRound, Round, Swarm};
use crate::task::Phase;
use std::collections::BTreeSet;

impl Swarm {
    /// A submission after the close opens the next round.
    pub(crate) fn open_round(&mut self) {
        if self.round.is_some() {
            return;
        }
        let number = self.last_round.map_or(0, |last| last.number) + 1;
        let opened = self.at;
        let submitters = BTreeSet::new();
        self.round = Some(Round { number, opened, sealed: false, open: 0, ok: 0, failed: 0, submitters });
        self.emit(Effect::RoundOpened { round: number });
    }

    pub(crate) fn seal(&mut self, number: u32) -> Result<(), Refusal> {
        match &mut self.round {
            Some(round) if round.number == number || self.switch.breaks(Mutant::SealOfAnyRound) => {
                if !round.sealed {
                    round.sealed = true;
                    self.emit(Effect::Sealed { round: number });
                }
                Ok(())
            }
            other => {
                let open = other.as_ref().map(|round| round.number);
                Err(Refusal::RoundNotOpen { found: number, open })
            }
        }
    }

    /// **The completion**: sealed, nobody's submission pending, no open task.
    pub(crate) fn close_round_when_done(&mut self) {
        let Some(round) = &self.round else { return };
        let sealed = round.sealed || self.switch.breaks(Mutant::ClosesUnsealed);
        let submitted = round.submitters.is_empty() || self.switch.breaks(Mutant::MoreForgotten);
        if !sealed || round.open > 0 || !submitted {
            return;
        }
        let closed = ClosedRound { number: round.number, at: self.at, ok: round.ok, failed: round.failed };
        self.round = None;
        self.last_round = Some(closed);
        let ClosedRound { number, at, ok, failed } = closed;
        self.emit(Effect::RoundClosed { round: number, at, ok, failed });
    }

    /// A wait is over.
    pub(crate) fn due(&mut self, wait: WaitNo) -> Result<(), Refusal> {
        let Some(over) = self.take_wait(wait) else {
            return Err(Refusal::NoSuchWait { wait });
        };
        if self.switch.breaks(Mutant::ClockInApply) && self.switch.clock_went_back() {
            self.add_wait(wait, over);
            return Err(Refusal::NoSuchWait { wait });
        }
        let task = over.task;
        assert_eq!(self.tasks[task.index()].phase, Phase::Backoff { wait }, "a wait belongs to a back-off");
        self.make_ready(task);
        Ok(())
    }
}
