//! How many workers a queen has, and which: [`Scaling`] says how many, this says who comes and who goes.

use std::collections::BTreeSet;

use super::scaling::{Scaling, ScalingDecision, Workers};
use crate::ids::PeerNo;
use crate::op::PeerSpec;
use crate::swarm::Swarm;

/// What a queen sees of her workers; what waits for anybody waits for more workers. `None` in a mesh, and while nobody is
/// there.
///
/// ```
/// use meshwork_core::topology::{Workers, staff};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let swarm = hierarchy(); // a queen, and below her ada and bob, who can review
/// assert_eq!(staff(&swarm), Some(Workers { workers: 2, slots: 2, busy: 0 }));
/// assert_eq!(staff(&Swarm::new()), None, "a mesh has no queen");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn staff(swarm: &Swarm) -> Option<Workers> {
    let queen = swarm.shape().queen()?;
    let mut seen = Workers { busy: swarm.unassigned() as u64, ..Workers::default() };
    for (_, peer) in swarm.peers().filter(|(no, peer)| peer.up && *no != queen) {
        seen.workers += 1;
        seen.slots += u64::from(peer.slots);
        seen.busy += u64::from(peer.load());
    }
    Some(seen)
}

/// At most so many workers with nothing to do, those that came last first. One that was paused, other than for having
/// nothing to do, stays: it would come back unpaused.
///
/// ```
/// use meshwork_core::topology::dispensable;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let swarm = hierarchy(); // a queen, and below her ada and bob, who can review
/// assert_eq!(dispensable(&swarm, 1), [PeerNo(2)], "who came last");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn dispensable(swarm: &Swarm, most: usize) -> Vec<PeerNo> {
    let queen = swarm.shape().queen();
    let idle = swarm.peers().filter(|(no, peer)| peer.is_open() && Some(*no) != queen && peer.has_nothing_to_do());
    let mut idle: Vec<PeerNo> = idle.map(|(no, _)| no).collect();
    idle.reverse();
    idle.truncate(most);
    idle
}

/// Who comes and who goes.
///
/// ```
/// use meshwork_core::topology::{Queen, Scaling, Staffing};
/// use meshwork_core::{PeerSpec, Swarm};
///
/// let scaling = Scaling { min_workers: 1, max_workers: 4, auto: true, threshold_permille: 800 };
/// let mut queen = Queen::new(scaling, vec![PeerSpec::new("ada")], 1_000);
/// assert_eq!(queen.look(&Swarm::new(), 0), Staffing::default(), "nobody is there");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "nobody comes or goes by itself"]
pub struct Staffing {
    /// Workers that are to come, by their ids.
    pub call: Vec<String>,
    /// Workers that are to go; they have nothing to do.
    pub dismiss: Vec<PeerNo>,
    /// To be looked at again at this time, in ms, if nothing happens before.
    pub again_ms: Option<u64>,
}

/// A queen with workers in reserve: how many she has follows from the load, and whom she calls from what is waited for.
///
/// A ready task that nobody who is there can do calls the first worker in the reserve who can, whatever the load is; where
/// there is no room for one more, a worker with nothing to do goes for it. Otherwise workers go only after the load was low
/// for a while, so that the pause between two waves of tasks sends nobody away.
///
/// ```
/// use meshwork_core::topology::{Queen, Scaling};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let swarm = hierarchy(); // a queen, and below her ada and bob, who can review
/// let scaling = Scaling { min_workers: 1, max_workers: 4, auto: true, threshold_permille: 800 };
/// let reserve = ["ada", "bob", "eve"].map(PeerSpec::new).to_vec();
/// let mut queen = Queen::new(scaling, reserve, 1_000);
///
/// // Both workers have nothing to do, and one may go after a second of it.
/// assert_eq!(queen.look(&swarm, 0).again_ms, Some(1_000));
/// assert_eq!(queen.look(&swarm, 1_000).dismiss, [PeerNo(2)]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Queen {
    scaling: Scaling,
    reserve: Vec<PeerSpec>,
    patience_ms: u64,
    low_since: Option<u64>,
}

impl Queen {
    /// `reserve`: all workers that may be there, the queen aside; they are called in this order. `patience_ms`: how long the
    /// load has to be low before workers go.
    ///
    /// ```
    /// use meshwork_core::topology::{Queen, Scaling};
    /// use meshwork_core::{PeerSpec, Swarm};
    ///
    /// let scaling = Scaling { min_workers: 1, max_workers: 4, auto: true, threshold_permille: 800 };
    /// let queen = Queen::new(scaling, vec![PeerSpec::new("ada"), PeerSpec::new("bob")], 1_000);
    /// assert!(!queen.could_help(&Swarm::new()));
    /// ```
    #[must_use]
    pub fn new(scaling: Scaling, reserve: Vec<PeerSpec>, patience_ms: u64) -> Self {
        Self { scaling, reserve, patience_ms, low_since: None }
    }

    /// That worker cannot come.
    ///
    /// ```
    /// use meshwork_core::topology::{Queen, Scaling};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let swarm = hierarchy(); // a queen, and below her ada and bob, who can review
    /// let scaling = Scaling { min_workers: 3, max_workers: 4, auto: true, threshold_permille: 800 };
    /// let mut queen = Queen::new(scaling, vec![PeerSpec::new("eve"), PeerSpec::new("kim")], 1_000);
    /// queen.give_up_on("eve");
    /// assert_eq!(queen.look(&swarm, 0).call, ["kim"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn give_up_on(&mut self, id: &str) {
        self.reserve.retain(|spec| spec.id != id);
    }

    /// What is to be done, seeing this; `now_ms` by a clock that does not go back.
    ///
    /// ```
    /// use meshwork_core::topology::{Queen, Scaling};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let swarm = hierarchy(); // a queen, and below her ada and bob, who can review
    /// let scaling = Scaling { min_workers: 3, max_workers: 4, auto: true, threshold_permille: 800 };
    /// let mut queen = Queen::new(scaling, vec![PeerSpec::new("eve"), PeerSpec::new("kim")], 1_000);
    /// assert_eq!(queen.look(&swarm, 0).call, ["eve"], "two are there, three have to be");
    /// # Ok(())
    /// # }
    /// ```
    pub fn look(&mut self, swarm: &Swarm, now_ms: u64) -> Staffing {
        let mut staffing = Staffing::default();
        let Some(seen) = staff(swarm) else { return staffing };
        let needed = self.needed(swarm);
        let room = self.scaling.max_workers.saturating_sub(seen.workers) as usize;
        if needed.len() > room {
            staffing.dismiss = dispensable(swarm, needed.len() - room);
        }
        let decision = self.scaling.decide(seen);
        let more = if let ScalingDecision::Add(more) = decision { more as usize } else { 0 };
        let others = self.absent(swarm).filter(|spec| !needed.contains(&&*spec.id));
        let wanted = needed.len().max(more).min(room);
        staffing.call =
            needed.iter().copied().chain(others.map(|spec| &*spec.id)).take(wanted).map(str::to_owned).collect();
        match decision {
            ScalingDecision::Remove(fewer) if needed.is_empty() => {
                let since = *self.low_since.get_or_insert(now_ms);
                let over = since.saturating_add(self.patience_ms);
                let idle = dispensable(swarm, fewer as usize);
                if now_ms >= over {
                    staffing.dismiss = idle;
                } else if !idle.is_empty() {
                    staffing.again_ms = Some(over);
                }
            }
            _ => self.low_since = None,
        }
        staffing
    }

    /// Whether somebody in reserve could do what nobody who is there can, and can come: then what stands still goes on.
    ///
    /// ```
    /// use meshwork_core::topology::{Queen, Scaling};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let mut swarm = hierarchy(); // a queen, and below her ada and bob, who can review
    /// let scaling = Scaling { min_workers: 1, max_workers: 4, auto: true, threshold_permille: 800 };
    /// let welder = PeerSpec { capabilities: vec!["welding".to_owned()], ..PeerSpec::new("eve") };
    /// let queen = Queen::new(scaling, vec![welder], 1_000);
    /// assert!(!queen.could_help(&swarm), "nothing waits");
    ///
    /// let frame = TaskSpec { requires: vec!["welding".to_owned()], ..TaskSpec::new("frame") };
    /// let _ = write(&mut swarm, vec![submit([frame])])?;
    /// assert!(queen.could_help(&swarm));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn could_help(&self, swarm: &Swarm) -> bool {
        let Some(seen) = staff(swarm) else { return false };
        let has_room = seen.workers < self.scaling.max_workers || !dispensable(swarm, 1).is_empty();
        has_room && !self.needed(swarm).is_empty()
    }

    fn absent<'a>(&'a self, swarm: &'a Swarm) -> impl Iterator<Item = &'a PeerSpec> {
        let is_up = |id: &str| swarm.find_peer(id).and_then(|no| swarm.peer(no)).is_some_and(|peer| peer.up);
        self.reserve.iter().filter(move |spec| !is_up(&spec.id))
    }

    /// The first in reserve for each task that waits and that nobody who is there can do; nobody twice.
    fn needed<'a>(&'a self, swarm: &'a Swarm) -> Vec<&'a str> {
        let mut called: Vec<&PeerSpec> = Vec::new();
        for task in swarm.unserved() {
            let required: BTreeSet<&str> = swarm.requirements(task).collect();
            let can = |spec: &&PeerSpec| required.iter().all(|name| spec.capabilities.iter().any(|own| own == name));
            if called.iter().any(can) {
                continue;
            }
            called.extend(self.absent(swarm).find(can));
        }
        called.into_iter().map(|spec| &*spec.id).collect()
    }
}
