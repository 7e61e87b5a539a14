//! Evidence before "completed": looked at by the node, never by the agent (contracts, section 2).

use super::agent::{Agent, Attempt};
use super::driver::Event;
use super::process_agent::{ProcessHost, supervise, variables};
use crate::failpoint::{self, Point};
use crate::process::{self, Ended, OutputLimits, ProcessSpec};
use futures_util::FutureExt;
use meshwork_core::Verify;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// What of a check's output is kept as evidence.
const EVIDENCE_BYTES: usize = 4 << 10;

/// Looks at the evidence of a task and reports. Reports in every case.
pub(super) async fn run(agent: Arc<dyn Agent>, attempt: Attempt, events: mpsc::UnboundedSender<Event>) {
    let (task, grant) = (attempt.task, attempt.grant);
    let started = Instant::now();
    failpoint::reach(Point::Evidence);
    let (passed, evidence) = match &attempt.spec().verify {
        Some(verify) => {
            let looked = AssertUnwindSafe(look(verify, &*agent, &attempt)).catch_unwind().await;
            looked.unwrap_or_else(|panic| (false, super::body::panic_text(&*panic)))
        }
        None => (true, "nothing to verify".to_owned()),
    };
    failpoint::reach(Point::EvidenceSeen);
    let ran_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let evidence = super::body::cut(evidence, EVIDENCE_BYTES);
    let _gone = events.send(Event::CheckEnded { task, grant, passed, evidence, ran_ms });
}

/// All of it must hold; the first that does not is the evidence against.
async fn look(verify: &Verify, agent: &dyn Agent, attempt: &Attempt) -> (bool, String) {
    let folder = agent.folder().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let mut seen = Vec::new();
    for name in &verify.artifacts {
        match tokio::fs::metadata(folder.join(name)).await {
            Ok(file) if file.is_file() && file.len() > 0 => seen.push(format!("{name}: {} bytes", file.len())),
            Ok(file) if file.is_file() => return (false, format!("{name} is empty")),
            Ok(_) => return (false, format!("{name} is not a file")),
            Err(error) => return (false, format!("{name}: {error}")),
        }
    }
    if let Some(line) = &verify.run {
        let Some(host) = agent.host() else {
            return (false, format!("`{line}` cannot be run: the peer's agent is a function, not a process"));
        };
        match run_line(line, folder, agent.env(), host, attempt).await {
            Ok(()) => seen.push(format!("`{line}` exited 0")),
            Err(why) => return (false, format!("`{line}` {why}")),
        }
    }
    (true, seen.join("; "))
}

async fn run_line(
    line: &str,
    cwd: PathBuf,
    env: &[(String, String)],
    host: &ProcessHost,
    attempt: &Attempt,
) -> Result<(), String> {
    let mut variables = variables(attempt);
    variables.extend_from_slice(env);
    let nonce = host.nonce_of(attempt).map_err(|error| error.to_string())?;
    let spec = ProcessSpec {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), line.into()],
        cwd,
        env: process::environment(&variables),
        stdin: bytes::Bytes::new(),
        timeout: attempt.spec().timeout_ms.map(std::time::Duration::from_millis),
        grace: host.grace,
        limits: OutputLimits { stderr_tail_bytes: EVIDENCE_BYTES, ..OutputLimits::default() },
        nonce,
        spill_dir: host.spill_dir.clone(),
        on_output: None,
    };
    let (handle, ended) = process::start(spec);
    let control = attempt.control.clone();
    let report = supervise(handle, ended, control).await;
    let tail = |text: &str| if text.is_empty() { String::new() } else { format!(": {}", text.trim_end()) };
    match report.ended {
        Ended::Exited { code: 0 } => Ok(()),
        Ended::Exited { code } => Err(format!("exited {code}{}", tail(&report.stderr_tail))),
        Ended::Signalled { signal } => Err(format!("was killed by signal {signal}")),
        Ended::TimedOut => Err("ran longer than the task's timeout".to_owned()),
        Ended::Stopped => Err("was stopped".to_owned()),
        Ended::OutputLimit { limit } => Err(format!("wrote more than {limit} bytes")),
        Ended::OutputUnsaved { error } => Err(format!("could not keep its output: {error}")),
        Ended::NotStarted { error } => Err(format!("did not start: {error}")),
    }
}
