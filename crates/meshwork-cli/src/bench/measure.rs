//! Figures, their references, and how they are printed.

use serde::Serialize;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// One measured figure.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// In what.
    pub(crate) unit: &'static str,
    /// Median of the counted runs.
    pub(crate) median: f64,
    /// Least.
    pub(crate) min: f64,
    /// Greatest.
    pub(crate) max: f64,
    /// Counted runs.
    pub(crate) runs: usize,
    /// What it is to be held against, measured in the same run where it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<Reference>,
}

/// What a figure is held against.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reference {
    /// Of what.
    pub(crate) name: String,
    /// Its value, in the figure's unit.
    pub(crate) value: f64,
    /// The figure's median over it.
    pub(crate) ratio: f64,
}

impl Figure {
    pub(crate) fn of(name: impl Into<String>, unit: &'static str, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let median = median(&values);
        Self {
            name: name.into(),
            unit,
            median,
            min: at(0),
            max: at(values.len().saturating_sub(1)),
            runs: values.len(),
            reference: None,
        }
    }

    pub(crate) fn against(mut self, name: impl Into<String>, value: f64) -> Self {
        self.reference = Some(Reference { name: name.into(), value, ratio: self.median / value });
        self
    }
}

/// The 50th, 95th and 99th percentile of a time in ms, of each run for itself: medians of the runs, least, greatest.
pub(crate) fn percentiles(name: &str, runs: &[Vec<f64>]) -> [Figure; 3] {
    [50.0, 95.0, 99.0].map(|percent| {
        let of_each = runs.iter().map(|samples| percentile(&mut samples.clone(), percent));
        Figure::of(format!("{name}, p{percent:.0}"), "ms", of_each.collect())
    })
}

/// Median of sorted values.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The `percent`-th percentile of samples.
pub(crate) fn percentile(samples: &mut [f64], percent: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * samples.len() as f64).ceil() as usize;
    samples.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// Appends of 4 KiB with fdatasync a second: what one commit costs on this disk at least.
pub(crate) fn syncs_a_second(dir: &Path) -> std::io::Result<f64> {
    const COUNT: u32 = 200;
    let path = dir.join("sync-reference");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let page = [7u8; 4096];
    let started = Instant::now();
    for _ in 0..COUNT {
        file.write_all(&page)?;
        file.sync_data()?;
    }
    let rate = f64::from(COUNT) / started.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(rate)
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> std::io::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0).ok_or_else(|| std::io::Error::other("no VmRSS in /proc/self/status"))
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// One line a figure.
pub(crate) fn print(figures: &[Figure]) {
    let mut out = std::io::stdout().lock();
    for figure in figures {
        let Figure { name, unit, median, min, max, .. } = figure;
        let mut line = format!("{name:<58} {:>12} {unit:<9} ({} – {})", short(*median), short(*min), short(*max));
        if let Some(Reference { name, value, ratio }) = &figure.reference {
            line.push_str(&format!("  {ratio:.2} × {name} ({})", short(*value)));
        }
        // Whoever closed our output does not want the rest.
        let _closed = writeln!(out, "{line}");
    }
}

pub(crate) fn print_json(document: &impl Serialize) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document)?;
    writeln!(out)
}

fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 1_000.0 => {
            let digits = format!("{value:.0}");
            let groups: Vec<&str> =
                digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("?")).collect();
            groups.join(",")
        }
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
