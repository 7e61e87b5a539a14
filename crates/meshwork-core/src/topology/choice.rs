//! Which topology suits how many agents, and what is said to somebody who wants another one.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::shape::Shape;

/// The most agents that everybody can know: 6 neighbours each.
pub const MESH_MAX: u64 = 7;
/// The most agents of one hierarchy; from 50 on, cells keep the loss of a lead local.
pub const HIERARCHY_MAX: u64 = 49;
/// The most members of a cell of a hybrid: a mesh of its own, with the mesh's limit.
pub const CELL_MAX: usize = 7;
/// Below a node of a tree, where nobody says otherwise: as many as a mesh has.
pub const BRANCHING: usize = 7;

/// Who knows whom.
///
/// ```
/// use meshwork_core::topology::{Topology, recommended};
///
/// assert_eq!(recommended(12), Topology::Hierarchical);
/// assert_eq!(Topology::Hierarchical.to_string(), "hierarchical");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Topology {
    /// Everybody knows everybody.
    Mesh,
    /// A queen and workers, in a tree.
    Hierarchical,
    /// Cells that are meshes, their leads in a tree.
    Hybrid,
}

impl Topology {
    /// The seed's word.
    ///
    /// ```
    /// use meshwork_core::topology::Topology;
    ///
    /// assert_eq!(Topology::Hybrid.word(), "hybrid");
    /// ```
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mesh => "mesh",
            Self::Hierarchical => "hierarchical",
            Self::Hybrid => "hybrid",
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What somebody asks for: a topology, or whichever is recommended (`auto`).
///
/// ```
/// use meshwork_core::topology::{Choice, Requested, Topology};
///
/// let requested = Requested::Explicit(Topology::Hybrid);
/// assert_eq!(Choice { requested, agents: 3, ..Choice::default() }.topology(), Topology::Hybrid);
/// assert_eq!(Choice { agents: 3, ..Choice::default() }.topology(), Topology::Mesh, "`auto`");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Requested {
    /// Whichever is recommended.
    #[default]
    Auto,
    /// This one, suitable or not.
    Explicit(Topology),
}

impl Requested {
    /// The seed's word.
    ///
    /// ```
    /// use meshwork_core::topology::{Requested, Topology};
    ///
    /// assert_eq!([Requested::Auto.word(), Requested::Explicit(Topology::Mesh).word()], ["auto", "mesh"]);
    /// ```
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Explicit(topology) => topology.word(),
        }
    }
}

/// How work is given out, and how far that shifts the recommendation.
///
/// ```
/// use meshwork_core::topology::{Strategy, Topology};
///
/// assert_eq!(Strategy::Balanced.recommended(10), Topology::Hierarchical);
/// assert_eq!(Strategy::Performance.recommended(10), Topology::Mesh, "fewer steps, more messages");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Strategy {
    /// The least relative load first, then the better record. Mesh for 1 to 7 agents, hierarchical for 8 to 49, hybrid from 50.
    #[default]
    Balanced,
    /// Balanced, until each task type has 20 attempts that ended ok, then performance. The same numbers as balanced, of the
    /// agents that are alive: looked at again when their number crosses 8 or 50.
    Adaptive,
    /// Where one more task is expected to end first: what a peer has, times its mean duration, by its success rate and
    /// slots. Twice as many: mesh to 14, hierarchical to 98. It pays with messages for fewer steps from a task to its worker.
    Performance,
}

impl Strategy {
    /// The seed's word.
    ///
    /// ```
    /// use meshwork_core::topology::Strategy;
    ///
    /// assert_eq!(Strategy::Adaptive.word(), "adaptive");
    /// ```
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Adaptive => "adaptive",
            Self::Performance => "performance",
        }
    }

    /// The most agents of a topology; `None`: no limit.
    ///
    /// ```
    /// use meshwork_core::topology::{Strategy, Topology};
    ///
    /// assert_eq!(Strategy::Balanced.most(Topology::Mesh), Some(7));
    /// assert_eq!(Strategy::Balanced.most(Topology::Hybrid), None);
    /// ```
    #[must_use]
    pub const fn most(self, topology: Topology) -> Option<u64> {
        let times = match self {
            Self::Balanced | Self::Adaptive => 1,
            Self::Performance => 2,
        };
        match topology {
            Topology::Mesh => Some(MESH_MAX * times),
            Topology::Hierarchical => Some(HIERARCHY_MAX * times),
            Topology::Hybrid => None,
        }
    }

    /// The fewest agents that a topology is recommended for.
    ///
    /// ```
    /// use meshwork_core::topology::{Strategy, Topology};
    ///
    /// assert_eq!(Strategy::Balanced.fewest(Topology::Hybrid), 50);
    /// ```
    #[must_use]
    pub fn fewest(self, topology: Topology) -> u64 {
        let above = |smaller: Topology| self.most(smaller).map_or(1, |most| most + 1);
        match topology {
            Topology::Mesh => 1,
            Topology::Hierarchical => above(Topology::Mesh),
            Topology::Hybrid => above(Topology::Hierarchical),
        }
    }

    /// The topology for that many agents. Of none, what one would have.
    ///
    /// ```
    /// use meshwork_core::topology::{Strategy, Topology};
    ///
    /// assert_eq!(Strategy::Balanced.recommended(7), Topology::Mesh);
    /// assert_eq!(Strategy::Balanced.recommended(8), Topology::Hierarchical);
    /// assert_eq!(Strategy::Balanced.recommended(50), Topology::Hybrid);
    /// assert_eq!(Strategy::Performance.recommended(14), Topology::Mesh);
    /// ```
    #[must_use]
    pub fn recommended(self, agent_count: u64) -> Topology {
        let fits = |topology: &Topology| self.most(*topology).is_none_or(|most| agent_count <= most);
        let by_size = [Topology::Mesh, Topology::Hierarchical];
        by_size.into_iter().find(fits).unwrap_or(Topology::Hybrid)
    }

    /// The topology for new work, now that so many agents are alive instead of so many: only under `adaptive`, and only
    /// where that number crossed a limit.
    ///
    /// ```
    /// use meshwork_core::topology::{Strategy, Topology};
    ///
    /// assert_eq!(Strategy::Adaptive.reconsidered(7, 8), Some(Topology::Hierarchical));
    /// assert_eq!(Strategy::Adaptive.reconsidered(8, 9), None, "the same is best");
    /// assert_eq!(Strategy::Balanced.reconsidered(7, 8), None);
    /// ```
    #[must_use]
    pub fn reconsidered(self, alive_before: u64, alive: u64) -> Option<Topology> {
        let best = self.recommended(alive);
        let crossed = alive > 0 && best != self.recommended(alive_before);
        (self == Self::Adaptive && crossed).then_some(best)
    }
}

/// All that decides the topology of a swarm. It is part of the log, so that whoever reads it, at whatever time, says the
/// same of the topology and of how well it suits.
///
/// ```
/// use meshwork_core::topology::{Choice, Requested, Topology};
///
/// let choice = Choice { agents: 12, ..Choice::default() };
/// assert_eq!(choice.topology(), Topology::Hierarchical);
/// let mesh = Choice { requested: Requested::Explicit(Topology::Mesh), ..choice };
/// assert_eq!((mesh.topology(), mesh.validation().is_override()), (Topology::Mesh, true));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What was asked for.
    pub requested: Requested,
    /// How far the recommendation is shifted. How work is placed is [`Config::strategy`](crate::Config::strategy).
    pub strategy: Strategy,
    /// The most agents that there are to be: the recommendation is for so many.
    pub agents: u32,
    /// The most children of a peer in a hierarchy, and of a cell in a hybrid.
    pub branching: NonZeroU32,
}

impl Default for Choice {
    fn default() -> Self {
        let branching = NonZeroU32::new(BRANCHING as u32).expect("7 is not 0");
        Self { requested: Requested::Auto, strategy: Strategy::Balanced, agents: 1, branching }
    }
}

impl Choice {
    /// The topology.
    ///
    /// ```
    /// use meshwork_core::topology::{Choice, Topology};
    ///
    /// assert_eq!(Choice { agents: 50, ..Choice::default() }.topology(), Topology::Hybrid);
    /// ```
    #[must_use]
    pub fn topology(&self) -> Topology {
        match self.requested {
            Requested::Explicit(topology) => topology,
            Requested::Auto => self.strategy.recommended(u64::from(self.agents)),
        }
    }

    /// What there is to say about it.
    ///
    /// ```
    /// use meshwork_core::topology::{Choice, Requested, Topology};
    ///
    /// let requested = Requested::Explicit(Topology::Mesh);
    /// let validation = Choice { requested, agents: 20, ..Choice::default() }.validation();
    /// assert!(validation.valid && validation.warnings[0].contains("every agent has 19 neighbours"));
    /// ```
    #[must_use]
    pub fn validation(&self) -> Validation {
        validate_with(self.requested, u64::from(self.agents), self.strategy)
    }

    /// The shape, without peers.
    ///
    /// ```
    /// use meshwork_core::topology::{Choice, Topology};
    ///
    /// let shape = Choice { agents: 12, ..Choice::default() }.shape();
    /// assert_eq!((shape.topology(), shape.branching(), shape.len()), (Topology::Hierarchical, Some(7), 0));
    /// ```
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape::new(self.topology(), self.branching.get() as usize).expect("a branching of at least 1 was given")
    }
}

/// The topology for that many agents under the balanced strategy.
///
/// ```
/// use meshwork_core::topology::{Topology, recommended};
///
/// assert_eq!([7, 8, 50].map(recommended), [Topology::Mesh, Topology::Hierarchical, Topology::Hybrid]);
/// ```
#[must_use]
pub fn recommended(agent_count: u64) -> Topology {
    Strategy::Balanced.recommended(agent_count)
}

/// Whether a topology suits a number of agents, in sentences.
///
/// ```
/// use meshwork_core::topology::{Requested, Topology, validate};
///
/// let validation = validate(Requested::Explicit(Topology::Hybrid), 3);
/// assert!(validation.valid && validation.errors.is_empty());
/// assert_eq!(validation.recommended, Some(Topology::Mesh));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validation {
    /// There are no errors.
    pub valid: bool,
    /// Why it can't work.
    pub errors: Vec<String>,
    /// Why it is not the best choice. It is honoured all the same.
    pub warnings: Vec<String>,
    /// What is recommended, where that is something else than what was asked for.
    pub recommended: Option<Topology>,
    /// What could be done.
    pub suggestions: Vec<String>,
}

impl Validation {
    /// Somebody insists on what is not recommended.
    ///
    /// ```
    /// use meshwork_core::topology::{Requested, Topology, validate};
    ///
    /// assert!(validate(Requested::Explicit(Topology::Mesh), 20).is_override());
    /// assert!(!validate(Requested::Auto, 20).is_override());
    /// ```
    #[must_use]
    pub fn is_override(&self) -> bool {
        self.valid && self.recommended.is_some()
    }
}

/// Judges a topology under the balanced strategy.
///
/// ```
/// use meshwork_core::topology::{Requested, validate};
///
/// let nobody = validate(Requested::Auto, 0);
/// assert!(!nobody.valid);
/// assert_eq!(nobody.suggestions, ["name at least one agent"]);
/// ```
#[must_use]
pub fn validate(requested: Requested, agent_count: u64) -> Validation {
    validate_with(requested, agent_count, Strategy::Balanced)
}

/// Judges a topology. No agents are an error; another topology than the recommended one is honoured with a warning.
///
/// ```
/// use meshwork_core::topology::{Requested, Strategy, Topology, validate_with};
///
/// let mesh = Requested::Explicit(Topology::Mesh);
/// assert!(validate_with(mesh, 12, Strategy::Balanced).is_override());
/// assert!(!validate_with(mesh, 12, Strategy::Performance).is_override(), "recommended up to 14");
/// ```
#[must_use]
pub fn validate_with(requested: Requested, agent_count: u64, strategy: Strategy) -> Validation {
    let mut result = Validation { valid: agent_count >= 1, ..Validation::default() };
    if !result.valid {
        result.errors.push("a swarm of 0 agents can do nothing: found 0, expected at least 1".to_owned());
        result.suggestions.push("name at least one agent".to_owned());
        return result;
    }
    let best = strategy.recommended(agent_count);
    let given = match requested {
        Requested::Explicit(given) if given != best => given,
        _ => return result,
    };
    result.recommended = Some(best);
    result.warnings.push(warning(given, best, agent_count, strategy));
    result.suggestions.push(format!("use `{best}` or `auto` for {}", agents(agent_count)));
    result.suggestions.push(match strategy.most(given).filter(|most| agent_count > *most) {
        Some(most) => format!("or keep `{given}` with at most {}", agents(most)),
        None => format!("or keep `{given}` for {} and more", agents(strategy.fewest(given))),
    });
    result
}

fn agents(count: u64) -> String {
    if count == 1 { "1 agent".to_owned() } else { format!("{count} agents") }
}

fn warning(given: Topology, best: Topology, agent_count: u64, strategy: Strategy) -> String {
    let count = agents(agent_count);
    let others = agent_count - 1;
    let because = match given {
        Topology::Mesh => {
            let each_round = u128::from(agent_count) * u128::from(others);
            format!("every agent has {others} neighbours, and one round of heartbeats is {each_round} messages")
        }
        Topology::Hierarchical if agent_count > strategy.most(given).unwrap_or(u64::MAX) => {
            "a lost inner agent cuts off all below it until it is replaced; in cells it is replaced by a neighbour"
                .to_owned()
        }
        Topology::Hierarchical => {
            format!("a mesh needs no queen, and {others} neighbours are few: each task reaches its worker in one step")
        }
        Topology::Hybrid => {
            let cells = agent_count.div_ceil(CELL_MAX as u64);
            format!("cells of at most {CELL_MAX} would be {cells} here, and a tree of so few leads saves nothing")
        }
    };
    format!("{given} works with {count}, but {best} is recommended for that many: {because}")
}
