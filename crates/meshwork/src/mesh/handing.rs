//! What a topology does for tasks that are handed in: in a tree and in cells each is handed to a worker, step by step.

use super::{Mesh, MeshError};
use meshwork_core::topology::Delegation;
use meshwork_core::{Outcome, Phase, Swarm, TaskSpec, content_hash};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Mesh {
    /// Gives each task that prefers nobody the peer that it finds, from `from` on or from the queen on, as its preference.
    /// In a mesh nothing is done.
    pub(super) async fn hand_out(&self, tasks: &mut [TaskSpec], from: Option<&Arc<str>>) -> Result<(), MeshError> {
        if !self.has_queen.load(Ordering::Relaxed) {
            return Ok(());
        }
        let contents: Vec<_> = tasks.iter().map(|spec| (spec.id.clone(), content_hash(spec))).collect();
        let from = from.cloned();
        let look = self.look(move |swarm| {
            let delegation = Delegation::of(swarm)?;
            let there: Vec<bool> = contents.iter().map(|(id, content)| is_kept(swarm, id, *content)).collect();
            let from = from.and_then(|id| swarm.find_peer(&id));
            let names: Vec<Arc<str>> = swarm.peers().map(|(_, peer)| peer.id.clone()).collect();
            Some((delegation, there, from, names))
        });
        let Some((mut delegation, there, from, names)) = look.await? else { return Ok(()) };
        // Beside the driver, which goes on meanwhile: what comes and goes now makes a preference worth less, not wrong.
        for (spec, _) in tasks.iter_mut().zip(there).filter(|(spec, there)| spec.prefers.is_none() && !there) {
            let worker = delegation.hand_out(from, &spec.requires);
            spec.prefers = worker.and_then(|no| names.get(no.index())).map(ToString::to_string);
        }
        Ok(())
    }
}

/// A task that is there and is not done again has its place; it is not work that is handed out now.
fn is_kept(swarm: &Swarm, id: &str, content: [u64; 2]) -> bool {
    let task = swarm.find_task(id).and_then(|no| swarm.task(no)).filter(|task| task.content == content);
    task.is_some_and(|task| !matches!(task.phase, Phase::Closed { outcome } if outcome != Outcome::Ok))
}
