//! What a function that works on an attempt may do: children, waits, progress, tokens.

use std::sync::Arc;

use meshwork::coordinator::{CoordinatorError, MeshTask};
use meshwork::mesh::{ChildEnd, Tools};
use meshwork_core::{Outcome, Payload, TaskSpec};
use napi::{Env, Result};
use napi_derive::napi;
use serde_json::{Value, json};

use super::agent::Usage;
use super::{Coordinator, tasks};
use crate::config::without_place;
use crate::failure::Failure;
use crate::outcome::{Soon, done, soon, told};

/// A child's end, as JavaScript has it.
async fn end_of(tools: &Tools, end: ChildEnd) -> std::result::Result<Value, Failure> {
    let result = match end.result {
        None => None,
        Some(Payload::Json(text)) => Some(text),
        Some(Payload::Artifact { key, .. }) => {
            let bytes = tools.artifacts().retrieve(&key).await?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
    };
    let state = match end.outcome {
        Some(Outcome::Ok) => "completed",
        Some(_) => "failed",
        None => "pending",
    };
    let mut said = json!({ "id": end.id, "state": state });
    if let Some(text) = result {
        said["result"] = serde_json::from_str(&text).unwrap_or(Value::String(text));
    }
    if let Some(error) = end.error {
        said["error"] = error.into();
    }
    Ok(said)
}

#[napi]
impl Coordinator {
    /// Hands in children of the attempt's task; answers their ids.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn attempt_submit<'env>(&self, env: &'env Env, attempt: u32, text: String) -> Result<Soon<'env>> {
        let home = Arc::clone(&self.home);
        soon(env, async move {
            let submitted = home.within(attempt, |tools| async move {
                let all: Vec<MeshTask> = tasks(&text)?;
                let specs = all.into_iter().map(MeshTask::spec).collect::<std::result::Result<_, _>>();
                let specs: Vec<TaskSpec> = specs.map_err(|error: CoordinatorError| Failure::from(error))?;
                let ids: Vec<String> = specs.iter().map(|spec| spec.id.clone()).collect();
                tools.submit(specs).await?;
                Ok(ids)
            });
            told(submitted.await)
        })
    }

    /// Waits until these children are closed, all of them when none is named; answers how they ended.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn attempt_wait<'env>(&self, env: &'env Env, attempt: u32, ids: Vec<String>) -> Result<Soon<'env>> {
        let home = Arc::clone(&self.home);
        soon(env, async move {
            let waited = home.within(attempt, |tools| async move {
                let mut ends = Vec::new();
                for end in tools.wait(&ids).await? {
                    ends.push(end_of(&tools, end).await?);
                }
                Ok(ends)
            });
            told(waited.await)
        })
    }

    /// Says how far the attempt is.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn attempt_progress<'env>(&self, env: &'env Env, attempt: u32, text: String) -> Result<Soon<'env>> {
        let home = Arc::clone(&self.home);
        soon(env, async move {
            let told = home.within(attempt, |tools| async move { Ok(tools.progress(text).await?) });
            done(told.await)
        })
    }

    /// Says what the attempt has spent so far, in total.
    ///
    /// # Errors
    /// Node is ending.
    #[napi(catch_unwind)]
    pub fn attempt_usage<'env>(&self, env: &'env Env, attempt: u32, text: String) -> Result<Soon<'env>> {
        let home = Arc::clone(&self.home);
        soon(env, async move {
            let told = home.within(attempt, |tools| async move {
                let usage: Usage = serde_json::from_str(&text).map_err(|error| {
                    let what = without_place(&error);
                    Failure::new("InvalidArgument", format!("the usage can't be used: {what}; nothing changed"))
                })?;
                tools.usage(usage.into()).await?;
                Ok(usage)
            });
            let told = told.await;
            if let Ok(usage) = told {
                home.spend(attempt, usage.into());
            }
            done(told.map(drop))
        })
    }
}
