//! What a topology does: how results come back up, and how many workers a queen has. How a task finds its worker is the
//! mesh's, for whoever hands it in.

use super::error::CoordinatorError;
use super::log::Level;
use super::{MeshCoordinator, Running};
use crate::topology::{ScalingDecision, Topology};
use meshwork_core::topology::{Tally, dispensable, staff, tallies};
use meshwork_core::{DownReason, Phase};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

impl MeshCoordinator {
    /// What became of the tasks of a peer and of all below it, as it is gathered up the tree: of everybody for a queen,
    /// of one peer in a mesh. `None` for a peer that is not there.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::{MeshCoordinatorConfig, MeshTask};
    /// use meshwork::topology::{Tally, Topology};
    ///
    /// let config = MeshCoordinatorConfig { peer_count: 4, topology: Topology::Hierarchical, ..Default::default() };
    /// # let (mesh, _folder) = started(config, echo(&[])).await?;
    /// for id in ["parse", "check", "build"] {
    ///     mesh.submit_task(MeshTask::new(id)).await?;
    /// }
    /// assert!(mesh.wait_for_mesh_completion().await?);
    /// let queen = mesh.queen().expect("a hierarchy has a queen");
    /// assert_eq!(mesh.tally(&queen), Some(Tally { done: 3, failed: 0, open: 0 }));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn tally(&self, id: &str) -> Option<Tally> {
        let running = self.running().ok()?;
        let books = running.shared.books();
        let swarm = books.view.swarm();
        let peer = swarm.find_peer(id).filter(|no| swarm.shape().contains(*no))?;
        let mut own: BTreeMap<_, Tally> = BTreeMap::new();
        for (_, task) in swarm.tasks().filter(|(_, task)| task.attempt > 0) {
            let sum = own.entry(task.last_peer).or_default();
            match task.phase {
                Phase::Closed { outcome: meshwork_core::Outcome::Ok } => sum.done += 1,
                Phase::Closed { .. } => sum.failed += 1,
                _ => sum.open += 1,
            }
        }
        tallies(swarm.shape(), &own).get(&peer).copied()
    }

    /// The root of the tree; `None` in a mesh, and when nobody is there.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshCoordinatorConfig;
    /// use meshwork::topology::Topology;
    ///
    /// let config = MeshCoordinatorConfig { peer_count: 4, topology: Topology::Hierarchical, ..Default::default() };
    /// # let (mesh, _folder) = started(config, echo(&[])).await?;
    /// let queen = mesh.queen().expect("a hierarchy has a queen");
    /// // She is followed by another one when she is lost.
    /// mesh.terminate_agent(&queen, None).await?;
    /// assert!(mesh.queen().is_some_and(|next| next != queen));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn queen(&self) -> Option<String> {
        let running = self.running().ok()?;
        let books = running.shared.books();
        books.view.swarm().shape().queen().map(|no| books.peer_id(no))
    }

    /// How the peers stand to each other.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::topology::Topology;
    ///
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// assert_eq!(mesh.topology(), Topology::Mesh);
    /// assert_eq!(mesh.queen(), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn topology(&self) -> Topology {
        self.0.config.topology
    }
}

impl Running {
    /// The queen gets the workers that the load asks for, within her limits.
    pub(super) async fn scale(self: &Arc<Self>) {
        let Some(scaling) = self.config.scaling else { return };
        let Some(seen) = staff(self.shared.books().view.swarm()) else { return };
        match scaling.decide(seen) {
            ScalingDecision::Stay => {}
            ScalingDecision::Add(more) => {
                for _ in 0..more {
                    if let Err(error) = self.hire().await {
                        self.tell(Level::Warn, "a worker could not be added", &json!({ "error": error.to_string() }));
                        return;
                    }
                }
            }
            ScalingDecision::Remove(fewer) => {
                let idle: Vec<String> = {
                    let books = self.shared.books();
                    let idle = dispensable(books.view.swarm(), fewer as usize);
                    idle.into_iter().map(|no| books.peer_id(no)).collect()
                };
                for id in idle {
                    // It may have left by itself.
                    if self.mesh.remove_peer(&id, DownReason::Dismissed).await.is_ok() {
                        self.info("a worker was let go", &json!({ "agentId": id }));
                        self.forget(&id).await;
                    }
                }
            }
        }
    }

    async fn hire(self: &Arc<Self>) -> Result<(), CoordinatorError> {
        let hired = self.hired.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let definition = self.pool[hired % self.pool.len()].clone();
        let id = self.spawn(self.free_id(), definition).await?;
        self.info("a worker was added", &json!({ "agentId": id }));
        Ok(())
    }
}
