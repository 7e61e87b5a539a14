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
    pub fn task(&self) -> TaskNo {
        self.task
    }

    /// The attempt's fencing token.
    pub fn grant(&self) -> Grant {
        self.grant
    }

    /// The peer that runs the attempt.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Submits children of this task; the task is not complete before they are. In a tree they are handed out from this
    /// peer on: what has room below it stays there.
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
    /// # Errors
    /// When the grant is stale.
    pub async fn progress(&self, text: impl Into<String>) -> Result<(), ToolsError> {
        let (task, grant, text) = (self.task, self.grant, text.into());
        self.mesh.decide(Op::Progress { task, grant, text }).await?;
        Ok(())
    }

    /// Says how many tokens the attempt has spent so far, in total.
    ///
    /// # Errors
    /// When the grant is stale.
    pub async fn usage(&self, tokens: Tokens) -> Result<(), ToolsError> {
        let (task, grant) = (self.task, self.grant);
        self.mesh.decide(Op::Usage { task, grant, tokens }).await?;
        Ok(())
    }

    /// Sends messages in the name of this attempt: the task is not complete before they are acknowledged.
    pub fn messages(&self) -> broker::Context {
        let key = broker::AttemptKey { task: u64::from(self.task.0), grant: self.grant.as_u64() };
        self.handler.clone().unwrap_or_else(|| self.mesh.broker.attempt_started(&*self.peer, key))
    }

    /// The same attempt's tools for a handler that works off one of its messages.
    #[must_use]
    pub fn in_handler(&self, context: broker::Context) -> Self {
        Self { handler: Some(context), ..self.clone() }
    }

    /// The swarm's artifacts.
    pub fn artifacts(&self) -> &Arc<dyn Artifacts> {
        self.mesh.artifacts()
    }

    /// The node that runs this attempt.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }
}
