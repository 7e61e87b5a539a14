//! Many schedules on all cores, and what they showed.

use super::Arguments;
use crate::ending::Ending;
use crate::failure::CliFailure;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use meshwork_core::sim::{Finding, FindingKind, Outcome, Report, run as play};
use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Lines of a trace that are shown with a finding: the last ones.
const LINES_SHOWN: usize = 60;

/// What was played, and what it showed.
pub(super) struct Campaign {
    pub(super) report: Report,
    /// Schedules that showed something, by what it was.
    pub(super) findings: BTreeMap<FindingKind, u64>,
    /// The one with the lowest seed.
    pub(super) first: Option<First>,
    pub(super) interrupted: bool,
    pub(super) took: Duration,
}

/// A schedule that shows a broken promise.
pub(super) struct First {
    pub(super) seed: u64,
    pub(super) finding: Finding,
    /// The last lines of its trace.
    pub(super) trace: Vec<String>,
}

#[derive(Default)]
struct Sum {
    report: Report,
    findings: BTreeMap<FindingKind, u64>,
    first: Option<(u64, Finding)>,
}

impl Sum {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.report.add(&outcome.report);
        let Some(finding) = outcome.findings.into_iter().next() else { return };
        *self.findings.entry(finding.kind).or_insert(0) += 1;
        if self.first.as_ref().is_none_or(|(first, _)| seed < *first) {
            self.first = Some((seed, finding));
        }
    }
}

impl Campaign {
    /// Plays every schedule; after a signal, those that were begun.
    ///
    /// # Errors
    /// When the system gives no thread or no signals.
    pub(super) fn play(arguments: &Arguments) -> Result<Self, CliFailure> {
        let began = Instant::now();
        let interrupted = listen()?;
        let silence = Silence::begin();
        let sum = Mutex::new(Sum::default());
        let next = AtomicU64::new(0);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let jobs = arguments.jobs.map_or(cores, |jobs| usize::try_from(jobs).unwrap_or(cores));
        let bar = bar(arguments.schedules);
        let work = || {
            while !interrupted.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= arguments.schedules {
                    break;
                }
                let seed = arguments.seed + number;
                let outcome = play(&arguments.plan(seed), None);
                sum.lock().unwrap_or_else(PoisonError::into_inner).add(seed, outcome);
                bar.inc(1);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..jobs {
                scope.spawn(work);
            }
            work();
        });
        bar.finish_and_clear();
        let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
        let first = sum.first.map(|(seed, finding)| First { seed, finding, trace: last_lines(arguments, seed) });
        drop(silence);
        let interrupted = interrupted.load(Ordering::Relaxed);
        Ok(Self { report: sum.report, findings: sum.findings, first, interrupted, took: began.elapsed() })
    }

    pub(super) fn ending(&self) -> Ending {
        if self.first.is_some() {
            Ending::PromiseBroken
        } else if self.interrupted {
            Ending::Interrupted
        } else {
            Ending::Done
        }
    }
}

/// The same schedule again, for its last lines.
fn last_lines(arguments: &Arguments, seed: u64) -> Vec<String> {
    let mut lines = VecDeque::new();
    let mut keep = |line: &str| {
        if lines.len() == LINES_SHOWN {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    };
    let _the_same_again = play(&arguments.plan(seed), Some(&mut keep));
    lines.into()
}

fn bar(schedules: u64) -> ProgressBar {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if schedules == 1 || !std::io::stderr().is_terminal() || is_set("CI") {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} schedules, {eta} left");
    let bar = ProgressBar::with_draw_target(Some(schedules), ProgressDrawTarget::stderr());
    bar.with_style(style.expect("the template is a constant"))
}

/// Set when a signal asks for the end: what was done so far is still said.
fn listen() -> Result<Arc<AtomicBool>, CliFailure> {
    let system = |error: std::io::Error| CliFailure::usage("System", format!("could not listen to signals: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    let context = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    drop(context);
    let flag = Arc::new(AtomicBool::new(false));
    let told = flag.clone();
    // It ends with the program.
    let listener = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        told.store(true, Ordering::Relaxed);
    });
    listener.map_err(system)?;
    Ok(flag)
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send + 'static>;

/// While it lives, an assertion that fails in a schedule is a finding and no message on stderr.
pub(super) struct Silence(Option<Hook>);

impl Silence {
    pub(super) fn begin() -> Self {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        Self(Some(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            std::panic::set_hook(before);
        }
    }
}
