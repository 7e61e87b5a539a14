//! A folder, the program in it, and deadlines.

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// Far beyond what anything here takes: only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(60);

/// A folder of its own.
pub(crate) struct Scene {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// With that exit code; else all that it said.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Said on stdout.
    #[track_caller]
    pub(crate) fn mentions(self, text: &str) -> Self {
        assert!(self.out.contains(text), "expected {text:?} on stdout: {self:#?}");
        self
    }

    /// Said on stderr.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "expected {text:?} on stderr: {self:#?}");
        self
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshwork"));
        command.args(line.split(' ')).current_dir(self.folder.path()).stdin(Stdio::null());
        // An attempt of an outer swarm may run these tests.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MESHWORK_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs `meshwork LINE`, words split at spaces, to its end.
    #[track_caller]
    pub(crate) fn meshwork(&self, line: &str) -> Ended {
        self.start(line).ended()
    }

    /// Starts `meshwork LINE`.
    #[track_caller]
    pub(crate) fn start(&self, line: &str) -> Started {
        let mut child = self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, out_lines) = lines(child.stdout.take().unwrap());
        let (err, err_lines) = lines(child.stderr.take().unwrap());
        Started { pid: child.id(), waiting: waiting(child), out, out_lines, err, err_lines, said: String::new() }
    }

    /// Starts `meshwork LINE`, reads one line of stdout and then no more.
    #[track_caller]
    pub(crate) fn read_one_line(&self, line: &str) -> (ExitStatus, String) {
        let mut child = self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (waiting(child).recv_timeout(DEADLINE).unwrap(), err)
    }

    /// A named pipe that a task writes when it has come so far.
    pub(crate) fn fifo(&self, name: &str) -> Fifo {
        let path = self.path(name);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let _nobody_waits = tell.send(std::fs::read(path).unwrap());
        });
        Fifo(told)
    }

    /// Everything in the folder: names, sizes, times and contents.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(self.folder.path(), &mut found);
        found.sort();
        found
    }
}

/// See [`Scene::fifo`].
pub(crate) struct Fifo(Receiver<Vec<u8>>);

impl Fifo {
    /// Waits until somebody has written it.
    #[track_caller]
    pub(crate) fn arrives(self) {
        self.0.recv_timeout(DEADLINE).expect("the task did not come so far");
    }
}

fn list(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let about = path.symlink_metadata().unwrap();
        let changed = about.modified().unwrap();
        if about.is_dir() {
            found.push(format!("{} {changed:?}", path.display()));
            list(&path, found);
        } else {
            // A file of gigabytes is told by its size and time.
            let content =
                if about.is_file() && about.len() < 1 << 20 { std::fs::read(&path).unwrap() } else { Vec::new() };
            found.push(format!("{} {changed:?} {} {content:?}", path.display(), about.len()));
        }
    }
}

/// A command that runs.
pub(crate) struct Started {
    pid: u32,
    waiting: Receiver<ExitStatus>,
    out: JoinHandle<String>,
    out_lines: Receiver<String>,
    err: JoinHandle<String>,
    err_lines: Receiver<String>,
    said: String,
}

impl Started {
    /// Waits until it says this on stderr.
    #[track_caller]
    pub(crate) fn until_it_says(&mut self, text: &str) {
        wait_for(&self.err_lines, text, &mut self.said);
    }

    /// Waits until it prints this on stdout.
    #[track_caller]
    pub(crate) fn until_it_prints(&mut self, text: &str) {
        wait_for(&self.out_lines, text, &mut self.said);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid).unwrap()), signal).unwrap();
    }

    /// Waits until it is gone by a signal. What it started may hold its outputs open.
    #[track_caller]
    pub(crate) fn killed(self) {
        let status = self.waiting.recv_timeout(DEADLINE).expect("it did not end");
        assert!(status.code().is_none(), "{status}");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(self) -> Ended {
        let Ok(status) = self.waiting.recv_timeout(DEADLINE) else {
            self.signal(Signal::SIGKILL);
            panic!("it did not end: {}", self.err.join().unwrap());
        };
        let code = status.code().unwrap_or_else(|| panic!("ended by a signal: {status}"));
        Ended { code, out: self.out.join().unwrap(), err: self.err.join().unwrap() }
    }
}

#[track_caller]
fn wait_for(lines: &Receiver<String>, text: &str, said: &mut String) {
    loop {
        let Ok(line) = lines.recv_timeout(DEADLINE) else { panic!("waited for {text:?}, found:\n{said}") };
        said.push_str(&line);
        if line.contains(text) {
            return;
        }
    }
}

/// All that comes, and each line as it does.
fn lines(from: impl Read + Send + 'static) -> (JoinHandle<String>, Receiver<String>) {
    let (tell, told) = channel();
    let reading = std::thread::spawn(move || {
        let (mut all, mut from) = (String::new(), BufReader::new(from));
        loop {
            let mut line = String::new();
            if from.read_line(&mut line).unwrap() == 0 {
                return all;
            }
            all.push_str(&line);
            let _nobody_waits = tell.send(line);
        }
    });
    (reading, told)
}

fn waiting(mut child: Child) -> Receiver<ExitStatus> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let _nobody_waits = tell.send(child.wait().unwrap());
    });
    told
}
