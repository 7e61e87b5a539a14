//! Cells of a hybrid: meshes of at most seven, whose leads stand in a tree.
//!
//! The tree holds cells, and the first of a cell's members stands for it. So a lead that dies is replaced within its
//! cell, by whoever has been there longest, and the tree stays as it is.
//!
//! Whoever joins goes to the smallest cell that has room, and founds one where none has. A cell of two or less is
//! merged into the smallest other cell, if together they leave room for one more: were they full, the next to join
//! would found a cell that the next loss merges again. So all cells but one have three members or more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::choice::CELL_MAX;
use super::heap::Heap;
use crate::ids::PeerNo;

/// A cell of this many members or less is merged if it can be.
const SMALL: usize = 2;

type CellNo = u32;

/// A hybrid's peers in their cells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub(super) struct Cells {
    /// Members in the order in which they came; the first is the lead.
    cells: BTreeMap<CellNo, Vec<PeerNo>>,
    of: BTreeMap<PeerNo, CellNo>,
    by_size: BTreeSet<(usize, CellNo)>,
    tree: Heap<CellNo>,
    next: CellNo,
}

/// What is written of cells; who is in which follows from it.
#[derive(Serialize, Deserialize)]
struct Written {
    cells: BTreeMap<CellNo, Vec<PeerNo>>,
    tree: Heap<CellNo>,
    next: CellNo,
}

impl From<Cells> for Written {
    fn from(Cells { cells, tree, next, .. }: Cells) -> Self {
        Self { cells, tree, next }
    }
}

impl TryFrom<Written> for Cells {
    type Error = &'static str;

    fn try_from(Written { cells, tree, next }: Written) -> Result<Self, Self::Error> {
        let stands = |cell: &CellNo| *cell < next && tree.contains(*cell);
        if tree.len() != cells.len() || !cells.keys().all(stands) {
            return Err("the tree has other cells than there are");
        }
        if !cells.values().all(|members| (1..=CELL_MAX).contains(&members.len())) {
            return Err("a cell is empty or too large");
        }
        let members = cells.iter().flat_map(|(cell, members)| members.iter().map(move |peer| (*peer, *cell)));
        let of: BTreeMap<PeerNo, CellNo> = members.clone().collect();
        if of.len() != members.count() {
            return Err("a peer is in two cells");
        }
        let by_size = cells.iter().map(|(cell, members)| (members.len(), *cell)).collect();
        Ok(Self { cells, of, by_size, tree, next })
    }
}

impl Cells {
    pub(super) fn new(branching: usize) -> Self {
        Self {
            cells: BTreeMap::new(),
            of: BTreeMap::new(),
            by_size: BTreeSet::new(),
            tree: Heap::new(branching),
            next: 0,
        }
    }

    pub(super) fn branching(&self) -> usize {
        self.tree.branching()
    }

    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    pub(super) fn contains(&self, peer: PeerNo) -> bool {
        self.of.contains_key(&peer)
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = PeerNo> + '_ {
        self.of.keys().copied()
    }

    /// Everybody in the peer's cell, itself included, its lead first.
    pub(super) fn members(&self, peer: PeerNo) -> &[PeerNo] {
        self.of.get(&peer).map_or(&[], |cell| self.cell(*cell))
    }

    /// How many cells there are.
    pub(super) fn count(&self) -> usize {
        self.cells.len()
    }

    /// The lead of the cell at the root.
    pub(super) fn queen(&self) -> Option<PeerNo> {
        self.tree.root().and_then(|cell| self.lead(cell))
    }

    pub(super) fn lead_of(&self, peer: PeerNo) -> Option<PeerNo> {
        self.members(peer).first().copied()
    }

    /// Of a lead: the lead above. Of others: their lead.
    pub(super) fn above(&self, peer: PeerNo) -> Option<PeerNo> {
        let lead = self.lead_of(peer)?;
        if lead != peer {
            return Some(lead);
        }
        self.tree.parent(*self.of.get(&peer)?).and_then(|cell| self.lead(cell))
    }

    /// Of a lead: its cell, then the leads below.
    pub(super) fn below(&self, peer: PeerNo) -> Vec<PeerNo> {
        if self.lead_of(peer) != Some(peer) {
            return Vec::new();
        }
        let mates = self.members(peer).iter().copied().skip(1);
        let cells = self.of.get(&peer).map_or(&[][..], |cell| self.tree.children(*cell));
        mates.chain(cells.iter().filter_map(|cell| self.lead(*cell))).collect()
    }

    /// The leads above and below a lead; of others nobody.
    pub(super) fn other_leads(&self, peer: PeerNo) -> Vec<PeerNo> {
        if self.lead_of(peer) != Some(peer) {
            return Vec::new();
        }
        let around = self.of.get(&peer).map_or_else(Vec::new, |cell| self.tree.around(*cell));
        around.into_iter().filter_map(|cell| self.lead(cell)).collect()
    }

    /// Says who has other neighbours now.
    pub(super) fn join(&mut self, peer: PeerNo) -> BTreeSet<PeerNo> {
        let mut rewired = BTreeSet::new();
        let smallest = self.by_size.first().copied().filter(|(size, _)| *size < CELL_MAX);
        let cell = match smallest {
            Some((_, cell)) => cell,
            None => self.found(&mut rewired),
        };
        self.add(peer, cell);
        rewired.extend(self.cell(cell).iter().copied());
        rewired
    }

    /// Says who of those that remain has other neighbours now.
    pub(super) fn leave(&mut self, peer: PeerNo) -> BTreeSet<PeerNo> {
        let mut rewired = BTreeSet::new();
        let Some(cell) = self.of.remove(&peer) else { return rewired };
        let was_lead = self.lead(cell) == Some(peer);
        let left = self.change(cell, |members| members.retain(|member| *member != peer));
        rewired.extend(self.cell(cell).iter().copied());
        if left == 0 {
            self.dissolve(cell, &mut rewired);
        } else if was_lead {
            self.tell_around(cell, &mut rewired);
        }
        self.merge_smallest(&mut rewired);
        rewired.remove(&peer);
        rewired
    }

    fn merge_smallest(&mut self, rewired: &mut BTreeSet<PeerNo>) {
        let mut by_size = self.by_size.iter().copied();
        let (Some((small, cell)), Some((size, partner))) = (by_size.next(), by_size.next()) else { return };
        if small > SMALL || small + size >= CELL_MAX {
            return;
        }
        let moving = self.cell(cell).to_vec();
        self.change(cell, Vec::clear);
        self.dissolve(cell, rewired);
        for peer in moving {
            self.add(peer, partner);
        }
        rewired.extend(self.cell(partner).iter().copied());
    }

    fn found(&mut self, rewired: &mut BTreeSet<PeerNo>) -> CellNo {
        let cell = self.next;
        self.next += 1;
        self.cells.insert(cell, Vec::new());
        self.by_size.insert((0, cell));
        let around = self.tree.push(cell);
        rewired.extend(around.into_iter().filter_map(|cell| self.lead(cell)));
        cell
    }

    /// Takes an empty cell out of the tree.
    fn dissolve(&mut self, cell: CellNo, rewired: &mut BTreeSet<PeerNo>) {
        let around = self.tree.remove(cell);
        self.cells.remove(&cell);
        self.by_size.remove(&(0, cell));
        rewired.extend(around.into_iter().filter_map(|cell| self.lead(cell)));
    }

    /// The leads above and below see another lead.
    fn tell_around(&self, cell: CellNo, rewired: &mut BTreeSet<PeerNo>) {
        rewired.extend(self.tree.around(cell).into_iter().filter_map(|cell| self.lead(cell)));
    }

    fn add(&mut self, peer: PeerNo, cell: CellNo) {
        self.of.insert(peer, cell);
        self.change(cell, |members| members.push(peer));
    }

    /// Changes the members of a cell; says how many there are now.
    fn change(&mut self, cell: CellNo, change: impl FnOnce(&mut Vec<PeerNo>)) -> usize {
        let Some(members) = self.cells.get_mut(&cell) else { return 0 };
        self.by_size.remove(&(members.len(), cell));
        change(members);
        self.by_size.insert((members.len(), cell));
        members.len()
    }

    fn cell(&self, cell: CellNo) -> &[PeerNo] {
        self.cells.get(&cell).map_or(&[], Vec::as_slice)
    }

    fn lead(&self, cell: CellNo) -> Option<PeerNo> {
        self.cell(cell).first().copied()
    }

    /// # Panics
    /// When a promise of this module is broken.
    pub(super) fn check_invariants(&self) {
        self.tree.check_invariants();
        assert_eq!(self.tree.len(), self.cells.len(), "every cell stands in the tree");
        let mut small = 0;
        let mut members = 0;
        for (&cell, peers) in &self.cells {
            assert!(self.tree.contains(cell), "cell {cell} stands in the tree");
            assert!(!peers.is_empty(), "no cell is empty");
            assert!(peers.len() <= CELL_MAX, "cell {cell} has {} members", peers.len());
            assert!(self.by_size.contains(&(peers.len(), cell)), "cells are known by their size");
            assert!(peers.iter().all(|peer| self.of.get(peer) == Some(&cell)), "members know their cell");
            small += usize::from(peers.len() <= SMALL);
            members += peers.len();
        }
        assert_eq!(members, self.of.len(), "everybody is in one cell");
        assert_eq!(self.by_size.len(), self.cells.len(), "every cell has one size");
        assert!(small <= 1, "{small} cells are nearly empty");
    }
}
