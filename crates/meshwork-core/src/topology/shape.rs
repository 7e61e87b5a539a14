//! One topology with peers in it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::choice::Topology;
use super::heap::Heap;
use crate::ids::PeerNo;

/// Why a shape did not change.
///
/// ```
/// use meshwork_core::PeerNo;
/// use meshwork_core::topology::{Shape, ShapeError};
///
/// let mut mesh = Shape::default();
/// assert_eq!(mesh.leave(PeerNo(3)), Err(ShapeError::NotThere { peer: PeerNo(3) }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A tree has to branch.
    #[error("a tree can't have a branching of {found}: expected at least 1; nothing changed")]
    Branching {
        /// What was asked for.
        found: usize,
    },
    /// It joined before.
    #[error("peer {peer:?} is there already; nothing changed")]
    There {
        /// Who.
        peer: PeerNo,
    },
    /// It never joined, or was lost before.
    #[error("peer {peer:?} is not there; nothing changed")]
    NotThere {
        /// Who.
        peer: PeerNo,
    },
}

/// Who has other neighbours after a change than before, of those that are there now.
///
/// ```
/// use meshwork_core::PeerNo;
/// use meshwork_core::topology::{Rewired, Shape};
///
/// assert_eq!(Shape::default().join(PeerNo(0))?, Rewired::Everybody, "a mesh");
/// # Ok::<(), meshwork_core::topology::ShapeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewired {
    /// All of them, as in a mesh.
    Everybody,
    /// These.
    Peers(BTreeSet<PeerNo>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Form {
    Mesh(BTreeSet<PeerNo>),
    Hierarchical(Heap<PeerNo>),
    Hybrid(Cells),
}

/// One topology with peers in it: a function of the joins and losses that it was told, in their order.
///
/// ```
/// use meshwork_core::PeerNo;
/// use meshwork_core::topology::{Shape, Topology};
///
/// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
/// for peer in 0..5 {
///     tree.join(PeerNo(peer))?;
/// }
/// assert_eq!(tree.queen(), Some(PeerNo(0)));
/// assert_eq!(tree.neighbors(PeerNo(1)), [PeerNo(0), PeerNo(3), PeerNo(4)]);
/// tree.leave(PeerNo(0))?;
/// assert_eq!(tree.queen(), Some(PeerNo(4)));
/// # Ok::<(), meshwork_core::topology::ShapeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape(Form);

/// A mesh without peers.
impl Default for Shape {
    fn default() -> Self {
        Self(Form::Mesh(BTreeSet::new()))
    }
}

impl Shape {
    /// A shape without peers. `branching`: the most children of a peer in a hierarchy, and of a cell in a hybrid; a mesh
    /// has none.
    ///
    /// ```
    /// use meshwork_core::topology::{Shape, ShapeError, Topology};
    ///
    /// assert!(Shape::new(Topology::Hierarchical, 7)?.is_empty());
    /// assert_eq!(Shape::new(Topology::Hierarchical, 0), Err(ShapeError::Branching { found: 0 }));
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    ///
    /// # Errors
    /// A branching of 0.
    pub fn new(topology: Topology, branching: usize) -> Result<Self, ShapeError> {
        if branching == 0 {
            return Err(ShapeError::Branching { found: branching });
        }
        Ok(Self(match topology {
            Topology::Mesh => Form::Mesh(BTreeSet::new()),
            Topology::Hierarchical => Form::Hierarchical(Heap::new(branching)),
            Topology::Hybrid => Form::Hybrid(Cells::new(branching)),
        }))
    }

    /// Which topology.
    ///
    /// ```
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// assert_eq!(Shape::default().topology(), Topology::Mesh);
    /// ```
    #[must_use]
    pub fn topology(&self) -> Topology {
        match &self.0 {
            Form::Mesh(_) => Topology::Mesh,
            Form::Hierarchical(_) => Topology::Hierarchical,
            Form::Hybrid(_) => Topology::Hybrid,
        }
    }

    /// The most children of a peer in a hierarchy, and of a cell in a hybrid; a mesh has none.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// assert_eq!((tree.branching(), Shape::default().branching()), (Some(2), None));
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn branching(&self) -> Option<usize> {
        match &self.0 {
            Form::Mesh(_) => None,
            Form::Hierarchical(tree) => Some(tree.branching()),
            Form::Hybrid(cells) => Some(cells.branching()),
        }
    }

    /// How many peers there are.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// assert_eq!(tree.len(), 4);
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Mesh(peers) => peers.len(),
            Form::Hierarchical(tree) => tree.len(),
            Form::Hybrid(cells) => cells.len(),
        }
    }

    /// Whether there are none.
    ///
    /// ```
    /// use meshwork_core::topology::Shape;
    ///
    /// assert!(Shape::default().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a peer is there.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// assert!(tree.contains(PeerNo(3)) && !tree.contains(PeerNo(4)));
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn contains(&self, peer: PeerNo) -> bool {
        match &self.0 {
            Form::Mesh(peers) => peers.contains(&peer),
            Form::Hierarchical(tree) => tree.contains(peer),
            Form::Hybrid(cells) => cells.contains(peer),
        }
    }

    /// Everybody, by number.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// tree.leave(PeerNo(0))?;
    /// assert_eq!(tree.peers(), [PeerNo(1), PeerNo(2), PeerNo(3)]);
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn peers(&self) -> Vec<PeerNo> {
        match &self.0 {
            Form::Mesh(peers) => peers.iter().copied().collect(),
            Form::Hierarchical(tree) => tree.iter().collect(),
            Form::Hybrid(cells) => cells.peers().collect(),
        }
    }

    /// A peer joins: in a hierarchy at the next place of the tree, in a hybrid in the smallest cell that has room.
    ///
    /// ```
    /// use meshwork_core::topology::Rewired;
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// let rewired = tree.join(PeerNo(4))?;
    /// assert_eq!(rewired, Rewired::Peers([PeerNo(1), PeerNo(4)].into()), "it and its parent");
    /// assert!(tree.join(PeerNo(4)).is_err(), "it is there already");
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    ///
    /// # Errors
    /// It is there already.
    pub fn join(&mut self, peer: PeerNo) -> Result<Rewired, ShapeError> {
        if self.contains(peer) {
            return Err(ShapeError::There { peer });
        }
        Ok(match &mut self.0 {
            Form::Mesh(peers) => {
                peers.insert(peer);
                Rewired::Everybody
            }
            Form::Hierarchical(tree) => Rewired::Peers(tree.push(peer).into_iter().collect()),
            Form::Hybrid(cells) => Rewired::Peers(cells.join(peer)),
        })
    }

    /// A peer leaves or is lost. In a hierarchy the peer at the last place takes its place, queen or not; a lead of a
    /// hybrid is followed by whoever has been in its cell longest.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// tree.leave(PeerNo(0))?;
    /// assert_eq!(tree.queen(), Some(PeerNo(3)), "who was at the last place");
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    ///
    /// # Errors
    /// It is not there.
    pub fn leave(&mut self, peer: PeerNo) -> Result<Rewired, ShapeError> {
        if !self.contains(peer) {
            return Err(ShapeError::NotThere { peer });
        }
        Ok(match &mut self.0 {
            Form::Mesh(peers) => {
                peers.remove(&peer);
                Rewired::Everybody
            }
            Form::Hierarchical(tree) => Rewired::Peers(tree.remove(peer).into_iter().collect()),
            Form::Hybrid(cells) => Rewired::Peers(cells.leave(peer)),
        })
    }

    /// Whom a peer is connected to, by number: in a mesh all others, in a hierarchy parent and children, in a hybrid the
    /// members of its cell and, for a lead, the leads above and below. Nobody for a peer that is not there.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// assert_eq!(tree.neighbors(PeerNo(1)), [PeerNo(0), PeerNo(3)]);
    /// assert!(tree.neighbors(PeerNo(9)).is_empty());
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn neighbors(&self, peer: PeerNo) -> Vec<PeerNo> {
        let mut neighbors = self.announces_to(peer);
        if let Form::Hybrid(cells) = &self.0 {
            neighbors.extend(cells.other_leads(peer));
        }
        neighbors.sort_unstable();
        neighbors
    }

    /// Whom a peer tells how it is, by number: its neighbours, but never outside its cell.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut hybrid = Shape::new(Topology::Hybrid, 2)?;
    /// for peer in 0..10 {
    ///     hybrid.join(PeerNo(peer))?;
    /// }
    /// let lead = hybrid.queen().expect("there are cells");
    /// assert!(hybrid.announces_to(lead).len() < hybrid.neighbors(lead).len(), "never outside its cell");
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn announces_to(&self, peer: PeerNo) -> Vec<PeerNo> {
        let mut others = match &self.0 {
            Form::Mesh(peers) if peers.contains(&peer) => peers.iter().copied().collect(),
            Form::Mesh(_) => Vec::new(),
            Form::Hierarchical(tree) => tree.around(peer),
            Form::Hybrid(cells) => cells.members(peer).to_vec(),
        };
        others.retain(|other| *other != peer);
        others.sort_unstable();
        others
    }

    /// To whom a peer sends the summary of itself and all below it: the peer above. A member of a cell sends none: its
    /// lead hears its announcements.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// assert_eq!(tree.summarizes_to(PeerNo(3)), Some(PeerNo(1)));
    /// assert_eq!(tree.summarizes_to(PeerNo(0)), None, "the queen");
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn summarizes_to(&self, peer: PeerNo) -> Option<PeerNo> {
        match &self.0 {
            Form::Mesh(_) => None,
            Form::Hierarchical(tree) => tree.parent(peer),
            Form::Hybrid(cells) => cells.above(peer).filter(|_| cells.lead_of(peer) == Some(peer)),
        }
    }

    /// The queen of a hierarchy, or the lead of a hybrid's first cell. A mesh has none.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// assert_eq!((tree.queen(), Shape::default().queen()), (Some(PeerNo(0)), None));
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn queen(&self) -> Option<PeerNo> {
        match &self.0 {
            Form::Mesh(_) => None,
            Form::Hierarchical(tree) => tree.root(),
            Form::Hybrid(cells) => cells.queen(),
        }
    }

    /// Who hands tasks to the peer and is told what became of them. A member of a cell has its lead above it.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// assert_eq!((tree.above(PeerNo(3)), tree.above(PeerNo(0))), (Some(PeerNo(1)), None));
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn above(&self, peer: PeerNo) -> Option<PeerNo> {
        match &self.0 {
            Form::Mesh(_) => None,
            Form::Hierarchical(tree) => tree.parent(peer),
            Form::Hybrid(cells) => cells.above(peer),
        }
    }

    /// To whom the peer can hand tasks: in a mesh to everybody else, else to those right below.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// assert_eq!(tree.below(PeerNo(0)), [PeerNo(1), PeerNo(2)]);
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn below(&self, peer: PeerNo) -> Vec<PeerNo> {
        match &self.0 {
            Form::Mesh(_) => self.announces_to(peer),
            Form::Hierarchical(tree) => tree.children(peer).to_vec(),
            Form::Hybrid(cells) => cells.below(peer),
        }
    }

    /// The lead of the peer's cell, in a hybrid.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut hybrid = Shape::new(Topology::Hybrid, 2)?;
    /// for peer in 0..10 {
    ///     hybrid.join(PeerNo(peer))?;
    /// }
    /// let lead = hybrid.lead_of(PeerNo(3)).expect("everybody is in a cell");
    /// assert_eq!(hybrid.cell(PeerNo(3))[0], lead);
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn lead_of(&self, peer: PeerNo) -> Option<PeerNo> {
        match &self.0 {
            Form::Hybrid(cells) => cells.lead_of(peer),
            Form::Mesh(_) | Form::Hierarchical(_) => None,
        }
    }

    /// The members of the peer's cell, its lead first, then by the time that they have been there; empty outside a
    /// hybrid.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut hybrid = Shape::new(Topology::Hybrid, 2)?;
    /// for peer in 0..10 {
    ///     hybrid.join(PeerNo(peer))?;
    /// }
    /// assert!(hybrid.cell(PeerNo(3)).contains(&PeerNo(3)));
    /// assert!(hybrid.cell(PeerNo(99)).is_empty());
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn cell(&self, peer: PeerNo) -> &[PeerNo] {
        match &self.0 {
            Form::Hybrid(cells) => cells.members(peer),
            Form::Mesh(_) | Form::Hierarchical(_) => &[],
        }
    }

    /// How many cells a hybrid has; 0 for others.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut hybrid = Shape::new(Topology::Hybrid, 2)?;
    /// for peer in 0..10 {
    ///     hybrid.join(PeerNo(peer))?;
    /// }
    /// assert_eq!(hybrid.cells(), 2, "of at most 7 peers");
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn cells(&self) -> usize {
        match &self.0 {
            Form::Hybrid(cells) => cells.count(),
            Form::Mesh(_) | Form::Hierarchical(_) => 0,
        }
    }

    /// Steps from the queen down to the peer; 0 in a mesh.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// assert_eq!([0, 1, 3].map(|peer| tree.depth(PeerNo(peer))), [0, 1, 2]);
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    #[must_use]
    pub fn depth(&self, peer: PeerNo) -> usize {
        match &self.0 {
            Form::Mesh(_) => 0,
            Form::Hierarchical(tree) => tree.depth(peer),
            Form::Hybrid(cells) => std::iter::successors(cells.above(peer), |above| cells.above(*above)).count(),
        }
    }

    /// Derives from scratch what is kept for speed.
    ///
    /// ```
    /// use meshwork_core::PeerNo;
    /// use meshwork_core::topology::{Shape, Topology};
    ///
    /// let mut tree = Shape::new(Topology::Hierarchical, 2)?;
    /// for peer in 0..4 {
    ///     tree.join(PeerNo(peer))?;
    /// }
    /// tree.check_invariants();
    /// # Ok::<(), meshwork_core::topology::ShapeError>(())
    /// ```
    ///
    /// # Panics
    /// When something does not agree: then this module is wrong.
    pub fn check_invariants(&self) {
        match &self.0 {
            Form::Mesh(_) => {}
            Form::Hierarchical(tree) => tree.check_invariants(),
            Form::Hybrid(cells) => cells.check_invariants(),
        }
    }
}
