//! The whole state as bytes, so that a restart replays only what came after.
//!
//! Only records are written. Every index is derived from them anew, which is why `check_invariants`
//! can hold the live ones against the same derivation.

use crate::class::Requirement;
use crate::ids::{PeerNo, TaskNo};
use crate::peer::Names;
use crate::queue::Queue;
use crate::swarm::{Index, Swarm};
use crate::task::Phase;
use xxhash_rust::xxh3::xxh3_64;

mod sound;

const MAGIC: u8 = 0x5A;
/// 2: tasks have a review. 3: and prefer a peer; the swarm has a topology.
const FORMAT: u8 = 4;
const HEADER: usize = 10;

/// Bytes that are not a snapshot of this version. The log can be replayed from its beginning instead.
///
/// ```
/// use meshwork_core::{SnapshotError, Swarm};
///
/// assert_eq!(Swarm::restore(b"hello").err(), Some(SnapshotError::NotASnapshot));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Something else, or cut short.
    #[error("not a snapshot of format {FORMAT}")]
    NotASnapshot,
    /// The bytes are not those that were written.
    #[error("the snapshot is damaged: its checksum does not match")]
    Checksum,
    /// Whole, yet not a swarm.
    #[error("the snapshot cannot be decoded: {what}")]
    Malformed {
        /// What the decoder said.
        what: String,
    },
    /// Its records do not give the state hash that it had.
    #[error("the snapshot's records give another state hash than it was taken with")]
    StateHash,
}

impl Swarm {
    /// The state after the last batch, as bytes.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let bytes = swarm.snapshot().expect("memory suffices");
    /// assert_eq!(Swarm::restore(&bytes).expect("it was just written").state_hash(), swarm.state_hash());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Only when memory does not suffice for the encoder.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let head = vec![0; HEADER];
        // The classes' requirements are records that their index owns.
        let records = (self.index.classes.requirements(), self);
        let mut bytes =
            postcard::to_extend(&records, head).map_err(|e| SnapshotError::Malformed { what: e.to_string() })?;
        let sum = xxh3_64(&bytes[HEADER..]);
        bytes[0] = MAGIC;
        bytes[1] = FORMAT;
        bytes[2..HEADER].copy_from_slice(&sum.to_le_bytes());
        Ok(bytes)
    }

    /// The swarm that a snapshot holds.
    ///
    /// ```
    /// use meshwork_core::SnapshotError;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let mut bytes = swarm.snapshot().expect("memory suffices");
    /// assert!(Swarm::restore(&bytes).is_ok_and(|restored| restored.last() == swarm.last()));
    /// *bytes.last_mut().expect("there are some") ^= 1;
    /// assert_eq!(Swarm::restore(&bytes).err(), Some(SnapshotError::Checksum));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`SnapshotError`]; never panics, whatever the bytes are.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        if bytes.len() < HEADER || bytes[0] != MAGIC || bytes[1] != FORMAT {
            return Err(SnapshotError::NotASnapshot);
        }
        if xxh3_64(&bytes[HEADER..]).to_le_bytes() != bytes[2..HEADER] {
            return Err(SnapshotError::Checksum);
        }
        let (requirements, mut swarm): (Vec<Requirement>, Self) =
            postcard::from_bytes(&bytes[HEADER..]).map_err(|e| SnapshotError::Malformed { what: e.to_string() })?;
        if let Err(what) = swarm.is_sound(&requirements) {
            return Err(SnapshotError::Malformed { what });
        }
        swarm.derive(requirements);
        if swarm.last().hash != 0 && swarm.state_hash() != swarm.last().hash {
            return Err(SnapshotError::StateHash);
        }
        Ok(swarm)
    }

    /// Makes every index anew from the records.
    fn derive(&mut self, requirements: Vec<Requirement>) {
        for peer in &mut self.peers {
            peer.assigned.clear();
            peer.held.clear();
            peer.placed = None;
        }
        self.index = Index::default();
        self.derive_names();
        self.derive_classes(requirements);
        for index in 0..self.tasks.len() {
            self.derive_task(TaskNo::from_index(index));
        }
        for index in 0..self.peers.len() {
            self.replace(PeerNo::from_index(index));
        }
        self.index.hash = self.hash_from_scratch();
    }

    fn derive_names(&mut self) {
        let named = |names: &mut Names, list: &mut dyn Iterator<Item = std::sync::Arc<str>>| {
            for (no, name) in list.enumerate() {
                names.insert(name, TaskNo::from_index(no).0);
            }
        };
        let index = &mut self.index;
        named(&mut index.peers, &mut self.peers.iter().map(|peer| peer.id.clone()));
        named(&mut index.kinds, &mut self.kinds.iter().map(|kind| kind.name.clone()));
        named(&mut index.capabilities, &mut self.capabilities.iter().cloned());
        named(&mut index.nodes, &mut self.nodes.iter().map(|node| node.name.clone()));
        for (no, node) in self.nodes.iter().enumerate() {
            index.incarnations.insert(node.incarnation, crate::ids::NodeNo::from_index(no));
        }
    }

    fn derive_classes(&mut self, requirements: Vec<Requirement>) {
        for no in 0..self.peers.len() {
            let _none: crate::class::Shift = self.index.classes.refresh_peer(PeerNo::from_index(no), &self.peers);
        }
        for requirement in requirements {
            self.index.classes.intern(requirement, &self.peers);
        }
    }

    fn derive_task(&mut self, no: TaskNo) {
        let task = &self.tasks[no.index()];
        let index = &mut self.index;
        index.graph.push(&task.dependencies, task.parent);
        index.tasks.insert(task.id.clone(), no);
        let queue = |queue: &mut Queue| queue.insert(task.class, task.rank, no);
        match task.phase {
            Phase::Ready => {
                queue(&mut index.waiting);
                queue(&mut index.unassigned);
            }
            Phase::Assigned { peer } => {
                queue(&mut index.waiting);
                self.peers[peer.index()].assigned.insert((task.rank, no));
            }
            _ => {}
        }
        if task.messages_open {
            index.messages_open += 1;
            self.peers[task.last_peer.index()].held.insert(no);
        }
        if let Some((peer, _)) = task.phase.grant() {
            index.granted += 1;
            index.parked += u32::from(matches!(task.phase, Phase::Waiting { .. }));
            self.peers[peer.index()].held.insert(no);
        }
    }

    /// A copy whose indexes are all made anew, for `check_invariants`.
    pub(crate) fn derived_anew(&self) -> Self {
        let mut copy = self.clone();
        copy.derive(self.index.classes.requirements().to_vec());
        copy
    }
}
