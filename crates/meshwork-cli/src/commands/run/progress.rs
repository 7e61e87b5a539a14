//! What people see while it runs: a picture on a terminal, lines elsewhere, nothing where nobody wants to look.

use super::estimate::time_left;
use super::tally::Tally;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use meshwork::view::{EventRow, duration, visible};
use meshwork_core::Swarm;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a terminal is drawn anew: the elapsed times of what runs change.
const REDRAW: Duration = Duration::from_millis(200);
/// Attempts that are shown on a terminal.
const SHOWN: usize = 8;
/// Lines that may be written at once; further ones come back one by one.
const BURST: u32 = 50;
/// After so long, one more line may be written.
const REFILL: Duration = Duration::from_millis(200);
/// What was not told one by one is summed up this often.
const SUM_UP: Duration = Duration::from_secs(1);
/// An estimate is not made anew before this many times the time that it took: at most 1 % goes into it.
const ESTIMATE_PAUSE: u32 = 100;

/// What people see.
pub(super) enum Progress {
    /// Nothing.
    Silent,
    /// A picture on a terminal.
    Picture(Box<Picture>),
    /// Lines.
    Lines(Box<Lines>),
}

impl Progress {
    /// What fits stderr: nothing if it is to be quiet, a picture if a person looks at it, else lines.
    pub(super) fn for_stderr(quiet: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if quiet {
            Self::Silent
        } else if std::io::stderr().is_terminal() && !is_set("CI") {
            Self::Picture(Box::new(Picture::new(!is_set("NO_COLOR"))))
        } else {
            Self::Lines(Box::new(Lines::new(Instant::now())))
        }
    }

    /// Whether anybody is told of single events.
    pub(super) fn wants_rows(&self) -> bool {
        !matches!(self, Self::Silent)
    }

    /// After how long to draw without an event; `None`: not before one.
    pub(super) fn tick(&self) -> Option<Duration> {
        match self {
            Self::Silent => None,
            Self::Picture(_) => Some(REDRAW),
            Self::Lines(lines) => (lines.untold > 0).then_some(SUM_UP),
        }
    }

    /// Something happened.
    pub(super) fn row(&mut self, row: &EventRow) {
        match self {
            Self::Silent => {}
            Self::Picture(picture) => {
                if let Some((false, line)) = picture.tally.row(row) {
                    picture.bar.println(line);
                }
            }
            Self::Lines(lines) => {
                if let Some((_, line)) = lines.tally.row(row) {
                    lines.pending.push(line);
                }
            }
        }
    }

    /// Shows how far it is.
    pub(super) fn draw(&mut self, swarm: &Swarm) {
        match self {
            Self::Silent => {}
            Self::Picture(picture) => picture.draw(swarm),
            Self::Lines(lines) => {
                for line in lines.due(Counts::of(swarm), Instant::now()) {
                    crate::output::note(&line);
                }
            }
        }
    }

    /// Says something that is no part of the progress.
    pub(super) fn say(&self, text: &str) {
        match self {
            Self::Silent => {}
            Self::Picture(picture) => picture.bar.println(text),
            Self::Lines(_) => crate::output::note(text),
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn finish(&mut self) {
        match self {
            Self::Silent => {}
            Self::Picture(picture) => picture.bar.finish_and_clear(),
            Self::Lines(lines) => lines.sum_up(Instant::now()).iter().for_each(|line| crate::output::note(line)),
        }
    }
}

/// How far the round is that is open, or was open last.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    closed: u32,
    failed: u32,
    all: u32,
}

impl Counts {
    fn of(swarm: &Swarm) -> Self {
        let (open, ok, failed) = match (swarm.round(), swarm.last_round()) {
            (Some(round), _) => (round.open, round.ok, round.failed),
            (None, Some(round)) => (0, round.ok, round.failed),
            (None, None) => (0, 0, 0),
        };
        Self { closed: ok + failed, failed, all: open + ok + failed }
    }
}

/// A bar, and what runs below it.
pub(super) struct Picture {
    bar: ProgressBar,
    tally: Tally,
    estimated: Option<Estimate>,
}

struct Estimate {
    left: Option<Duration>,
    made: Instant,
    took: Duration,
}

impl Picture {
    fn new(colour: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let template = if colour { "{wide_bar:.cyan/blue} {pos}/{len} {msg}" } else { "{wide_bar} {pos}/{len} {msg}" };
        // The template is ours; a bar without a style is a bar all the same.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        }
        Self { bar, tally: Tally::default(), estimated: None }
    }

    fn draw(&mut self, swarm: &Swarm) {
        let Counts { closed, failed, all } = Counts::of(swarm);
        if all == 0 {
            // Nothing was submitted yet, and a bar of nothing looks full.
            return;
        }
        let mut text = match failed {
            0 => String::new(),
            failed => format!("{failed} failed "),
        };
        // One that has run out was wrong: then nothing is said until there is a better one.
        match self.time_left(swarm).filter(|left| !left.is_zero()).map(|left| left.as_secs()) {
            None => {}
            Some(0) => text.push_str("less than 1 s left"),
            Some(seconds) => {
                let _ = write!(text, "about {} left", duration(seconds * 1_000));
            }
        }
        let running = self.tally.running();
        let more = running.len().saturating_sub(SHOWN);
        for one in running.take(SHOWN) {
            let ms = u64::try_from(one.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            let attempt = if one.attempt > 1 { format!(" (attempt {})", one.attempt) } else { String::new() };
            let _ = write!(text, "\n  {}{attempt} on {}, {}", visible(&one.task), visible(&one.peer), duration(ms));
        }
        if more > 0 {
            let _ = write!(text, "\n  and {more} more");
        }
        self.bar.set_length(u64::from(all));
        self.bar.set_position(u64::from(closed));
        self.bar.set_message(text);
    }

    fn time_left(&mut self, swarm: &Swarm) -> Option<Duration> {
        let since_made = |made: &Estimate| made.made.elapsed();
        let fresh = self.estimated.as_ref().filter(|made| since_made(made) < (made.took * ESTIMATE_PAUSE).max(SUM_UP));
        if let Some(made) = fresh {
            // Meanwhile time goes on.
            return made.left.map(|left| left.saturating_sub(since_made(made)));
        }
        let from = Instant::now();
        let left = time_left(swarm);
        self.estimated = Some(Estimate { left, made: Instant::now(), took: from.elapsed() });
        left
    }
}

/// A line for each end, as many as a person can read.
pub(super) struct Lines {
    tally: Tally,
    pending: Vec<String>,
    /// Lines that may be written now.
    room: u32,
    refilled: Instant,
    untold: u64,
    summed_up: Instant,
    last: Counts,
}

impl Lines {
    fn new(now: Instant) -> Self {
        Self {
            tally: Tally::default(),
            pending: Vec::new(),
            room: BURST,
            refilled: now,
            untold: 0,
            summed_up: now,
            last: Counts::default(),
        }
    }

    /// The lines that may be written now.
    fn due(&mut self, counts: Counts, now: Instant) -> Vec<String> {
        self.last = counts;
        let refills = now.duration_since(self.refilled).as_millis() / REFILL.as_millis();
        if refills > 0 {
            self.room = u32::try_from(refills).unwrap_or(BURST).saturating_add(self.room).min(BURST);
            self.refilled = now;
        }
        let mut lines = Vec::new();
        for line in std::mem::take(&mut self.pending) {
            if self.room > 0 {
                self.room -= 1;
                lines.push(format!("{} {line}", self.place()));
            } else {
                self.untold += 1;
            }
        }
        if now.duration_since(self.summed_up) >= SUM_UP {
            lines.extend(self.sum_up(now));
        }
        lines
    }

    /// How far it is, if lines were left out.
    fn sum_up(&mut self, now: Instant) -> Option<String> {
        self.summed_up = now;
        let untold = std::mem::take(&mut self.untold);
        (untold > 0).then(|| format!("{} and {untold} more lines", self.place()))
    }

    fn place(&self) -> String {
        let Counts { closed, all, .. } = self.last;
        let width = all.to_string().len();
        format!("[{closed:>width$}/{all}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(closed: u32) -> Counts {
        Counts { closed, failed: 0, all: 10_000 }
    }

    #[test]
    fn a_person_can_read_along() {
        let start = Instant::now();
        let mut lines = Lines::new(start);
        lines.pending = (0..1_000).map(|n| format!("task-{n} ok")).collect();
        let told = lines.due(counts(1_000), start);
        assert_eq!(told.len(), BURST as usize);
        assert_eq!(told[0], "[ 1000/10000] task-0 ok");
        assert_eq!(lines.untold, 950);
        lines.pending = (0..100).map(|n| format!("task-{n} ok")).collect();
        let told = lines.due(counts(1_100), start + SUM_UP);
        assert_eq!(told.len(), 6, "one for each fifth of a second, and the sum");
        assert_eq!(told[5], "[ 1100/10000] and 1045 more lines");
        assert!(lines.due(counts(1_100), start + 2 * SUM_UP).is_empty(), "nothing happened");
    }
}
