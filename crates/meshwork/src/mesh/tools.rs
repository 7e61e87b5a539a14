//! What an attempt may do in the mesh: the same verbs in process, over HTTP and over MCP.

use super::driver::Command;
use super::{Mesh, MeshError};
use crate::artifacts::Artifacts;
use crate::broker;
use meshwork_core::{Grant, Op, Outcome, Payload, Phase, TaskNo, TaskSpec, Tokens};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The mesh as one attempt may use it. Everything that it asks for is fenced by the attempt's grant: when
/// the attempt is given up on, the tools refuse.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agent = FnAgent::new(|attempt: Attempt| async move {
///     if attempt.spec().id == "build" {
///         let (tools, child) = (attempt.tools, TaskSpec::new("build/lint"));
///         if let Err(error) = tools.submit(vec![child]).await {
///             return AttemptEnd::failed(error.to_string());
///         }
///     }
///     AttemptEnd::ok(Output::None)
/// });
/// // With this agent the peer ada does the task `build`.
/// run(agent).await?; // complete when the child is closed too
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tools {
    pub(super) mesh: Mesh,
    pub(super) task: TaskNo,
    pub(super) grant: Grant,
    pub(super) peer: Arc<str>,
    /// Set for a message handler that works off a message of this attempt.
    pub(super) handler: Option<broker::Context>,
}

/// How a child ended.
///
/// ```
/// use meshwork_core::{Outcome, Payload};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let agent = FnAgent::new(|attempt: Attempt| async move {
///     if attempt.spec().id != "build" {
///         return AttemptEnd::ok(Output::Json("3".to_owned()));
///     }
///     let tools = &attempt.tools;
///     let ends = match tools.submit(vec![TaskSpec::new("count")]).await {
///         Ok(_) => tools.wait(&[]).await,
///         Err(error) => Err(error),
///     };
///     match &*ends.unwrap_or_default() {
///         [end] if end.outcome == Some(Outcome::Ok) && end.result == Some(Payload::Json("3".to_owned())) => {
///             AttemptEnd::ok(Output::None)
///         }
///         others => AttemptEnd::failed(format!("{others:?}")),
///     }
/// });
/// // With this agent the peer ada does the task `build`.
/// assert_eq!(run(agent).await?.error, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildEnd {
    /// Its id.
    pub id: String,
    /// How; `None`: it is still open.
    pub outcome: Option<Outcome>,
    /// What it returned.
    pub result: Option<Payload>,
    /// Why it did not end ok.
    pub error: Option<String>,
}

/// Why a tool refused. Nothing was changed.
///
/// ```
/// use meshwork::mesh::ToolsError;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let agent = FnAgent::new(|attempt: Attempt| async move {
///     match attempt.tools.wait(&["somebody else's".to_owned()]).await {
///         Err(ToolsError::NotAChild { id }) => AttemptEnd::failed(format!("I have no child {id:?}")),
///         _ => AttemptEnd::ok(Output::None),
///     }
/// });
/// // With this agent the peer ada does the task `build`.
/// assert_eq!(run(agent).await?.error.as_deref(), Some("I have no child \"somebody else's\""));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
pub enum ToolsError {
    /// The mesh refused.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// A message handler would wait for tasks that may wait for it.
    #[error("a message handler cannot wait for tasks: they could wait for it")]
    WouldDeadlock,
    /// An id that names no child of this task.
    #[error("task {id:?} is not a child of this task")]
    NotAChild {
        /// What was asked for.
        id: String,
    },
}

impl Tools {
    /// The attempt's task.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     assert_eq!(attempt.tools.task(), attempt.task);
    ///     AttemptEnd::ok(Output::None)
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.error, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn task(&self) -> TaskNo {
        self.task
    }

    /// The attempt's fencing token.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     // Where in the log it was granted: a later attempt of the task has a later one.
    ///     assert_eq!(attempt.tools.grant(), attempt.grant);
    ///     AttemptEnd::ok(Output::None)
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.error, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn grant(&self) -> Grant {
        self.grant
    }

    /// The peer that runs the attempt.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     AttemptEnd::ok(Output::Bytes(attempt.tools.peer().to_owned().into()))
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.result, Some(meshwork_core::Payload::Json("\"ada\"".to_owned())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Submits children of this task; the task is not complete before they are. In a tree they are handed out from this
    /// peer on: what has room below it stays there.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     if attempt.spec().id != "build" {
    ///         return AttemptEnd::ok(Output::None);
    ///     }
    ///     let files = ["a.rs", "b.rs"].map(|file| TaskSpec::new(format!("build/{file}")));
    ///     match attempt.tools.submit(files.to_vec()).await {
    ///         Ok(children) => AttemptEnd::ok(Output::Json(children.len().to_string())),
    ///         Err(error) => AttemptEnd::failed(error.to_string()),
    ///     }
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.result, Some(meshwork_core::Payload::Json("2".to_owned())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the mesh refuses them, as a whole.
    pub async fn submit(&self, mut tasks: Vec<TaskSpec>) -> Result<Vec<TaskNo>, ToolsError> {
        self.mesh.hand_out(&mut tasks, Some(&self.peer)).await?;
        Ok(self.mesh.submit_as(tasks, Some((self.task, self.grant))).await?)
    }

    /// Waits until these children are closed, all children when none is named. The slot is given up for
    /// the time, so that children cannot starve behind their parent.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // One peer with one slot: it gives the slot up while it waits, so its children run in it.
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     if attempt.spec().id != "build" {
    ///         return AttemptEnd::ok(Output::None);
    ///     }
    ///     let children = vec![TaskSpec::new("one"), TaskSpec::new("two")];
    ///     if let Err(error) = attempt.tools.submit(children).await {
    ///         return AttemptEnd::failed(error.to_string());
    ///     }
    ///     match attempt.tools.wait(&["two".to_owned()]).await {
    ///         Ok(ends) => AttemptEnd::ok(Output::Bytes(ends[0].id.clone().into())),
    ///         Err(error) => AttemptEnd::failed(error.to_string()),
    ///     }
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.result, Some(meshwork_core::Payload::Json("\"two\"".to_owned())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ToolsError::NotAChild`]; [`ToolsError::WouldDeadlock`] in a message handler.
    pub async fn wait(&self, ids: &[String]) -> Result<Vec<ChildEnd>, ToolsError> {
        if self.handler.is_some() {
            return Err(ToolsError::WouldDeadlock);
        }
        let children = self.children(ids).await?;
        if !children.is_empty() {
            let (answer, done) = oneshot::channel();
            let (task, grant) = (self.task, self.grant);
            let op = Op::Wait { task, grant, children: children.clone() };
            let command = Command::WaitForChildren { task, grant, op, answer };
            self.mesh.commands.send(command).await.map_err(|_| self.mesh.stopped())?;
            done.await.map_err(|_| self.mesh.stopped())??;
        }
        let mut ends = Vec::with_capacity(children.len());
        for child in children {
            ends.push(self.child_end(child).await?);
        }
        Ok(ends)
    }

    async fn children(&self, ids: &[String]) -> Result<Vec<TaskNo>, ToolsError> {
        let (parent, ids) = (self.task, ids.to_vec());
        let found = self.mesh.look(move |swarm| {
            if ids.is_empty() {
                let mut all: Vec<TaskNo> = swarm.children(parent).collect();
                all.reverse();
                return Ok(all);
            }
            let child = |id: &String| {
                let no = swarm.find_task(id).filter(|no| swarm.task(*no).is_some_and(|t| t.parent == Some(parent)));
                no.ok_or_else(|| ToolsError::NotAChild { id: id.clone() })
            };
            ids.iter().map(child).collect()
        });
        found.await?
    }

    async fn child_end(&self, child: TaskNo) -> Result<ChildEnd, ToolsError> {
        let looked = self.mesh.look(move |swarm| {
            let task = swarm.task(child)?;
            let outcome = match task.phase {
                Phase::Closed { outcome } => Some(outcome),
                _ => None,
            };
            let why = swarm.explain(child).map(|explanation| explanation.reason.to_string());
            Some((task.id.to_string(), outcome, why))
        });
        let Some((id, outcome, why)) = looked.await? else {
            return Err(ToolsError::NotAChild { id: format!("{child:?}") });
        };
        let returned = self.mesh.result(child).await?;
        let result = returned.as_ref().and_then(|returned| returned.result.clone());
        let own = returned.and_then(|returned| returned.error);
        let error = if outcome == Some(Outcome::Ok) { None } else { own.or(why) };
        Ok(ChildEnd { id, outcome, result, error })
    }

    /// Says how far the attempt is, for people.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     match attempt.tools.progress("2 of 3 files read").await {
    ///         Ok(()) => AttemptEnd::ok(Output::None),
    ///         Err(error) => AttemptEnd::failed(error.to_string()), // another attempt has the task now
    ///     }
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.error, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the grant is stale.
    pub async fn progress(&self, text: impl Into<String>) -> Result<(), ToolsError> {
        let (task, grant, text) = (self.task, self.grant, text.into());
        self.mesh.decide(Op::Progress { task, grant, text }).await?;
        Ok(())
    }

    /// Says how many tokens the attempt has spent so far, in total.
    ///
    /// ```
    /// use meshwork_core::Tokens;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     // In total, each time: the second one does not add up with the first.
    ///     for input in [400, 900] {
    ///         if let Err(error) = attempt.tools.usage(Tokens { input, output: 100 }).await {
    ///             return AttemptEnd::failed(error.to_string());
    ///         }
    ///     }
    ///     AttemptEnd { usage: Tokens { input: 900, output: 100 }, ..AttemptEnd::ok(Output::None) }
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.usage.total(), 1_000);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the grant is stale.
    pub async fn usage(&self, tokens: Tokens) -> Result<(), ToolsError> {
        let (task, grant) = (self.task, self.grant);
        self.mesh.decide(Op::Usage { task, grant, tokens }).await?;
        Ok(())
    }

    /// Sends messages in the name of this attempt: the task is not complete before they are acknowledged.
    ///
    /// ```
    /// use bytes::Bytes;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     let messages = attempt.tools.messages();
    ///     assert_eq!(&**messages.sender(), "ada");
    ///     match messages.send("nobody", "hint", Bytes::from("look at line 3")).await {
    ///         Ok(_) => AttemptEnd::ok(Output::None),
    ///         Err(error) => AttemptEnd::failed(error.to_string()),
    ///     }
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert!(run(agent).await?.error.is_some(), "there is no such peer");
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(&self) -> broker::Context {
        let key = broker::AttemptKey { task: u64::from(self.task.0), grant: self.grant.as_u64() };
        self.handler.clone().unwrap_or_else(|| self.mesh.broker.attempt_started(&*self.peer, key))
    }

    /// The same attempt's tools for a handler that works off one of its messages.
    ///
    /// ```
    /// use meshwork::mesh::ToolsError;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     // As a message handler of this attempt would have them: it may do all but wait.
    ///     let tools = attempt.tools.in_handler(attempt.tools.messages());
    ///     match tools.wait(&[]).await {
    ///         Err(ToolsError::WouldDeadlock) => AttemptEnd::ok(Output::None),
    ///         other => AttemptEnd::failed(format!("{other:?}")),
    ///     }
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.error, None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn in_handler(&self, context: broker::Context) -> Self {
        Self { handler: Some(context), ..self.clone() }
    }

    /// The swarm's artifacts.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     match attempt.tools.artifacts().store("build/report.txt", "all is well".into()).await {
    ///         Ok(_) => AttemptEnd::ok(Output::None),
    ///         Err(error) => AttemptEnd::failed(error.to_string()),
    ///     }
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.error, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn artifacts(&self) -> &Arc<dyn Artifacts> {
        self.mesh.artifacts()
    }

    /// The node that runs this attempt.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = FnAgent::new(|attempt: Attempt| async move {
    ///     AttemptEnd::ok(Output::Bytes(attempt.tools.mesh().swarm_id().to_owned().into()))
    /// });
    /// // With this agent the peer ada does the task `build`.
    /// assert_eq!(run(agent).await?.result, Some(meshwork_core::Payload::Json("\"swarm\"".to_owned())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }
}
