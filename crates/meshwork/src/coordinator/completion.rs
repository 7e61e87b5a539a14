//! Completion: the log's round is closed, and no message of a peer is on its way.

use super::error::CoordinatorError;
use super::{MeshCoordinator, Running};
use crate::mesh::RoundEnd;
use std::time::Duration;

impl MeshCoordinator {
    /// Waits until everything that was submitted is completed and no message between peers is open: true then. False
    /// once nothing went on for `completion_timeout`: everything has returned and messages stay open, or nothing runs
    /// and nothing can start ([`crate::view`]'s `explain` says why). While work is running it waits. A false changes
    /// nothing, and a later call may be true.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshTask;
    ///
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// for id in ["parse", "check", "build"] {
    ///     mesh.submit_task(MeshTask::new(id)).await?;
    /// }
    /// assert!(mesh.wait_for_mesh_completion().await?);
    /// assert_eq!(mesh.mesh_metrics().completed_tasks, 3);
    /// // Nothing was submitted since: that is complete, too.
    /// assert!(mesh.wait_for_mesh_completion().await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::NotInitialized`], [`CoordinatorError::Closing`], or why the log can't be used.
    pub async fn wait_for_mesh_completion(&self) -> Result<bool, CoordinatorError> {
        let running = self.running()?;
        let timeout = running.config.completion_timeout;
        loop {
            if !running.round_closes(timeout).await? {
                return Ok(false);
            }
            if !running.detector.detect_completion(&running.config.swarm_id, Some(timeout)).await? {
                return Ok(false);
            }
            // The handler of a message may have submitted a task after the round was closed.
            if running.mesh.look(|swarm| swarm.round().is_none()).await? {
                let seq = running.mesh.look(|swarm| swarm.last().seq).await?;
                running.shared.hold(seq).await;
                return Ok(true);
            }
        }
    }

    /// Moves tasks that wait from peers that have much to do to others that can do them. Running tasks stay.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshTask;
    ///
    /// # let (mesh, _folder) = mesh(2, endless(&["code"])).await?;
    /// let peer = mesh.assign_task_to_peer(MeshTask::new("runs")).await?;
    /// mesh.rebalance_mesh().await?;
    /// // It runs, so it stays where it is.
    /// assert_eq!(mesh.task("runs").await?.and_then(|task| task.assigned_peer), Some(peer));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the log can't be used.
    pub async fn rebalance_mesh(&self) -> Result<(), CoordinatorError> {
        let running = self.running()?;
        let at = running.mesh.decide(meshwork_core::Op::Rebalance).await?;
        running.shared.hold(at.seq()).await;
        Ok(())
    }
}

impl Running {
    /// Whether the open round closes before nothing has gone on for `timeout`.
    async fn round_closes(&self, timeout: Duration) -> Result<bool, CoordinatorError> {
        loop {
            let end = tokio::select! {
                end = self.mesh.complete() => end?,
                () = self.rests_for(timeout) => return Ok(false),
            };
            match end {
                RoundEnd::Closed(_) | RoundEnd::Empty(_) => return Ok(true),
                // A peer that can go on with it may come in time.
                RoundEnd::Stalled => {
                    tokio::select! {
                        () = self.moves() => {}
                        () = self.rests_for(timeout) => return Ok(false),
                    }
                }
            }
        }
    }

    /// Resolves when nothing has run, and no timer was set, for so long without a break.
    async fn rests_for(&self, timeout: Duration) {
        let mut reached = self.shared.reached();
        loop {
            let at_rest = |_: &u64| self.is_at_rest();
            if reached.wait_for(at_rest).await.is_err() {
                return std::future::pending().await;
            }
            let moves = reached.wait_for(|_| !self.is_at_rest());
            if tokio::time::timeout(timeout, moves).await.is_err() {
                return;
            }
        }
    }

    /// Resolves when something runs again, or when all is over.
    async fn moves(&self) {
        let mut reached = self.shared.reached();
        let seen = *reached.borrow_and_update();
        let _over = reached.wait_for(|now| *now != seen || !self.is_at_rest()).await;
    }
}
