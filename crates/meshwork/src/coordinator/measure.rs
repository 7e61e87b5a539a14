//! What a coordinator shows: peers, neighbours, metrics.

use super::books::has;
use super::words::{MeshMetrics, PeerAgent};
use super::{MeshCoordinator, Running};
use crate::view::RuntimeFacts;
use std::collections::BTreeSet;
use std::sync::PoisonError;

impl MeshCoordinator {
    /// The peers that are up and not paused, by id.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (mesh, _folder) = mesh(3, echo(&["code"])).await?;
    /// mesh.pause_agent("swarm-peer-2", None).await?;
    /// let peers = mesh.active_peers();
    /// let ids: Vec<&str> = peers.iter().map(|peer| peer.id.as_str()).collect();
    /// assert_eq!(ids, ["swarm-peer-1", "swarm-peer-3"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn active_peers(&self) -> Vec<PeerAgent> {
        let Ok(running) = self.running() else { return Vec::new() };
        let peers = running.shared.books().active();
        peers.into_iter().map(|peer| running.heard(peer)).collect()
    }

    /// A peer, whatever it does; `None` for an unknown one.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (mesh, _folder) = mesh(3, echo(&["code"])).await?;
    /// let peer = mesh.peer("swarm-peer-1").expect("it is there");
    /// assert_eq!((peer.load, peer.capabilities), (0, vec!["code".to_owned()]));
    /// // In a mesh everybody knows everybody.
    /// assert!(peer.neighbors.iter().eq(["swarm-peer-2", "swarm-peer-3"]));
    /// assert!(mesh.peer("nobody").is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn peer(&self, id: &str) -> Option<PeerAgent> {
        self.running().ok()?.peer(id)
    }

    /// Ids of the peers that are there and have all these capabilities, in order.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (mesh, _folder) = mesh(2, echo(&["code", "security"])).await?;
    /// let wanted = ["code", "security"].map(str::to_owned);
    /// assert_eq!(mesh.find_peers_by_capabilities(&wanted).await, ["swarm-peer-1", "swarm-peer-2"]);
    /// assert!(mesh.find_peers_by_capabilities(&["gpu".to_owned()]).await.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[expect(clippy::unused_async, reason = "the seed's interface")]
    pub async fn find_peers_by_capabilities(&self, capabilities: &[String]) -> Vec<String> {
        let Ok(running) = self.running() else { return Vec::new() };
        running.find(capabilities).into_iter().collect()
    }

    /// What was counted. All zero before `initialize` and after `cleanup`.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshTask;
    ///
    /// # let (mesh, _folder) = mesh(2, echo(&["code"])).await?;
    /// mesh.submit_task(MeshTask::new("parse")).await?;
    /// mesh.await_task("parse").await?;
    /// let metrics = mesh.mesh_metrics();
    /// assert_eq!((metrics.total_tasks, metrics.completed_tasks, metrics.active_peers), (1, 1, 2));
    /// mesh.cleanup().await?;
    /// assert_eq!(mesh.mesh_metrics().total_tasks, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn mesh_metrics(&self) -> MeshMetrics {
        self.running().map_or_else(|_| MeshMetrics::default(), |running| running.metrics())
    }
}

impl Running {
    fn peer(&self, id: &str) -> Option<PeerAgent> {
        let peer = {
            let books = self.shared.books();
            books.view.swarm().find_peer(id).and_then(|no| books.agent(no))?
        };
        Some(self.heard(peer))
    }

    /// The peer may have been heard of by discovery alone.
    fn heard(&self, peer: PeerAgent) -> PeerAgent {
        PeerAgent { last_seen: peer.last_seen.max(self.last_heartbeat(&peer.id)), ..peer }
    }

    fn find(&self, capabilities: &[String]) -> BTreeSet<String> {
        let books = self.shared.books();
        let swarm = books.view.swarm();
        let able =
            swarm.peers().filter(|(_, peer)| peer.up && capabilities.iter().all(|wanted| has(swarm, peer, wanted)));
        let mut found: BTreeSet<String> = able.map(|(_, peer)| peer.id.to_string()).collect();
        drop(books);
        // Peers of others, whom only discovery knows.
        let known = self.discovery.as_ref().map(|discovery| discovery.find_peers_by_capabilities(capabilities));
        found.extend(known.into_iter().flatten().filter(|id| !self.is_own(id)));
        found
    }

    /// Whether it is, or was, a peer of this coordinator: its log knows better than what is said of it.
    fn is_own(&self, id: &str) -> bool {
        self.shared.books().view.swarm().find_peer(id).is_some()
    }

    fn metrics(&self) -> MeshMetrics {
        let (report, outside) = {
            let books = self.shared.books();
            let outside: u64 = books.stays.values().map(|stay| stay.tokens.total()).sum();
            (books.view.metrics(&RuntimeFacts::default()), outside)
        };
        let bus = &self.deps.message_bus;
        let p95 = bus.latency_p95().or_else(|| self.traffic.p95());
        let mut metrics = MeshMetrics::counted(&report);
        metrics.total_tokens_used = metrics.total_tokens_used.saturating_add(outside);
        metrics.uptime_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        metrics.discovery_time_ms = *self.discovery_ms.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.messages_sent = self.traffic.sent();
        metrics.messages_received = self.traffic.handled();
        metrics.p95_peer_latency_ms = p95.map_or(0.0, |p95| p95.as_secs_f64() * 1_000.0);
        metrics.token_savings_percentage =
            self.deps.query_controller.mesh_token_savings(&self.config.swarm_id).percentage;
        metrics
    }
}
