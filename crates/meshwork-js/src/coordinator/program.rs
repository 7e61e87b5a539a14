//! Agents that are programs: a line for the shell, or a command that gets the task on standard input.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use meshwork::artifacts::ARTIFACT_LIMIT;
use meshwork::endpoint::Endpoint;
use meshwork::mesh::{Agent, ProcessAgent, ProcessHost, Program as Starts};
use meshwork::process::DEFAULT_GRACE;
use napi::bindgen_prelude::within_runtime_if_available;
use serde::Deserialize;
use tempfile::TempDir;

use crate::failure::Failure;

/// A program, as in a swarm file.
#[derive(Deserialize)]
pub(super) struct Program {
    command: Vec<String>,
    cwd: PathBuf,
    env: BTreeMap<String, String>,
}

/// What the programs of one coordinator share; nothing while it has none.
#[derive(Default)]
pub(super) struct Programs(Mutex<Option<Shared>>);

struct Shared {
    host: Arc<ProcessHost>,
    /// Large outputs, until they are artifacts. Removed with its content when it is dropped.
    _spill: TempDir,
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::new("Io", format!("could not {what}: {error}; nothing was made"))
}

impl Programs {
    fn host(&self) -> Result<Arc<ProcessHost>, Failure> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = &*shared {
            return Ok(Arc::clone(&shared.host));
        }
        let spill = tempfile::Builder::new().prefix("meshwork-spill-").tempdir();
        let spill = spill.map_err(|error| failed("make a folder for large outputs", &error))?;
        let endpoint = within_runtime_if_available(Endpoint::start);
        let endpoint = endpoint.map_err(|error| failed("listen on loopback for the tools of attempts", &error))?;
        // A name that no other folder of this machine has, without what a mark may not hold.
        let name = spill.path().file_name().unwrap_or_default().to_string_lossy();
        let host = Arc::new(ProcessHost {
            nonce: name.chars().filter(char::is_ascii_alphanumeric).collect(),
            spill_dir: spill.path().to_owned(),
            endpoint: Some(endpoint),
            program: None,
            grace: DEFAULT_GRACE,
            result_bytes: ARTIFACT_LIMIT,
        });
        *shared = Some(Shared { host: Arc::clone(&host), _spill: spill });
        Ok(host)
    }

    /// Nothing of it runs any more.
    pub(super) async fn end(&self) {
        let shared = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let endpoint = shared.as_ref().and_then(|shared| shared.host.endpoint.clone());
        if let Some(endpoint) = endpoint {
            endpoint.shutdown().await;
        }
    }
}

impl Program {
    pub(super) fn made(self, kind: &str, programs: &Programs) -> Result<Arc<dyn Agent>, Failure> {
        let starts = if kind == "shell" { Starts::Shell } else { Starts::Command(self.command) };
        let env = self.env.into_iter().collect();
        Ok(Arc::new(ProcessAgent::new(programs.host()?, starts, self.cwd, env, None)))
    }
}
