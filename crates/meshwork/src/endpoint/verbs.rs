//! The verbs, by name. Those of a subject of their own have a file of their own.

use super::failure::Failure;
use super::session::Session;
use super::{artifacts, messages, request, tasks};
use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use meshwork_core::{Refusal, Tokens};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of a request: a message of 256 KiB and what is around it.
const REQUEST_BYTES: usize = (256 << 10) + (4 << 10);

/// All verbs, sorted.
pub(super) const KNOWN: &[&str] = &[
    "broadcast",
    "find_peers",
    "get_artifact",
    "list_artifacts",
    "put_artifact",
    "read_messages",
    "report_progress",
    "report_usage",
    "send_message",
    "submit_task",
    "swarm_status",
    "wait_for_tasks",
];

/// Does what is asked for.
pub(super) async fn call(session: &Arc<Session>, verb: &str, parts: &Parts, body: Body) -> Result<Response, Failure> {
    if verb == "put_artifact" {
        return artifacts::put(session, parts, body).await;
    }
    if let Some(query) = parts.uri.query() {
        let message = format!("{verb} takes no query, found {query:?}; nothing was changed");
        return Err(Failure::bad_request("BadRequest", message));
    }
    let most = if verb == "submit_task" { super::TASKS_BYTES } else { REQUEST_BYTES };
    let body = request::read(&parts.headers, body, most).await?;
    match verb {
        "submit_task" => tasks::submit(session, &body).await.map(done),
        "wait_for_tasks" => tasks::wait(session, request::json(&body)?).await.map(done),
        "find_peers" => find_peers(session, request::json(&body)?).await.map(done),
        "send_message" => messages::send(session, request::json(&body)?).await.map(done),
        "broadcast" => messages::broadcast(session, request::json(&body)?).await.map(done),
        "read_messages" => messages::read(session, request::json(&body)?).await.map(done),
        "get_artifact" => artifacts::get(session, parts, request::json(&body)?).await,
        "list_artifacts" => artifacts::list(session, request::json(&body)?).await.map(done),
        "report_progress" => report_progress(session, request::json(&body)?).await.map(done),
        "report_usage" => report_usage(session, &request::json(&body)?).await.map(done),
        "swarm_status" => swarm_status(session, request::json(&body)?).await.map(done),
        other => unreachable!("{other} is in the list of verbs"),
    }
}

pub(super) fn done(answer: impl Serialize) -> Response {
    Json(answer).into_response()
}

/// Nothing to say but that it was done.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

impl Session {
    /// Refuses an attempt that was given up on, for what no entry of the log fences: its messages would be read, and
    /// its artifacts overwrite what its successor made.
    pub(super) async fn check_present(&self) -> Result<(), Failure> {
        let (task, grant) = (self.tools.task(), self.tools.grant());
        let stale = self.tools.mesh().look(move |swarm| {
            let record = swarm.task(task)?;
            let present = record.phase.grant().map(|(_, grant)| grant);
            (present != Some(grant)).then(|| Refusal::StaleGrant { task: record.id.to_string(), found: grant, present })
        });
        match stale.await? {
            Some(refusal) => Err(refusal.into()),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FindPeers {
    #[serde(default)]
    capabilities: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    peers: Vec<FoundPeer>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundPeer {
    id: String,
    capabilities: Vec<String>,
    state: &'static str,
    load: u32,
    slots: u32,
}

/// Peers that are there and can do all that is asked for; the least loaded first.
async fn find_peers(session: &Session, asked: FindPeers) -> Result<Found, Failure> {
    let find = session.tools.mesh().look(move |swarm| {
        let mut found = Vec::new();
        for (_, peer) in swarm.peers().filter(|(_, peer)| peer.up) {
            let names = peer.capabilities.iter().filter_map(|capability| swarm.capability(*capability));
            let capabilities: Vec<String> = names.map(str::to_owned).collect();
            if asked.capabilities.iter().all(|wanted| capabilities.contains(wanted)) {
                let state = match peer.paused {
                    Some(_) => "paused",
                    None if peer.busy > 0 => "working",
                    None => "idle",
                };
                let (id, load, slots) = (peer.id.to_string(), peer.load(), peer.slots);
                found.push(FoundPeer { id, capabilities, state, load, slots });
            }
        }
        found.sort_by_key(|peer| u64::from(peer.load) * 1_000 / u64::from(peer.slots.max(1)));
        found
    });
    Ok(Found { peers: find.await? })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    text: String,
}

async fn report_progress(session: &Session, progress: Progress) -> Result<Empty, Failure> {
    session.tools.progress(progress.text).await?;
    Ok(Empty {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Usage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
}

async fn report_usage(session: &Session, usage: &Usage) -> Result<Empty, Failure> {
    session.tools.usage(Tokens { input: usage.input_tokens, output: usage.output_tokens }).await?;
    Ok(Empty {})
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SwarmStatus {
    swarm_id: String,
    task_id: String,
    peer_id: String,
    round: u32,
    open: u32,
    completed: u32,
    failed: u32,
    running: u32,
    waiting: u32,
    peers: usize,
    seq: u64,
}

async fn swarm_status(session: &Session, _nothing: Empty) -> Result<SwarmStatus, Failure> {
    let (mesh, task) = (session.tools.mesh(), session.tools.task());
    let look = mesh.look(move |swarm| {
        let task_id = swarm.task(task).map_or_else(String::new, |task| task.id.to_string());
        (task_id, swarm.peers().filter(|(_, peer)| peer.up).count())
    });
    let (task_id, peers) = look.await?;
    let status = *mesh.status().borrow();
    Ok(SwarmStatus {
        swarm_id: mesh.swarm_id().to_owned(),
        task_id,
        peer_id: session.tools.peer().to_owned(),
        round: status.round,
        open: status.open,
        completed: status.completed,
        failed: status.failed,
        running: status.running,
        waiting: status.waiting,
        peers,
        seq: status.seq,
    })
}

/// What was asked for is there in another form.
pub(super) fn not_acceptable(message: String) -> Failure {
    Failure::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
}
