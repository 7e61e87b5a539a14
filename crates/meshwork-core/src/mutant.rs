//! Switches that break one rule each, so that model and simulator can show that they would notice.
//!
//! Without the feature `mutants` a [`Switch`] holds nothing and breaks nothing: the compiler removes
//! every question that is put to it, so none of this is in a release build.

/// Which rule is broken, if one is. Part of a swarm, because `apply` and the node's rules both ask it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Switch {
    #[cfg(any(test, feature = "mutants"))]
    broken: Option<Mutant>,
}

impl Switch {
    /// Whether this rule is broken here.
    #[cfg(any(test, feature = "mutants"))]
    pub(crate) fn breaks(self, rule: Mutant) -> bool {
        self.broken == Some(rule)
    }

    /// Whether this rule is broken here: never.
    #[cfg(not(any(test, feature = "mutants")))]
    #[inline(always)]
    pub(crate) const fn breaks(self, _rule: Mutant) -> bool {
        false
    }
}

/// A rule that can be broken. Each is one sentence of the protocol, turned into its opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(any(test, feature = "mutants")), expect(unreachable_pub, reason = "exported with the feature alone"))]
pub enum Mutant {
    /// A `Return` is taken by its task and node alone: the grant is not looked at.
    ReturnWithoutGrant,
}

#[cfg(any(test, feature = "mutants"))]
impl Mutant {
    /// Every mutant, with the name that commands and tables use.
    pub const ALL: &[(Self, &str)] = &[(Self::ReturnWithoutGrant, "return-without-grant")];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mutant, _)| *mutant == self).map_or("unnamed", |(_, name)| name)
    }

    /// The mutant of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, other)| *other == name).map(|(mutant, _)| *mutant)
    }
}

#[cfg(any(test, feature = "mutants"))]
impl crate::Swarm {
    /// The same swarm, with one rule broken from now on. A snapshot does not carry it.
    #[must_use]
    pub fn broken_by(mut self, mutant: Option<Mutant>) -> Self {
        self.switch = Switch { broken: mutant };
        self
    }
}
