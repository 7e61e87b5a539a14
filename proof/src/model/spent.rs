//! Appends that can change nothing any more are taken off their way, so that they do not multiply states.
//!
//! Three kinds never change anything again, whenever they are stored: a batch that its author's incarnation
//! has applied already (batch numbers only grow), a batch of an incarnation that is not present (none ever
//! is again), and a Join that replaces another than the name's last incarnation (none becomes last again).
//! That nobody waits for it, and that it says nothing that a living process is still about to say, makes it
//! nothing for the nodes' rules either. It is not believed but tried: such a batch is stored in a copy of the
//! world, where it must be judged rightly and leave everything as it was that the fingerprint looks at.

use super::scope::Scope;
use super::verdict::{Check, Property, require};
use super::world::{Letter, World};
use meshwork_core::{Op, Position, canonical};

impl World {
    /// Takes spent appends off their way.
    pub(crate) fn drop_spent(&mut self, scope: &Scope) -> Check {
        if scope.exact {
            return Ok(());
        }
        while let Some(index) = self.on_way.iter().position(|letter| self.is_spent(letter)) {
            let letter = self.on_way.remove(index);
            let mut copy = self.clone();
            copy.store(&letter.batch)?;
            let same =
                canonical::fingerprint(&copy.reference, |_| {}) == canonical::fingerprint(&self.reference, |_| {});
            require(same, Property::Commit, || {
                format!("batch {} of {:?} was spent", letter.batch.seq, letter.batch.author)
            })?;
        }
        Ok(())
    }

    fn is_spent(&self, letter: &Letter) -> bool {
        let swarm = &self.reference;
        let author = &letter.batch.author;
        let node = swarm.node_no(author.incarnation).and_then(|no| swarm.node(no));
        let spent = match node {
            Some(node) => letter.batch.seq <= node.last_seq || !node.present,
            None => author.incarnation == Position::START && self.joins_nothing(letter),
        };
        spent && !self.is_own(letter) && !self.is_still_to_be_said(letter)
    }

    fn joins_nothing(&self, letter: &Letter) -> bool {
        let last = self.reference.last_incarnation(&letter.batch.author.node);
        letter.batch.entries.iter().all(|op| match op {
            Op::Open { .. } => self.reference.is_open(),
            Op::Join { replaces, .. } => *replaces != last,
            _ => false,
        })
    }

    /// A node does not say again what an earlier incarnation of it is read to have said.
    fn is_still_to_be_said(&self, letter: &Letter) -> bool {
        let process = self.processes[letter.name].as_ref();
        process.is_some_and(|process| process.node.undecided().any(|op| letter.batch.entries.contains(op)))
    }
}
