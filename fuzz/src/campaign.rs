//! Many inputs of one seed against one target, in a process of its own, so that an abort is a finding, too.
//!
//! The input with a number is a pure function of corpus, seed and number ([`crate::mutate::input`]). The worker keeps
//! the number of what it runs in a file; whoever watches it makes the input again when the worker is gone, or stands.

use crate::{Target, corpus, mutate};
use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Memory that a worker may have: many times what any target needs, less than a bomb takes.
const MEMORY_BYTES: u64 = 2 << 30;
/// An execution that computes longer stands still. By its own time: a busy machine is not its fault.
const HANG: Duration = Duration::from_secs(10);
/// By the clock, for one that waits for something.
const WAITS: Duration = Duration::from_secs(300);
/// How often the worker is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Exit code of a worker that found something and said what.
pub const FOUND: i32 = 101;

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Inputs to run.
    pub executions: u64,
    /// What they are drawn from.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Inputs that were run.
    pub executions: u64,
    /// How long it took.
    pub took: Duration,
    /// What broke the first promise, if one was broken.
    pub crash: Option<Crash>,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The number of the input.
    pub number: u64,
    /// What was said.
    pub what: String,
    /// The input.
    pub input: Vec<u8>,
}

/// Runs the plan in this process; `progress` gets the number of each input before it is run.
pub fn run(target: Target, inputs: &[Vec<u8>], plan: Plan, mut progress: impl FnMut(u64)) -> Outcome {
    let started = Instant::now();
    for number in 0..plan.executions {
        progress(number);
        let input = mutate::input(inputs, plan.seed, number);
        if let Err(what) = check(target, &input) {
            let crash = Some(Crash { number, what, input });
            return Outcome { executions: number + 1, took: started.elapsed(), crash };
        }
    }
    Outcome { executions: plan.executions, took: started.elapsed(), crash: None }
}

/// Runs one input; what the target said when it broke a promise.
///
/// # Errors
/// The panic's text and place.
pub fn check(target: Target, input: &[u8]) -> Result<(), String> {
    thread_local! {
        /// What the panic of this thread's execution said; `None` outside of one.
        static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
    }
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let ours = SAID.with_borrow_mut(|said| said.as_mut().map(|said| *said = panic.to_string()).is_some());
            if !ours {
                others(panic);
            }
        }));
    });
    SAID.set(Some(String::new()));
    let ended = catch_unwind(AssertUnwindSafe(|| target(input)));
    let said = SAID.take().unwrap_or_default();
    ended.map_err(|_| said)
}

/// The worker's side: runs the plan with bounded memory and keeps the number in `mark`.
///
/// # Errors
/// When the corpus or the mark cannot be used.
pub fn work(name: &str, target: Target, plan: Plan, mark: &Path) -> io::Result<Outcome> {
    use nix::sys::resource::{Resource, setrlimit};
    setrlimit(Resource::RLIMIT_AS, MEMORY_BYTES, MEMORY_BYTES)?;
    let inputs = corpus::inputs(name)?;
    let mark = File::options().write(true).open(mark)?;
    Ok(run(target, &inputs, plan, |number| {
        // What cannot be written is not looked at: the worker's own report still comes.
        let _full = mark.write_all_at(&number.to_le_bytes(), 0);
    }))
}

/// The watcher's side: starts `program` as a worker and waits for its end. A crash that ended the worker, or made it
/// stand, is told with the input that was made again.
///
/// # Errors
/// When the worker cannot be started or its files cannot be read.
pub fn watch(program: &Path, name: &str, plan: Plan) -> io::Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let mark = folder.path().join("number");
    fs::write(&mark, 0_u64.to_le_bytes())?;
    let started = Instant::now();
    let mut worker = Command::new(program);
    worker.arg("worker").arg(name).arg(plan.executions.to_string()).arg(plan.seed.to_string()).arg(&mark);
    let mut worker = worker.spawn()?;
    let status = until_it_ends(&mut worker, &mark)?;
    let took = started.elapsed();
    let what = match status {
        Some(status) if status.success() => {
            return Ok(Outcome { executions: plan.executions, took, crash: None });
        }
        Some(status) if status.code() == Some(FOUND) => "said above".to_owned(),
        Some(status) => format!("the worker ended: {status}"),
        None => format!("one execution computed longer than {} s", HANG.as_secs()),
    };
    let number = number_in(&mark)?;
    let input = mutate::input(&corpus::inputs(name)?, plan.seed, number);
    Ok(Outcome { executions: number + 1, took, crash: Some(Crash { number, what, input }) })
}

fn number_in(mark: &Path) -> io::Result<u64> {
    let bytes = fs::read(mark)?;
    let bytes = bytes.try_into().map_err(|_| io::Error::other("the worker's mark is not a number"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// How it ended; `None` when it stood and was killed.
fn until_it_ends(worker: &mut Child, mark: &Path) -> io::Result<Option<ExitStatus>> {
    let (mut last, mut since, mut before) = (None, Instant::now(), Duration::ZERO);
    loop {
        if let Some(status) = worker.try_wait()? {
            return Ok(Some(status));
        }
        let now = number_in(mark)?;
        let computed = computed_by(worker.id());
        if last != Some(now) {
            (last, since, before) = (Some(now), Instant::now(), computed);
        } else if computed.saturating_sub(before) > HANG || since.elapsed() > WAITS {
            worker.kill()?;
            worker.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// The processor time that a process has had; none when it has just ended.
fn computed_by(pid: u32) -> Duration {
    /// The unit of `/proc`: hundredths of a second on every Linux that Rust runs on.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name stands in brackets and may hold anything; user and system time are fields 14 and 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses_z(data: &[u8]) {
        assert!(!data.contains(&b'z'), "a z");
    }

    #[test]
    fn a_broken_promise_is_found_and_made_again_from_its_number() {
        let inputs = vec![b"xyz".to_vec()];
        let plan = Plan { executions: 50, seed: 1 };
        let outcome = run(refuses_z, &inputs, plan, |_| {});
        let crash = outcome.crash.expect("most inputs hold a z");
        assert!(crash.what.contains("a z"), "{}", crash.what);
        assert_eq!(mutate::input(&inputs, plan.seed, crash.number), crash.input);
        assert_eq!(outcome.executions, crash.number + 1);
    }
}
