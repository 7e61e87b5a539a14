//! The program in a folder, and deadlines.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Far beyond what anything here takes: only a failure waits so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// Distance between two looks at something that tells nobody when it happens.
const LOOK: Duration = Duration::from_millis(1);

pub(crate) fn meshwork(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshwork"));
    command.current_dir(folder).args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MESHWORK_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn answer(folder: &Path, args: &[&str]) -> Output {
    meshwork(folder, args).output().unwrap()
}

pub(crate) fn json(folder: &Path, args: &[&str]) -> Value {
    let output = answer(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Whether it was ended by SIGKILL.
    pub(crate) fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// The failpoint that it came to, as `NAME:NTH:KIND`, the last of several.
    pub(crate) fn failpoint(&self) -> Option<&str> {
        self.err.lines().rev().find_map(|line| line.strip_prefix("failpoint "))
    }
}

/// A run under way.
pub(crate) struct Run {
    child: Child,
    out: Option<ChildStdout>,
    err: Option<JoinHandle<String>>,
}

impl Run {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let err = read_on_a_thread(child.stderr.take().unwrap());
        Self { out: child.stdout.take(), err: Some(err), child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the file is there, or the run has ended.
    pub(crate) fn until_there_is(&mut self, path: &Path) {
        let deadline = Instant::now() + DEADLINE;
        while !path.exists() && self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "{} does not come", path.display());
            std::thread::park_timeout(LOOK);
        }
    }

    /// Waits for its end. What it started may outlive it and hold its standard error, so that is read to the end of the
    /// process only.
    pub(crate) fn ended(mut self) -> Ended {
        let out = read_on_a_thread(self.out.take().unwrap());
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() >= deadline {
                self.child.kill().unwrap();
                let err = self.err.take().unwrap().join().unwrap();
                panic!("it does not end: {err}");
            }
            std::thread::park_timeout(LOOK);
        };
        Ended { status, out: out.join().unwrap(), err: self.err.take().unwrap().join().unwrap() }
    }
}

fn read_on_a_thread(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    })
}
