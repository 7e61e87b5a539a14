//! Peers that come and go while their node runs.

use super::driver::{Command, Driver};
use super::{Mesh, MeshError, PeerSetup};
use meshwork_core::node::{Answer, Input};
use meshwork_core::{DownReason, Op, PauseReason, Position, Refusal};
use std::sync::Arc;
use tokio::sync::oneshot;

impl Mesh {
    /// One more peer on this node. Resolves when it may be given work.
    ///
    /// ```
    /// use meshwork::mesh::MeshError;
    /// use meshwork_core::Refusal;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// let agent = Arc::new(FnAgent::new(|_: Attempt| async { AttemptEnd::ok(Output::None) }));
    /// mesh.add_peer(PeerSetup { spec: PeerSpec::new("bob"), agent: agent.clone() }).await?;
    ///
    /// let again = mesh.add_peer(PeerSetup { spec: PeerSpec::new("bob"), agent }).await;
    /// assert!(matches!(again, Err(MeshError::Refused(Refusal::PeerElsewhere { .. }))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Refusal::PeerElsewhere`] within [`MeshError::Refused`] when a peer of that id is up, here or elsewhere;
    /// other refusals say what is wrong with what it announces. Nothing was changed.
    pub async fn add_peer(&self, setup: PeerSetup) -> Result<Position, MeshError> {
        let (answer, decided) = oneshot::channel();
        self.commands.send(Command::Host { setup, answer }).await.map_err(|_| self.stopped())?;
        match decided.await.map_err(|_| self.stopped())?? {
            Answer::Accepted { position, .. } => Ok(position),
            Answer::Refused(refusal) => Err(refusal.into()),
            Answer::TooLarge { found, most } => Err(MeshError::TooLarge { found, most }),
            Answer::NodeLost => Err(MeshError::NodeLost),
        }
    }

    /// A peer of this node leaves: what it ran is interrupted at no cost and goes to others.
    ///
    /// ```
    /// use meshwork_core::DownReason;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// mesh.remove_peer("ada", DownReason::Left).await?;
    /// let up = mesh.look(|swarm| swarm.peers().filter(|(_, peer)| peer.up).count()).await?;
    /// assert_eq!(up, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Refusal::NoSuchPeer`] or [`Refusal::PeerElsewhere`] within [`MeshError::Refused`]; nothing was changed.
    pub async fn remove_peer(&self, peer: &str, why: DownReason) -> Result<Position, MeshError> {
        self.ask(Op::PeerDown { peer: peer.to_owned(), why }).await.map(|(position, _)| position)
    }

    /// A peer gets no new work; see [`PauseReason`]. To pause a paused one is no error.
    ///
    /// ```
    /// use meshwork::mesh::MeshError;
    /// use meshwork_core::{PauseReason, Refusal};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// mesh.pause_peer("ada", PauseReason::User).await?;
    /// let why = mesh.look(|swarm| swarm.peers().next().and_then(|(_, peer)| peer.paused)).await?;
    /// assert_eq!(why, Some(PauseReason::User));
    ///
    /// let error = mesh.pause_peer("nobody", PauseReason::User).await.expect_err("no such peer");
    /// assert!(matches!(error, MeshError::Refused(Refusal::NoSuchPeer { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Refusal::NoSuchPeer`], and [`Refusal::NotIdle`] for an idle pause, within [`MeshError::Refused`].
    pub async fn pause_peer(&self, peer: &str, reason: PauseReason) -> Result<Position, MeshError> {
        self.ask(Op::Pause { peer: peer.to_owned(), reason }).await.map(|(position, _)| position)
    }

    /// A paused peer gets work again. To resume one that works is no error.
    ///
    /// ```
    /// use meshwork::mesh::RoundEnd;
    /// use meshwork_core::PauseReason;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    ///
    /// let (mesh, _ended) = start(folder.path()).await?; // a node with one peer, ada, who answers 42
    /// mesh.pause_peer("ada", PauseReason::User).await?;
    /// mesh.submit(vec![TaskSpec::new("build")]).await?;
    /// mesh.resume_peer("ada").await?;
    /// assert!(matches!(mesh.complete().await?, RoundEnd::Closed(round) if round.ok == 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Refusal::NoSuchPeer`] within [`MeshError::Refused`].
    pub async fn resume_peer(&self, peer: &str) -> Result<Position, MeshError> {
        self.ask(Op::Resume { peer: peer.to_owned() }).await.map(|(position, _)| position)
    }
}

impl Driver {
    /// The agent is there before the peer is announced: what it is given starts at once.
    pub(super) fn host(
        &mut self,
        setup: PeerSetup,
        answer: oneshot::Sender<Result<Answer, MeshError>>,
    ) -> Result<(), MeshError> {
        let PeerSetup { mut spec, agent } = setup;
        let swarm = self.node.swarm();
        let up = swarm.find_peer(&spec.id).and_then(|no| swarm.peer(no)).filter(|peer| peer.up);
        if let Some(up) = up {
            let node = swarm.node(up.node).map_or_else(String::new, |node| node.name.to_string());
            let taken = Refusal::PeerElsewhere { peer: spec.id, node };
            let _gone = answer.send(Err(taken.into()));
            return Ok(());
        }
        spec.uses_session = agent.uses_session();
        self.agents.insert(Arc::from(&*spec.id), agent);
        let ticket = self.ticket();
        self.tickets.insert(ticket, answer);
        self.feed(Input::Wish { op: Op::PeerUp(spec), ticket: Some(ticket) })
    }
}
