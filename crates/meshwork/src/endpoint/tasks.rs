//! Children: submitting them, and waiting for them.

use super::failure::Failure;
use super::session::Session;
use super::task_request::{self, TaskRequest};
use crate::mesh::{ChildEnd, ToolsError};
use meshwork_core::{ID_BYTES_MAX, Outcome, Payload, Swarm, TaskNo, TaskSpec};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::sync::Arc;

#[derive(Serialize)]
pub(super) struct Submitted {
    tasks: Vec<SubmittedTask>,
}

#[derive(Serialize)]
struct SubmittedTask {
    id: String,
}

/// Submits children of the attempt's task.
pub(super) async fn submit(session: &Arc<Session>, body: &[u8]) -> Result<Submitted, Failure> {
    let tasks = task_request::parse(body)?;
    // A task of its own: when the asker goes away meanwhile, the ids are still counted.
    let session = Arc::clone(session);
    tokio::spawn(async move { submit_all(&session, tasks).await }).await.expect("submitting does not panic")
}

async fn submit_all(session: &Session, tasks: Vec<TaskRequest>) -> Result<Submitted, Failure> {
    // The ids made so far count when their tasks are in the log: asked again after a failure, the same tasks get the
    // same ids. Whoever needs none waits for nobody.
    let makes_ids = tasks.iter().any(|task| task.id.is_none());
    let mut numbered = if makes_ids { Some(session.numbered.lock().await) } else { None };
    let (specs, last) = with_ids(session, tasks, numbered.as_deref().copied().unwrap_or_default()).await?;
    let ids: Vec<String> = specs.iter().map(|spec| spec.id.clone()).collect();
    if let Err(error) = session.tools.submit(specs).await {
        let failure = Failure::from(error);
        return Err(if is_child(session, ids[0].clone()).await { failure.changed() } else { failure });
    }
    if let Some(numbered) = &mut numbered {
        **numbered = last;
    }
    Ok(Submitted { tasks: ids.into_iter().map(|id| SubmittedTask { id }).collect() })
}

/// Gives each task without an id the next free one of the form `parent/1`, `parent/2` … They are numbered for each
/// attempt anew, so that a later attempt that asks for the same work adopts what an earlier one began.
async fn with_ids(session: &Session, tasks: Vec<TaskRequest>, last: u32) -> Result<(Vec<TaskSpec>, u32), Failure> {
    let missing = tasks.iter().filter(|task| task.id.is_none()).count();
    let given: HashSet<String> = tasks.iter().filter_map(|task| task.id.clone()).collect();
    let (ids, last) = if missing == 0 {
        (Vec::new(), last)
    } else {
        let parent = session.tools.task();
        session.tools.mesh().look(move |swarm| free_ids(swarm, parent, &given, missing, last)).await?
    };
    Ok((task_request::into_specs(tasks, ids)?, last))
}

fn free_ids(swarm: &Swarm, parent: TaskNo, given: &HashSet<String>, count: usize, last: u32) -> (Vec<String>, u32) {
    let Some(task) = swarm.task(parent) else { return (Vec::new(), last) };
    let prefix = id_prefix(&task.id);
    let (mut ids, mut last) = (Vec::with_capacity(count), last);
    while ids.len() < count {
        last += 1;
        let id = format!("{prefix}/{last}");
        // Taken by a task of this round that is not a child of this one: it stays so for later attempts.
        let taken = swarm
            .find_task(&id)
            .and_then(|no| swarm.task(no))
            .is_some_and(|other| other.round == task.round && other.parent != Some(parent));
        if !taken && !given.contains(&id) {
            ids.push(id);
        }
    }
    (ids, last)
}

/// The parent's id where that leaves room for a number, else its beginning and its hash.
fn id_prefix(parent: &str) -> String {
    const NUMBER: usize = "/4294967295".len();
    const HASH: usize = 16;
    let room = ID_BYTES_MAX - NUMBER;
    if parent.len() <= room {
        return parent.to_owned();
    }
    let hash = blake3::hash(parent.as_bytes()).to_hex();
    format!("{}~{}", &parent[..parent.floor_char_boundary(room - HASH - 1)], &hash[..HASH])
}

/// Whether a task of this id is there that this attempt submitted or adopted.
async fn is_child(session: &Session, id: String) -> bool {
    let (parent, grant) = (session.tools.task(), session.tools.grant());
    let look = session.tools.mesh().look(move |swarm| {
        let task = swarm.find_task(&id).and_then(|no| swarm.task(no));
        task.is_some_and(|task| task.parent == Some(parent) && task.adopted_by == grant)
    });
    // A node that has stopped cannot say: then it may be there.
    look.await.unwrap_or(true)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    #[serde(default)]
    ids: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Waited {
    tasks: Vec<WaitedTask>,
}

#[derive(Serialize)]
struct WaitedTask {
    id: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<ChildEnd> for WaitedTask {
    fn from(end: ChildEnd) -> Self {
        let state = match end.outcome {
            Some(Outcome::Ok) => "completed",
            Some(_) => "failed",
            None => "running",
        };
        let result = end.result.and_then(|payload| match payload {
            Payload::Json(text) => RawValue::from_string(text).ok(),
            Payload::Artifact { key, bytes } => {
                serde_json::value::to_raw_value(&serde_json::json!({ "artifact": key, "bytes": bytes })).ok()
            }
        });
        Self { id: end.id, state, outcome: end.outcome.map(Outcome::word), result, error: end.error }
    }
}

/// Answers when the tasks are closed. Meanwhile the attempt has given up its slot.
pub(super) async fn wait(session: &Session, wait: Wait) -> Result<Waited, Failure> {
    // A task of its own: when the asker goes away while the log has the wait, the wait is seen to its end, and the
    // next one takes its turn after it.
    let (tools, turn) = (session.tools.clone(), Arc::clone(&session.waiting));
    let waiting = tokio::spawn(async move {
        let _turn = turn.lock_owned().await;
        tools.wait(&wait.ids).await
    });
    let ended: Result<Vec<ChildEnd>, ToolsError> = tokio::select! {
        ended = waiting => ended.expect("waiting does not panic and nobody aborts it"),
        () = session.stopping.cancelled() => return Err(Failure::stopping()),
    };
    Ok(Waited { tasks: ended?.into_iter().map(WaitedTask::from).collect() })
}
