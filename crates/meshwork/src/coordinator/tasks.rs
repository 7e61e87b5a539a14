//! Tasks: handing them in, and waiting for them.

use super::books::has;
use super::error::CoordinatorError;
use super::words::MeshTask;
use super::{MeshCoordinator, Running};
use crate::mesh::{Attempt, MeshError};
use crate::view::{NoEntries, TaskState};
use meshwork_core::{Op, Payload, Refusal, Swarm, TaskNo, TaskSpec, content_hash};
use serde_json::Value;

impl MeshCoordinator {
    /// Gives a task to the peer that can do it and has the least to do. Resolves with that peer's id once this is
    /// durable: the task may wait there, and may move until it runs. A task that depends on others resolves when these
    /// have completed; one that no peer has room for, when one has.
    ///
    /// The same task again, unchanged, resolves with the same peer.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshTask;
    ///
    /// # let (mesh, _folder) = mesh(1, echo(&["code"])).await?;
    /// let task = MeshTask { required_capabilities: vec!["code".to_owned()], ..MeshTask::new("parse") };
    /// assert_eq!(mesh.assign_task_to_peer(task).await?, "swarm-peer-1");
    ///
    /// let task = MeshTask { required_capabilities: vec!["gpu".to_owned()], ..MeshTask::new("render") };
    /// let error = mesh.assign_task_to_peer(task).await.unwrap_err();
    /// assert_eq!(error.to_string(), r#"no peer can take task "render": nobody has "gpu"; nothing changed"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::InvalidTask`], [`CoordinatorError::NoCapablePeer`], [`CoordinatorError::IdTaken`], and
    /// refusals of the log: nothing changed. [`CoordinatorError::DependencyFailed`], [`CoordinatorError::Cancelled`]
    /// and [`CoordinatorError::Closing`]: it was handed in, and never assigned.
    pub async fn assign_task_to_peer(&self, task: MeshTask) -> Result<String, CoordinatorError> {
        let running = self.running()?;
        let no = running.hand_in(task).await?;
        let assigned = running.shared.books().await_assignment(no);
        assigned.await.unwrap_or(Err(CoordinatorError::Closing))
    }

    /// Hands a task in, and resolves when that is durable. Not of the seed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshTask;
    ///
    /// # let (mesh, _folder) = mesh(1, echo(&["code"])).await?;
    /// // `build` is durable at once, and is assigned when `parse` has completed.
    /// mesh.submit_task(MeshTask::new("parse")).await?;
    /// mesh.submit_task(MeshTask { dependencies: vec!["parse".to_owned()], ..MeshTask::new("build") }).await?;
    /// assert_eq!(mesh.mesh_metrics().total_tasks, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`MeshCoordinator::assign_task_to_peer`], where nothing changed.
    pub async fn submit_task(&self, task: MeshTask) -> Result<(), CoordinatorError> {
        self.running()?.hand_in(task).await.map(|_| ())
    }

    /// Resolves with the task when it is closed, however it ended. Not of the seed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshTask;
    /// use meshwork::view::TaskState;
    /// use serde_json::json;
    ///
    /// # let (mesh, _folder) = mesh(1, echo(&["code"])).await?;
    /// // Its peer answers with the input.
    /// mesh.submit_task(MeshTask { input: Some(json!({ "file": "a.rs" })), ..MeshTask::new("parse") }).await?;
    /// let task = mesh.await_task("parse").await?;
    /// assert_eq!((task.state, task.result), (TaskState::Completed, Some(json!({ "file": "a.rs" }))));
    /// assert_eq!(mesh.await_task("unheard-of").await.unwrap_err().code(), "UnknownTask");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::UnknownTask`]; [`CoordinatorError::Closing`] when it will not be seen to close.
    pub async fn await_task(&self, id: &str) -> Result<MeshTask, CoordinatorError> {
        let running = self.running()?;
        let closed = {
            let mut books = running.shared.books();
            let no = books.view.swarm().find_task(id);
            let no = no.ok_or_else(|| CoordinatorError::UnknownTask { task: id.to_owned() })?;
            books.await_close(no)
        };
        closed.await.map_err(|_| CoordinatorError::Closing)?;
        self.task(id).await?.ok_or_else(|| CoordinatorError::UnknownTask { task: id.to_owned() })
    }

    /// A task as it is now, in its latest generation; `None` for an unknown one. Not of the seed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshTask;
    ///
    /// # let (mesh, _folder) = mesh(1, endless(&["code"])).await?;
    /// mesh.assign_task_to_peer(MeshTask::new("parse")).await?;
    /// let task = mesh.task("parse").await?.expect("it was handed in");
    /// assert_eq!((task.assigned_peer.as_deref(), task.completed_at), (Some("swarm-peer-1"), None));
    /// assert_eq!(mesh.task("unheard-of").await?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When its result can't be read.
    pub async fn task(&self, id: &str) -> Result<Option<MeshTask>, CoordinatorError> {
        let running = self.running()?;
        let found = {
            let books = running.shared.books();
            books.view.swarm().find_task(id).and_then(|no| Some((no, books.view.task(no, &NoEntries)?)))
        };
        let Some((no, report)) = found else { return Ok(None) };
        let had_result = report.result.is_some();
        let mut task = MeshTask::shown(report);
        if had_result {
            task.result = running.result(no).await?;
        }
        Ok(Some(task))
    }

    /// The task of an attempt as its agent sees it: running, with its input and without a result. Not of the seed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::{MeshCoordinator, MeshTask};
    /// use meshwork::mesh::{AttemptEnd, FnAgent, Output};
    /// use std::sync::OnceLock;
    ///
    /// static MESH: OnceLock<MeshCoordinator> = OnceLock::new();
    /// let function = FnAgent::new(|attempt| async move {
    ///     let mesh = MESH.get().expect("no task comes before it is set");
    ///     match mesh.task_of(&attempt).await {
    ///         Ok(task) => AttemptEnd::ok(Output::Json(format!("{:?}", task.description))),
    ///         Err(error) => AttemptEnd::failed(error.to_string()),
    ///     }
    /// });
    /// # let definition = meshwork::coordinator::AgentDefinition { agent: std::sync::Arc::new(function), ..echo(&[]) };
    /// # let (mesh, _folder) = mesh(1, definition).await?;
    /// # MESH.set(mesh).map_err(|_| "it was set")?;
    /// # let mesh = MESH.get().ok_or("it was not set")?;
    /// mesh.submit_task(MeshTask { description: "the parser".to_owned(), ..MeshTask::new("review") }).await?;
    /// assert_eq!(mesh.await_task("review").await?.result, Some("the parser".into()));
    /// # mesh.cleanup().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::NotInitialized`], [`CoordinatorError::Closing`], or why its input can't be read.
    pub async fn task_of(&self, attempt: &Attempt) -> Result<MeshTask, CoordinatorError> {
        let running = self.running()?;
        let shared = &running.shared;
        // The node starts an attempt before its entry is read here.
        let here = |_: &u64| {
            let books = shared.books();
            books.view.swarm().task(attempt.task).is_some_and(|task| task.attempt >= attempt.number)
        };
        let mut reached = shared.reached();
        let _here = reached.wait_for(|seq| *seq == u64::MAX || here(seq)).await.map(drop);
        let report = shared.books().view.task(attempt.task, &NoEntries).ok_or(CoordinatorError::Closing)?;
        let input = attempt.input().await?;
        let spec = attempt.spec();
        Ok(MeshTask {
            state: TaskState::Running,
            assigned_peer: Some(attempt.peer_id.to_string()),
            result: None,
            error: None,
            completed_at: None,
            input: input.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))),
            run: spec.run.clone(),
            retries: spec.retries,
            timeout_ms: spec.timeout_ms,
            ..MeshTask::shown(report)
        })
    }

    /// Whether nothing runs and nothing can start: what is open waits for messages, for a peer, or for a person. So it is
    /// before `initialize` and after `cleanup`. Not of the seed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshTask;
    ///
    /// # let (mesh, _folder) = mesh(1, endless(&["code"])).await?;
    /// assert!(mesh.is_at_rest());
    /// mesh.submit_task(MeshTask::new("endless")).await?;
    /// assert!(!mesh.is_at_rest());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.running().map_or(true, |running| running.is_at_rest())
    }

    /// A task and its open subtasks are to end. Not of the seed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/example.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::coordinator::MeshTask;
    /// use meshwork::view::TaskState;
    ///
    /// # let (mesh, _folder) = mesh(1, endless(&["code"])).await?;
    /// mesh.submit_task(MeshTask::new("endless")).await?;
    /// mesh.cancel_task("endless").await?;
    /// assert_eq!(mesh.await_task("endless").await?.state, TaskState::Failed);
    /// // It is closed: there is nothing left to cancel.
    /// assert_eq!(mesh.cancel_task("endless").await.unwrap_err().code(), "Refused");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::UnknownTask`]; a refusal when it is closed.
    pub async fn cancel_task(&self, id: &str) -> Result<(), CoordinatorError> {
        let running = self.running()?;
        let no = running.shared.books().view.swarm().find_task(id);
        let task = no.ok_or_else(|| CoordinatorError::UnknownTask { task: id.to_owned() })?;
        let at = running.mesh.decide(Op::Cancel { task }).await?;
        running.shared.hold(at.seq()).await;
        Ok(())
    }
}

/// The id of a task on its way to the log, until it is there.
struct Arriving<'a>(&'a Running, String);

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        let mut books = self.0.shared.books();
        if let Some((_, _, count)) = books.arriving.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                books.arriving.remove(&self.1);
            }
        }
    }
}

impl Running {
    async fn hand_in(&self, task: MeshTask) -> Result<TaskNo, CoordinatorError> {
        let mut specs = vec![task.spec()?];
        self.mesh.prepare(&mut specs).await?;
        let arriving = self.judge(&specs[0])?;
        let numbers = self.mesh.submit(specs).await.map_err(|error| taken(error, &arriving.1))?;
        // What was just decided is to be seen by whoever looks next.
        let no = *numbers.first().expect("one task was submitted");
        let there = |reached: &u64| *reached == u64::MAX || self.shared.books().view.swarm().task(no).is_some();
        let mut reached = self.shared.reached();
        let _there = reached.wait_for(there).await.map(drop);
        Ok(no)
    }

    /// Whether anybody can take it, and whether its id means the same as before.
    fn judge(&self, spec: &TaskSpec) -> Result<Arriving<'_>, CoordinatorError> {
        let mut books = self.shared.books();
        let content = (content_hash(spec), spec.priority);
        let swarm = books.view.swarm();
        let known = swarm.find_task(&spec.id).and_then(|no| swarm.task(no));
        let arriving = books.arriving.get(&spec.id).map(|(hash, priority, _)| (*hash, *priority));
        if known.is_some_and(|task| (task.content, task.priority) != content)
            || arriving.is_some_and(|other| other != content)
        {
            return Err(CoordinatorError::IdTaken { task: spec.id.clone() });
        }
        if known.is_none() {
            capable(swarm, spec)?;
        }
        let entry = books.arriving.entry(spec.id.clone()).or_insert((content.0, content.1, 0));
        entry.2 += 1;
        Ok(Arriving(self, spec.id.clone()))
    }

    /// What came out of a task, read back from where it lies.
    async fn result(&self, no: TaskNo) -> Result<Option<Value>, CoordinatorError> {
        // As the books have it: the node may not have read so far yet.
        let at = self.shared.books().view.swarm().task(no).map(|task| task.returned_at);
        let returned = match at {
            Some(at) => self.mesh.returned(at).await?,
            None => None,
        };
        let Some(returned) = returned else { return Ok(None) };
        let text = match returned.result {
            None => return Ok(None),
            Some(Payload::Json(text)) => text,
            Some(Payload::Artifact { key, .. }) => {
                let bytes = self.deps.artifact_storage.retrieve(&key).await?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        Ok(Some(serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Whether nothing runs and no timer is set: what is open waits for messages, for a peer, or for a person.
    pub(super) fn is_at_rest(&self) -> bool {
        self.shared.books().view.swarm().is_at_rest()
    }
}

/// A peer that is up and has all capabilities, or which of them nobody has.
fn capable(swarm: &Swarm, spec: &TaskSpec) -> Result<(), CoordinatorError> {
    let mut nobody: Vec<&String> = spec.requires.iter().collect();
    for (_, peer) in swarm.peers().filter(|(_, peer)| peer.up) {
        let has = |wanted: &String| has(swarm, peer, wanted);
        if spec.requires.iter().all(has) {
            return Ok(());
        }
        nobody.retain(|wanted| !has(wanted));
    }
    let missing = nobody.into_iter().cloned().collect();
    Err(CoordinatorError::NoCapablePeer { task: spec.id.clone(), missing })
}

fn taken(error: MeshError, id: &str) -> CoordinatorError {
    match error {
        MeshError::Refused(Refusal::IdTaken { .. }) => CoordinatorError::IdTaken { task: id.to_owned() },
        MeshError::Stopped => CoordinatorError::Closing,
        other => other.into(),
    }
}
