//! The situations in which a failpoint is reached: two swarm files, and what happens to a run of them.

use crate::program::{Ended, Run, answer, meshwork};
use std::path::Path;
use std::process::Command;

/// A situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    /// A first run: shell tasks and a `command` peer, evidence, a review, a parent that waits for its children, messages,
    /// artifacts, a large result, a retry, a peer that is paused and resumed.
    First,
    /// The same swarm after it was killed in the middle: processes are left, the log ends anywhere.
    Killed,
    /// A run that Ctrl-C ends: a body, a child and a check are stopped, a parent waits.
    Interrupted,
    /// The run after that one: it has a snapshot.
    Resumed,
    /// A finished swarm that is started over.
    Fresh,
    /// A submission of many megabytes: the log is written back in the middle.
    Large,
}

impl Scenario {
    pub(crate) const ALL: [Self; 6] =
        [Self::First, Self::Killed, Self::Interrupted, Self::Resumed, Self::Fresh, Self::Large];

    /// The id of its swarm.
    pub(crate) fn swarm(self) -> &'static str {
        match self {
            Self::First | Self::Killed | Self::Fresh => "all",
            Self::Interrupted | Self::Resumed => "halting",
            Self::Large => "large",
        }
    }

    /// Tasks that the swarm has in the end.
    pub(crate) fn tasks(self) -> usize {
        match self {
            Self::First | Self::Killed | Self::Fresh => 20,
            Self::Interrupted | Self::Resumed => 6,
            Self::Large => LARGE + 1,
        }
    }

    /// Writes the file, and does what comes before the run that is looked at.
    pub(crate) fn prepare(self, folder: &Path) {
        std::fs::create_dir(folder.join("ran")).unwrap();
        let file = match self {
            Self::First | Self::Killed | Self::Fresh => ALL.to_owned(),
            Self::Interrupted | Self::Resumed => HALTING.to_owned(),
            Self::Large => large(),
        };
        std::fs::write(folder.join("swarm.toml"), file).unwrap();
        match self {
            Self::First | Self::Interrupted | Self::Large => {}
            Self::Killed => {
                std::fs::write(folder.join("linger"), "").unwrap();
                let mut run = Run::start(self.again(folder));
                run.until_there_is(&folder.join("up"));
                signal(run.pid(), nix::sys::signal::Signal::SIGKILL);
                assert!(run.ended().was_killed());
            }
            Self::Resumed => {
                let ended = Self::Interrupted.course(folder, self.again(folder));
                assert_eq!(ended.status.code(), Some(130), "{ended:?}");
                std::fs::write(folder.join("go"), "").unwrap();
            }
            Self::Fresh => {
                let output = answer(folder, &RUN);
                assert!(output.status.success(), "{output:?}");
                std::fs::remove_dir_all(folder.join("ran")).unwrap();
                std::fs::create_dir(folder.join("ran")).unwrap();
            }
        }
    }

    /// The command that is looked at.
    pub(crate) fn command(self, folder: &Path) -> Command {
        let mut command = self.again(folder);
        if self == Self::Fresh {
            command.arg("--fresh");
        }
        command
    }

    /// The command that goes on with it.
    pub(crate) fn again(self, folder: &Path) -> Command {
        meshwork(folder, &RUN)
    }

    /// Runs it to its end, whatever that is.
    pub(crate) fn course(self, folder: &Path, command: Command) -> Ended {
        let mut run = Run::start(command);
        if self == Self::Interrupted {
            for name in ["up", "slow-up", "check-up"] {
                run.until_there_is(&folder.join(name));
            }
            // One that was killed on its way here has left nobody with its number: it is not reaped yet.
            signal(run.pid(), nix::sys::signal::Signal::SIGINT);
        }
        let ended = run.ended();
        if self == Self::Interrupted {
            std::fs::write(folder.join("go"), "").unwrap();
        }
        ended
    }
}

const RUN: [&str; 6] = ["run", "swarm.toml", "--format", "json", "--report", "copy.json"];

fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    match nix::sys::signal::kill(pid, signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Every task leaves a line in a file of its own for each time that it runs.
const ALL: &str = r#"
[swarm]
id = "all"
[limits]
retry_backoff = "5ms"
[[peers]]
id = "sh"
capabilities = ["sh"]
count = 2
max_concurrent_tasks = 2
[[peers]]
id = "agent"
capabilities = ["think"]
agent = { kind = "command", command = ["/bin/sh", "-c", "cat > seen-$MESHWORK_TASK_ID; echo ran >> ran/$MESHWORK_TASK_ID; echo '{\"thought\":true}'"] }
[[peers]]
id = "reader"
capabilities = ["read"]
[[peers]]
id = "inbox"
capabilities = ["never"]
[[tasks]]
id = "plain-1"
required_capabilities = ["sh"]
run = 'echo ran >> ran/plain-1; echo one'
[[tasks]]
id = "plain-2"
required_capabilities = ["sh"]
dependencies = ["plain-1"]
run = 'echo ran >> ran/plain-2'
[[tasks]]
id = "plain-3"
required_capabilities = ["sh"]
dependencies = ["plain-1"]
run = 'echo ran >> ran/plain-3'
[[tasks]]
id = "lingering"
required_capabilities = ["sh"]
dependencies = ["plain-2", "plain-3"]
run = 'echo ran >> ran/lingering; if test -e linger; then rm linger; touch up; setsid sleep 300 & sleep 300; fi'
[[tasks]]
id = "agent-1"
required_capabilities = ["think"]
input = { about = "everything" }
[[tasks]]
id = "agent-2"
required_capabilities = ["think"]
dependencies = ["agent-1", "plain-1"]
[[tasks]]
id = "verified"
required_capabilities = ["sh"]
run = 'echo ran >> ran/verified; echo proof > proof'
verify = { run = 'grep -q proof proof', artifacts = ["proof"] }
[[tasks]]
id = "judged"
required_capabilities = ["sh"]
run = 'echo ran >> ran/judged; echo right'
review = { required_capabilities = ["sh"], approvals = 1, run = 'echo true' }
[[tasks]]
id = "flaky"
required_capabilities = ["sh"]
retries = 1
run = 'echo ran >> ran/flaky; test "$MESHWORK_ATTEMPT" -ge 2'
[[tasks]]
id = "parent"
required_capabilities = ["sh"]
run = '''
echo ran >> ran/parent
"$MESHWORK_BIN" submit --id child-1 --capability sh --run 'echo ran >> ran/child-1' &&
"$MESHWORK_BIN" submit --id child-2 --capability sh --run 'echo ran >> ran/child-2' &&
"$MESHWORK_BIN" wait
'''
[[tasks]]
id = "sender"
required_capabilities = ["sh"]
run = '''
echo ran >> ran/sender
send() { "$MESHWORK_BIN" send "$@" || "$MESHWORK_BIN" send "$@"; }
send reader note '{"n":1}' && send inbox kept '{"n":2}'
'''
[[tasks]]
id = "reader"
required_capabilities = ["read"]
dependencies = ["sender"]
run = 'echo ran >> ran/reader; "$MESHWORK_BIN" read || "$MESHWORK_BIN" read'
[[tasks]]
id = "keeper"
required_capabilities = ["sh"]
run = '''
echo ran >> ran/keeper
put() { printf 'kept bytes' | "$MESHWORK_BIN" put notes/kept; }
put || put
'''
[[tasks]]
id = "getter"
required_capabilities = ["sh"]
dependencies = ["keeper"]
run = 'echo ran >> ran/getter; test "$("$MESHWORK_BIN" get notes/kept)" = "kept bytes"'
[[tasks]]
id = "big"
required_capabilities = ["sh"]
retries = 1
run = 'echo ran >> ran/big; head -c 400000 /dev/zero | tr "\0" x'
[[tasks]]
id = "pauser"
required_capabilities = ["sh"]
dependencies = ["plain-1"]
run = '''
echo ran >> ran/pauser
for what in pause resume; do "$MESHWORK_BIN" $what inbox > /dev/null 2>&1 || true; done
'''
[[tasks]]
id = "last"
required_capabilities = ["sh"]
dependencies = ["lingering", "agent-2", "verified", "judged", "flaky", "parent", "reader", "getter", "big", "pauser"]
run = 'echo ran >> ran/last'
"#;

/// Nothing but `quick` ends before the file `go` is there.
const HALTING: &str = r#"
[swarm]
id = "halting"
[[peers]]
id = "sh"
max_concurrent_tasks = 5
[[tasks]]
id = "quick"
run = 'echo ran >> ran/quick'
[[tasks]]
id = "long"
dependencies = ["quick"]
run = 'echo ran >> ran/long; touch up; test -e go || sleep 300'
[[tasks]]
id = "parent"
run = '''
echo ran >> ran/parent
"$MESHWORK_BIN" submit --id slow --run 'echo ran >> ran/slow; touch slow-up; test -e go || sleep 300' &&
"$MESHWORK_BIN" wait
'''
[[tasks]]
id = "checked"
run = 'echo ran >> ran/checked'
verify = { run = 'touch check-up; test -e go || sleep 300' }
[[tasks]]
id = "last"
dependencies = ["long", "parent", "checked"]
run = 'echo ran >> ran/last'
"#;

/// Tasks of the large swarm; its texts have twice the bytes after which the log is written back.
const LARGE: usize = 40;

fn large() -> String {
    let mut text = "[swarm]\nid = 'large'\n[[peers]]\nid = 'sh'\nmax_concurrent_tasks = 4\n".to_owned();
    let description = "words ".repeat(420_000 / 6);
    for n in 0..LARGE {
        let run = format!("echo ran >> ran/task-{n}");
        text.push_str(&format!("[[tasks]]\nid = 'task-{n}'\nrun = '{run}'\ndescription = '{description}'\n"));
    }
    text.push_str("[[tasks]]\nid = 'last'\nrun = 'echo ran >> ran/last'\n");
    text
}
