//! How many workers a queen has, and which: [`Scaling`] says how many, this says who comes and who goes.

use std::collections::BTreeSet;

use super::scaling::{Scaling, ScalingDecision, Workers};
use crate::ids::PeerNo;
use crate::op::PeerSpec;
use crate::swarm::Swarm;

/// What a queen sees of her workers; what waits for anybody waits for more workers. `None` in a mesh, and while nobody is
/// there.
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
    #[must_use]
    pub fn new(scaling: Scaling, reserve: Vec<PeerSpec>, patience_ms: u64) -> Self {
        Self { scaling, reserve, patience_ms, low_since: None }
    }

    /// That worker cannot come.
    pub fn give_up_on(&mut self, id: &str) {
        self.reserve.retain(|spec| spec.id != id);
    }

    /// What is to be done, seeing this; `now_ms` by a clock that does not go back.
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
