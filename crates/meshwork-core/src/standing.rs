//! Who stands where: the swarm's topology, kept as peers come and go.
//!
//! It is kept here, with the swarm, and not by each who wants to know it, because it follows from the order of all joins
//! and losses: a snapshot has to carry it. No assignment depends on it, so neither the state hash nor the model checker's
//! states hold it: who hands in a task says whom it prefers, by [`Delegation`](crate::topology::Delegation).

use crate::ids::{PeerNo, TaskNo};
use crate::peer::Peer;
use crate::swarm::Swarm;
use crate::topology::Shape;

impl Swarm {
    /// How the peers that are up stand to each other, by the topology in the log.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// assert_eq!((swarm.shape().topology(), swarm.shape().peers()), (Topology::Mesh, vec![PeerNo(0)]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Brings a peer to its place, or out of it, after it came or went.
    pub(crate) fn stand(&mut self, no: PeerNo) {
        // Neither fails: whether it stands there was just looked at.
        match (self.peers[no.index()].up, self.shape.contains(no)) {
            (true, false) => drop(self.shape.join(no)),
            (false, true) => drop(self.shape.leave(no)),
            _ => {}
        }
    }

    /// After the settings changed: another topology begins with those who are there, by number.
    pub(crate) fn stand_anew(&mut self) {
        let (old, mut new) = (&self.shape, self.config.topology.shape());
        if old.topology() == new.topology() && old.branching() == new.branching() {
            return;
        }
        for (no, _) in self.peers().filter(|(_, peer)| peer.up) {
            drop(new.join(no));
        }
        self.shape = new;
    }

    pub(crate) fn everybody_stands(&self) -> bool {
        let up: Vec<PeerNo> = self.peers().filter(|(_, peer)| peer.up).map(|(no, _)| no).collect();
        let wanted = self.config.topology.shape();
        let alike = self.shape.topology() == wanted.topology() && self.shape.branching() == wanted.branching();
        self.shape.peers() == up && (alike || !self.is_open())
    }

    /// Tasks that are ready and that no peer has.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let task = TaskSpec { requires: vec!["welding".to_owned()], ..TaskSpec::new("frame") };
    /// let _ = write(&mut swarm, vec![submit([task])])?;
    /// assert_eq!(swarm.unassigned(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn unassigned(&self) -> usize {
        self.index.unassigned.len()
    }

    /// Of tasks that are ready and that nobody who is open can take, the best one of each kind of requirement.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let weld = |id: &str| TaskSpec { requires: vec!["welding".to_owned()], ..TaskSpec::new(id) };
    /// let _ = write(&mut swarm, vec![submit([weld("frame"), weld("door"), TaskSpec::new("build")])])?;
    /// assert_eq!(swarm.unserved().collect::<Vec<_>>(), [TaskNo(0)], "one for each kind of requirement");
    /// # Ok(())
    /// # }
    /// ```
    pub fn unserved(&self) -> impl Iterator<Item = TaskNo> + '_ {
        let heads = self.index.unassigned.heads();
        heads.filter(|(class, _)| self.index.classes.eligible(*class).is_empty()).map(|(_, task)| task)
    }
}

impl Peer {
    /// It runs nothing, and nothing waits at it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let ada = swarm.find_peer("ada").and_then(|no| swarm.peer(no)).expect("a peer");
    /// assert!(ada.has_nothing_to_do());
    /// # Ok(())
    /// # }
    /// ```
    pub fn has_nothing_to_do(&self) -> bool {
        self.load() == 0 && self.held.is_empty() && self.line.is_empty()
    }
}
