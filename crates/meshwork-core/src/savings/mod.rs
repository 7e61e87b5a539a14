//! What pausing an agent saved, measured and never assumed (seed, section 8).
//!
//! An idle agent that makes no call spends nothing; *waking* it does. A *wake* is a turn that an idle agent takes
//! without a task: its schedule says so, or a message is handled on its own. What a pause avoids is wakes: the
//! scheduled ones that did not happen, and all but one of the messages that arrived meanwhile and were handed over
//! together. Each counts what a wake of this agent was measured to cost, or one of its kind while it has none. Against
//! that stands what the first turn after a resume cost more than others.
//!
//! [`Ledger`] is one agent's, [`Input`] what happens to it; times come from outside. Every token is told once: as
//! part of a wake, of a turn, or of neither.

mod words;

#[cfg(test)]
mod tests;

pub use words::{Input, Measured, Savings, Sort, Tally};

/// What an agent is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Active,
    Paused,
    Gone,
}

/// The ledger of one agent. Inputs that do not fit (a resume of an active agent, say) change nothing.
///
/// ```
/// use meshwork_core::savings::{Input, Ledger, Measured};
///
/// let mut ledger = Ledger::new(0);
/// ledger.handle(1_000, Input::Woke { tokens: 500 });
/// ledger.handle(2_000, Input::Paused);
/// ledger.handle(3_000, Input::WakeDue);
/// ledger.handle(4_000, Input::WakeDue);
/// ledger.handle(5_000, Input::Resumed);
/// let savings = ledger.savings(6_000, Measured::default());
/// assert_eq!((savings.saved, savings.total), (1_000, 500));
/// assert_eq!((savings.pause_ms, savings.active_ms), (3_000, 3_000));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    phase: Phase,
    /// The latest time that was told; a clock that goes back stands still.
    now_ms: u64,
    pause_ms: u64,
    active_ms: u64,
    /// Every token that was reported.
    total: u64,
    measured: Measured,
    /// The next wake or turn is the first after a resume.
    resumed: bool,
    skipped: u64,
    /// Messages that arrived while it was paused and were not handed over.
    waiting: u64,
    joined: u64,
}

impl Ledger {
    /// The ledger of an agent that is active from now on.
    ///
    /// ```
    /// use meshwork_core::savings::{Ledger, Measured};
    ///
    /// let ledger = Ledger::new(1_000);
    /// assert_eq!(ledger.savings(4_000, Measured::default()).active_ms, 3_000);
    /// ```
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self {
            phase: Phase::Active,
            now_ms,
            pause_ms: 0,
            active_ms: 0,
            total: 0,
            measured: Measured::default(),
            resumed: false,
            skipped: 0,
            waiting: 0,
            joined: 0,
        }
    }

    /// Whether it is paused.
    ///
    /// ```
    /// use meshwork_core::savings::{Input, Ledger};
    ///
    /// let mut ledger = Ledger::new(0);
    /// ledger.handle(1_000, Input::Woke { tokens: 500 });
    /// ledger.handle(2_000, Input::Paused);
    /// assert!(ledger.is_paused());
    /// ledger.handle(3_000, Input::Resumed);
    /// assert!(!ledger.is_paused());
    /// ```
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.phase == Phase::Paused
    }

    /// Takes what happened.
    ///
    /// ```
    /// use meshwork_core::savings::{Input, Ledger, Measured};
    ///
    /// let mut ledger = Ledger::new(0);
    /// ledger.handle(1_000, Input::Woke { tokens: 500 });
    /// ledger.handle(2_000, Input::Paused);
    /// for _message in 0..3 {
    ///     ledger.handle(3_000, Input::MessageArrived);
    /// }
    /// ledger.handle(4_000, Input::HandedOver { messages: 3 });
    /// assert_eq!(ledger.savings(4_000, Measured::default()).wakes_avoided, 2, "one turn in place of three");
    /// ```
    pub fn handle(&mut self, now_ms: u64, input: Input) {
        self.pass(now_ms);
        match input {
            Input::Spent { tokens } => self.total = self.total.saturating_add(tokens),
            Input::Woke { tokens } => self.on_spell(tokens, |measured| &mut measured.wakes),
            Input::Turn { tokens } => self.on_spell(tokens, |measured| &mut measured.turns),
            Input::Paused if self.phase == Phase::Active => self.phase = Phase::Paused,
            Input::Resumed if self.phase == Phase::Paused => {
                self.phase = Phase::Active;
                self.resumed = true;
            }
            Input::WakeDue if self.phase == Phase::Paused => self.skipped = self.skipped.saturating_add(1),
            Input::MessageArrived if self.phase == Phase::Paused => self.waiting = self.waiting.saturating_add(1),
            Input::HandedOver { messages } => {
                let together = messages.min(self.waiting);
                self.waiting -= together;
                self.joined = self.joined.saturating_add(together.saturating_sub(1));
            }
            Input::Left => self.phase = Phase::Gone,
            Input::CameBack if self.phase == Phase::Gone => self.phase = Phase::Active,
            Input::Paused | Input::Resumed | Input::WakeDue | Input::MessageArrived | Input::CameBack => {}
        }
    }

    fn on_spell(&mut self, tokens: u64, sort: impl FnOnce(&mut Measured) -> &mut Sort) {
        self.total = self.total.saturating_add(tokens);
        let sort = sort(&mut self.measured);
        let tally = if std::mem::take(&mut self.resumed) { &mut sort.firsts } else { &mut sort.others };
        tally.add(tokens);
    }

    /// Lets the time pass in which nothing happened.
    fn pass(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.now_ms);
        self.now_ms = self.now_ms.max(now_ms);
        match self.phase {
            Phase::Active => self.active_ms = self.active_ms.saturating_add(passed),
            Phase::Paused => self.pause_ms = self.pause_ms.saturating_add(passed),
            Phase::Gone => {}
        }
    }

    /// What was measured of this agent; the sum over its kind is what [`Ledger::savings`] wants.
    ///
    /// ```
    /// use meshwork_core::savings::{Input, Ledger};
    ///
    /// let mut ledger = Ledger::new(0);
    /// ledger.handle(1_000, Input::Woke { tokens: 500 });
    /// ledger.handle(2_000, Input::Paused);
    /// assert_eq!(ledger.measured().wakes.others.mean(), Some(500));
    /// ```
    #[must_use]
    pub fn measured(&self) -> Measured {
        self.measured
    }

    /// What pausing saved until now. `kind` is what was measured of all agents of its kind, for what this one has no
    /// measure of its own.
    ///
    /// ```
    /// use meshwork_core::savings::{Input, Ledger, Measured};
    ///
    /// let mut ledger = Ledger::new(0);
    /// ledger.handle(1_000, Input::Woke { tokens: 500 });
    /// ledger.handle(2_000, Input::Paused);
    /// ledger.handle(3_000, Input::WakeDue);
    /// let savings = ledger.savings(5_000, Measured::default());
    /// assert_eq!((savings.saved, savings.pause_ms, savings.active_ms), (500, 3_000, 2_000));
    /// ```
    #[must_use]
    pub fn savings(&self, now_ms: u64, kind: Measured) -> Savings {
        let mut until_now = self.clone();
        until_now.pass(now_ms);
        let Self { pause_ms, active_ms, total, measured, .. } = until_now;
        let or = |own: Tally, kind: Tally| if own.count == 0 { kind } else { own };
        let wake = or(measured.wakes.others, kind.wakes.others);
        let turn = or(measured.turns.others, kind.turns.others);
        let avoided = self.skipped.saturating_add(self.joined);
        let extra = measured.wakes.firsts.over(wake).saturating_add(measured.turns.firsts.over(turn));
        let wakes = measured.wakes.firsts.plus(measured.wakes.others);
        Savings {
            saved: wake.times(avoided).saturating_sub(extra),
            total,
            pause_ms,
            active_ms,
            wakes,
            wakes_avoided: avoided,
        }
    }
}
