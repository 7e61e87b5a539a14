//! When a queen wants more workers, or fewer.
//!
//! It adds workers when the share of busy slots reaches the threshold, as many as bring it below; it lets workers go only
//! when the share is below half the threshold, as many as keep it at three quarters or less. So what one decision
//! brings about never calls for the opposite one, and the same load asked twice changes nothing the second time.

/// How a queen scales.
///
/// ```
/// use meshwork_core::topology::{Scaling, ScalingDecision, Workers};
///
/// let scaling = Scaling { min_workers: 1, max_workers: 8, auto: true, threshold_permille: 800 };
/// assert_eq!(scaling.validate(), Ok(()));
/// let busy = Workers { workers: 2, slots: 4, busy: 4 };
/// assert_eq!(scaling.decide(busy), ScalingDecision::Add(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scaling {
    /// Never fewer workers.
    pub min_workers: u32,
    /// Never more.
    pub max_workers: u32,
    /// Whether the load decides; otherwise only the limits do.
    pub auto: bool,
    /// From this share of busy slots on there are too few workers, in thousandths.
    pub threshold_permille: u32,
}

/// Why a scaling can't be.
///
/// ```
/// use meshwork_core::topology::{Scaling, ScalingError};
///
/// let scaling = Scaling { min_workers: 5, max_workers: 2, auto: true, threshold_permille: 800 };
/// assert_eq!(scaling.validate(), Err(ScalingError::Limits { min: 5, max: 2 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScalingError {
    /// The limits contradict each other.
    #[error("at least {min} workers and at most {max}: expected a minimum of at least 1 and no more than the maximum")]
    Limits {
        /// The minimum.
        min: u32,
        /// The maximum.
        max: u32,
    },
    /// The threshold is no share.
    #[error("a threshold of {found} thousandths: expected 1 to 1000")]
    Threshold {
        /// What was found.
        found: u32,
    },
}

/// What a queen sees of its workers.
///
/// ```
/// use meshwork_core::topology::Workers;
///
/// let seen = Workers { workers: 2, slots: 4, busy: 6 };
/// assert!(seen.busy > seen.slots, "two tasks wait");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Workers {
    /// How many there are.
    pub workers: u32,
    /// Their slots together.
    pub slots: u64,
    /// Tasks that they have, waiting ones included.
    pub busy: u64,
}

/// What a queen wants.
///
/// ```
/// use meshwork_core::topology::{Scaling, ScalingDecision, Workers};
///
/// let scaling = Scaling { min_workers: 1, max_workers: 8, auto: true, threshold_permille: 800 };
/// assert_eq!(scaling.decide(Workers { workers: 2, slots: 4, busy: 2 }), ScalingDecision::Stay);
/// assert_eq!(scaling.decide(Workers { workers: 4, slots: 8, busy: 0 }), ScalingDecision::Remove(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalingDecision {
    /// It is well as it is.
    Stay,
    /// So many more.
    Add(u32),
    /// So many fewer: those that have nothing to do, first.
    Remove(u32),
}

impl Scaling {
    /// Whether a queen can scale like this.
    ///
    /// ```
    /// use meshwork_core::topology::{Scaling, ScalingError};
    ///
    /// let scaling = Scaling { min_workers: 1, max_workers: 8, auto: true, threshold_permille: 0 };
    /// assert_eq!(scaling.validate(), Err(ScalingError::Threshold { found: 0 }));
    /// ```
    ///
    /// # Errors
    /// A minimum of 0 or above the maximum, or a threshold that is no share.
    pub fn validate(&self) -> Result<(), ScalingError> {
        if self.min_workers == 0 || self.min_workers > self.max_workers {
            return Err(ScalingError::Limits { min: self.min_workers, max: self.max_workers });
        }
        if !(1..=1_000).contains(&self.threshold_permille) {
            return Err(ScalingError::Threshold { found: self.threshold_permille });
        }
        Ok(())
    }

    /// How many workers there should be, seeing this.
    ///
    /// ```
    /// use meshwork_core::topology::{Scaling, ScalingDecision, Workers};
    ///
    /// let scaling = Scaling { min_workers: 1, max_workers: 8, auto: true, threshold_permille: 800 };
    /// let idle = Workers { workers: 3, slots: 6, busy: 1 };
    /// assert_eq!(scaling.decide(idle), ScalingDecision::Remove(2));
    /// ```
    #[must_use]
    pub fn decide(&self, seen: Workers) -> ScalingDecision {
        let wanted = self.wanted(seen).clamp(self.min_workers, self.max_workers);
        match wanted.checked_sub(seen.workers) {
            Some(0) => ScalingDecision::Stay,
            Some(more) => ScalingDecision::Add(more),
            None => ScalingDecision::Remove(seen.workers - wanted),
        }
    }

    fn wanted(&self, seen: Workers) -> u32 {
        let Workers { workers, slots, busy } = seen;
        if !self.auto || workers == 0 || slots == 0 {
            return workers;
        }
        // The load in workers that are exactly at the threshold is `load` ÷ `full`.
        let load = u128::from(busy) * u128::from(workers) * 1_000;
        let full = u128::from(slots) * u128::from(self.threshold_permille);
        let number = |count: u128| u32::try_from(count).unwrap_or(u32::MAX);
        let share = load / u128::from(workers);
        if share >= full {
            number(load / full + 1)
        } else if share * 2 < full {
            number((load * 4).div_ceil(full * 3)).min(workers)
        } else {
            workers
        }
    }
}
