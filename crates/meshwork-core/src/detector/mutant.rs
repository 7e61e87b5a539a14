//! Switches that break one rule of the detector each, as `crate::mutant` does for the swarm.

/// Which rule is broken, if one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Switch {
    #[cfg(any(test, feature = "mutants"))]
    pub(super) broken: Option<DetectorMutant>,
}

impl Switch {
    /// Whether this rule is broken here.
    #[cfg(any(test, feature = "mutants"))]
    pub(super) fn breaks(self, rule: DetectorMutant) -> bool {
        self.broken == Some(rule)
    }

    /// Whether this rule is broken here: never.
    #[cfg(not(any(test, feature = "mutants")))]
    #[inline(always)]
    pub(super) const fn breaks(self, _rule: DetectorMutant) -> bool {
        false
    }
}

/// A rule that can be broken. Each is one sentence of the protocol, turned into its opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(not(any(test, feature = "mutants")), expect(unreachable_pub, reason = "exported with the feature alone"))]
pub enum DetectorMutant {
    /// A peer signals its parent as soon as it is idle, although messages that it sent are open.
    SignalWithDeficit,
    /// The engaging message is signalled when it is handled, as every other.
    SignalEngagingAtOnce,
    /// A second acknowledgement of one message takes another message off.
    CountDuplicates,
    /// One wave is enough although another side answered, or nothing but counts is known.
    OneWave,
    /// Two waves are enough although they differ.
    UnequalWaves,
    /// A wave goes on when peers come or go.
    IgnoreMembership,
    /// A running handler does not keep its peer from being idle.
    IgnoreRunning,
    /// A wave goes on when a peer starts something by itself.
    IgnoreStart,
    /// An answer to an earlier wave is taken for one to this wave.
    TakeLateAnswer,
    /// A wave looks at who is idle, not at who waits for acknowledgements.
    IgnoreDeficitInWave,
    /// What a lost peer had sent is forgotten with it.
    ForgetLost,
    /// A run that ends is any run: one of an earlier life ends one of this life.
    CountRuns,
}

#[cfg(any(test, feature = "mutants"))]
impl DetectorMutant {
    /// Every mutant, with the name that commands and tables use.
    pub const ALL: &[(Self, &str)] = &[
        (Self::SignalWithDeficit, "signal-with-deficit"),
        (Self::SignalEngagingAtOnce, "signal-engaging-at-once"),
        (Self::CountDuplicates, "count-duplicates"),
        (Self::OneWave, "one-wave"),
        (Self::UnequalWaves, "unequal-waves"),
        (Self::IgnoreMembership, "ignore-membership"),
        (Self::IgnoreRunning, "ignore-running"),
        (Self::IgnoreStart, "ignore-start"),
        (Self::TakeLateAnswer, "take-late-answer"),
        (Self::IgnoreDeficitInWave, "ignore-deficit-in-wave"),
        (Self::ForgetLost, "forget-lost"),
        (Self::CountRuns, "count-runs"),
    ];
}
