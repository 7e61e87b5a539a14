//! What happens to an agent, and what follows from it.

/// What happened to an agent.
///
/// ```
/// use meshwork_core::savings::{Input, Ledger, Measured};
///
/// let mut ledger = Ledger::new(0);
/// ledger.handle(10, Input::Turn { tokens: 2_000 });
/// ledger.handle(20, Input::Spent { tokens: 100 });
/// assert_eq!(ledger.savings(30, Measured::default()).total, 2_100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// It reported tokens that belong to no wake and no turn.
    Spent {
        /// How many.
        tokens: u64,
    },
    /// It took a turn without a task, and this is what that cost.
    Woke {
        /// How many.
        tokens: u64,
    },
    /// It took a turn on a task, and this is what that cost.
    Turn {
        /// How many.
        tokens: u64,
    },
    /// It gets no new work.
    Paused,
    /// It gets work again.
    Resumed,
    /// A scheduled wake was due. While the agent is paused it does not happen.
    WakeDue,
    /// A message for it arrived.
    MessageArrived,
    /// Messages were handed over to it together. What arrived when it was not paused does not count.
    HandedOver {
        /// How many.
        messages: u64,
    },
    /// It left: no time counts until it comes back.
    Left,
    /// It is there again, active.
    CameBack,
}

/// So many, and the tokens of all of them.
///
/// ```
/// use meshwork_core::savings::Tally;
///
/// assert_eq!(Tally { count: 4, tokens: 10 }.mean(), Some(2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Tokens of all of them.
    pub tokens: u64,
}

impl Tally {
    pub(super) fn add(&mut self, tokens: u64) {
        *self = self.plus(Self { count: 1, tokens });
    }

    /// Both together.
    ///
    /// ```
    /// use meshwork_core::savings::Tally;
    ///
    /// let both = Tally { count: 1, tokens: 300 }.plus(Tally { count: 2, tokens: 900 });
    /// assert_eq!(both, Tally { count: 3, tokens: 1_200 });
    /// ```
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { count: self.count.saturating_add(other.count), tokens: self.tokens.saturating_add(other.tokens) }
    }

    /// Tokens of one, rounded down; `None` while there was none.
    ///
    /// ```
    /// use meshwork_core::savings::Tally;
    ///
    /// assert_eq!(Tally { count: 3, tokens: 1_000 }.mean(), Some(333));
    /// assert_eq!(Tally::default().mean(), None);
    /// ```
    #[must_use]
    pub fn mean(self) -> Option<u64> {
        self.tokens.checked_div(self.count)
    }

    /// Tokens of so many at the mean, rounded down; 0 while there was none.
    pub(super) fn times(self, count: u64) -> u64 {
        let tokens = u128::from(self.tokens) * u128::from(count);
        narrow(tokens.checked_div(u128::from(self.count)).unwrap_or(0))
    }

    /// What these cost more than as many at the mean of others, rounded up; 0 while there is nothing to compare with.
    pub(super) fn over(self, others: Self) -> u64 {
        let usual = u128::from(others.tokens) * u128::from(self.count);
        let spent = u128::from(self.tokens) * u128::from(others.count);
        let extra = spent.saturating_sub(usual);
        if others.count == 0 { 0 } else { narrow(extra.div_ceil(u128::from(others.count))) }
    }
}

fn narrow(tokens: u128) -> u64 {
    u64::try_from(tokens).unwrap_or(u64::MAX)
}

/// Wakes, or turns.
///
/// ```
/// use meshwork_core::savings::{Input, Ledger};
///
/// let mut ledger = Ledger::new(0);
/// for input in [Input::Woke { tokens: 500 }, Input::Paused, Input::Resumed, Input::Woke { tokens: 800 }] {
///     ledger.handle(0, input);
/// }
/// let wakes = ledger.measured().wakes;
/// assert_eq!((wakes.others.tokens, wakes.firsts.tokens), (500, 800), "the first after a resume costs more");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// The first after a resume.
    pub firsts: Tally,
    /// All others: these say what one usually costs.
    pub others: Tally,
}

/// What wakes and turns were measured to cost, of one agent or of several.
///
/// ```
/// use meshwork_core::savings::{Input, Ledger, Measured};
///
/// let mut ledgers = [Ledger::new(0), Ledger::new(0)];
/// for ledger in &mut ledgers {
///     ledger.handle(0, Input::Woke { tokens: 500 });
/// }
/// let kind: Measured = ledgers.iter().map(Ledger::measured).sum();
/// assert_eq!(kind.wakes.others.count, 2);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Turns without a task.
    pub wakes: Sort,
    /// Turns on a task.
    pub turns: Sort,
}

impl std::iter::Sum for Measured {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let plus = |a: Sort, b: Sort| Sort { firsts: a.firsts.plus(b.firsts), others: a.others.plus(b.others) };
        all.fold(Self::default(), |a, b| Self { wakes: plus(a.wakes, b.wakes), turns: plus(a.turns, b.turns) })
    }
}

/// What pausing saved, of one agent or of several.
///
/// ```
/// use meshwork_core::savings::Savings;
///
/// let one = Savings { saved: 1_000, pause_ms: 60_000, ..Savings::default() };
/// let all: Savings = [one, one].into_iter().sum();
/// assert_eq!((all.saved, all.pause_ms), (2_000, 120_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Savings {
    /// Tokens: wakes avoided at what a wake costs, less what first turns after a resume cost more than others.
    pub saved: u64,
    /// Tokens that were reported.
    pub total: u64,
    /// Time that agents were paused, in ms.
    pub pause_ms: u64,
    /// Time that they were there and not paused, in ms.
    pub active_ms: u64,
    /// Wakes that happened.
    pub wakes: Tally,
    /// Wakes that did not.
    pub wakes_avoided: u64,
}

impl std::iter::Sum for Savings {
    /// The sum of the parts: what one agent lost is not taken from what another saved.
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            saved: a.saved.saturating_add(b.saved),
            total: a.total.saturating_add(b.total),
            pause_ms: a.pause_ms.saturating_add(b.pause_ms),
            active_ms: a.active_ms.saturating_add(b.active_ms),
            wakes: a.wakes.plus(b.wakes),
            wakes_avoided: a.wakes_avoided.saturating_add(b.wakes_avoided),
        })
    }
}
