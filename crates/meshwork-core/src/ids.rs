//! Numbers that name things inside the core.
//!
//! Records live in arrays and are named by their index there, so an entry after `Submit` carries four
//! bytes instead of an id. Numbers are given by `apply` in log order: every node gives the same ones.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Entries of one batch are numbered below this.
pub const ENTRIES_A_BATCH_MAX: usize = (1 << INDEX_BITS) - 1;
const INDEX_BITS: u32 = 16;

/// Where an entry lies in the log: the batch's sequence number and the entry's index in it.
///
/// Positions are totally ordered; the first batch has sequence 1. [`Position::START`] lies before
/// everything.
///
/// ```
/// use meshwork_core::Position;
///
/// let (earlier, later) = (Position::new(7, 2), Position::new(8, 0));
/// assert!(earlier < later, "the order of the log");
/// assert_eq!(later.to_string(), "8.0");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Position(u64);

impl Position {
    /// Before the first entry of any log.
    pub const START: Self = Self(0);

    /// The entry `index` of batch `seq`.
    ///
    /// ```
    /// use meshwork_core::Position;
    ///
    /// let third = Position::new(12, 2);
    /// assert_eq!((third.seq(), third.index()), (12, 2));
    /// ```
    pub fn new(seq: u64, index: usize) -> Self {
        assert!(index <= ENTRIES_A_BATCH_MAX, "entry {index} is beyond what one batch holds");
        assert!(seq < 1 << (64 - INDEX_BITS), "sequence {seq} is beyond what a position holds");
        Self(seq << INDEX_BITS | index as u64)
    }

    /// Sequence number of the batch.
    ///
    /// ```
    /// use meshwork_core::Position;
    ///
    /// assert_eq!(Position::new(12, 2).seq(), 12);
    /// assert_eq!(Position::START.seq(), 0, "before any batch");
    /// ```
    pub fn seq(self) -> u64 {
        self.0 >> INDEX_BITS
    }

    /// Index of the entry in its batch.
    ///
    /// ```
    /// use meshwork_core::Position;
    ///
    /// assert_eq!(Position::new(12, 2).index(), 2);
    /// ```
    pub fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }

    /// The packed form, as it is hashed and shown to other programs.
    ///
    /// ```
    /// use meshwork_core::Position;
    ///
    /// let position = Position::new(12, 2);
    /// assert_eq!(Position::from_u64(position.as_u64()), position);
    /// ```
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// The inverse of [`Position::as_u64`].
    ///
    /// ```
    /// use meshwork_core::Position;
    ///
    /// assert_eq!(Position::from_u64(0), Position::START);
    /// ```
    pub fn from_u64(packed: u64) -> Self {
        Self(packed)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq(), self.index())
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{self}")
    }
}

/// The position that gave a task to a peer: the fencing token of an attempt. Never reused.
pub type Grant = Position;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub u32);

        impl $name {
            /// As an index into the array of records.
            ///
            /// ```
            #[doc = concat!("use meshwork_core::", stringify!($name), ";")]
            ///
            #[doc = concat!("assert_eq!(", stringify!($name), "(3).index(), 3);")]
            /// ```
            pub fn index(self) -> usize {
                self.0 as usize
            }

        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

macro_rules! impl_from_index {
    ($($name:ident),*) => {$(
        impl $name {
            pub(crate) fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).expect("limits keep every array below 2^32 records"))
            }
        }
    )*};
}

number!(
    /// A task of one generation.
    ///
    /// ```
    /// use meshwork_core::TaskNo;
    ///
    /// assert_eq!(format!("{:?}", TaskNo(3)), "t3");
    /// ```
    TaskNo, "t"
);
number!(
    /// A peer, by the order in which peers were first seen.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    ///
    /// assert!(PeerNo(0) < PeerNo(1), "0 was seen first");
    /// ```
    PeerNo, "p"
);
number!(
    /// One incarnation of a node.
    ///
    /// ```
    /// use meshwork_core::NodeNo;
    ///
    /// assert_eq!(format!("{:?}", NodeNo(0)), "n0");
    /// ```
    NodeNo, "n"
);
number!(
    /// A capability, interned.
    ///
    /// ```
    /// use meshwork_core::CapNo;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    ///
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let bob = PeerSpec { capabilities: vec!["review".to_owned()], ..PeerSpec::new("bob") };
    /// let _ = write(&mut swarm, vec![Op::PeerUp(bob)])?;
    /// assert_eq!(swarm.capability(CapNo(0)), Some("review"));
    /// # Ok(())
    /// # }
    /// ```
    CapNo, "c"
);
number!(
    /// A requirement class: tasks that the same peers can take.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build"), TaskSpec::new("test")])])?;
    /// let class = |no| swarm.task(TaskNo(no)).map(|task| task.class);
    /// assert_eq!(class(0), class(1), "neither requires anything");
    /// # Ok(())
    /// # }
    /// ```
    ClassNo, "q"
);
number!(
    /// A task type, interned.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let build = swarm.find_task("build").expect("it was submitted");
    /// let kind = swarm.task(build).expect("a task").kind;
    /// assert_eq!(swarm.kind(kind).map(|kind| &*kind.name), Some("task"));
    /// # Ok(())
    /// # }
    /// ```
    KindNo, "k"
);
impl_from_index!(TaskNo, PeerNo, NodeNo, CapNo, ClassNo, KindNo);

number!(
    /// A wait: a number and a length; see `Op::Due`.
    ///
    /// ```
    /// use meshwork_core::WaitNo;
    ///
    /// assert!(WaitNo(0) < WaitNo(1), "the order in which they began");
    /// ```
    WaitNo, "w"
);
