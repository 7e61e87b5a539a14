//! `proof detector`: exhausts every size, then hunts every mutant.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use meshwork_core::detector::DetectorMutant;
use meshwork_proof::detector::world::Setup;
use meshwork_proof::detector::{early, hunting_ground, reach};

/// Exit 1 when something is not as it must be.
pub(crate) fn run(sizes: &[Setup]) -> ExitCode {
    match report(&mut std::io::stdout().lock(), sizes) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn report(out: &mut impl Write, sizes: &[Setup]) -> std::io::Result<bool> {
    let mut good = true;
    for size in sizes {
        let began = Instant::now();
        let (_, early) = early(size);
        let reach = reach::walk(size);
        good &= early.is_none() && reach.stuck.is_none();
        let Setup { name, peers, messages, starts, duplicates, crashes, .. } = size;
        writeln!(
            out,
            "{name}: {peers} peers, {messages} messages, {starts} starts, {duplicates} duplicates, {crashes} crashes: \
             {} states, {} steps, {} announcements, early {}, stuck {}, {:.1} s",
            reach.states,
            reach.steps,
            reach.announced,
            early.map_or("never".to_owned(), |caught| format!("after {:?}", caught.way)),
            reach.stuck.map_or("never".to_owned(), |way| format!("after {way:?}")),
            began.elapsed().as_secs_f64(),
        )?;
    }
    for (mutant, name) in DetectorMutant::ALL {
        let (states, caught) = early(&hunting_ground(*mutant));
        good &= caught.is_some();
        match caught {
            Some(caught) => writeln!(out, "{name}: caught after {states} states by {} steps", caught.way.len())?,
            None => writeln!(out, "{name}: NOT caught in {states} states")?,
        }
    }
    Ok(good)
}
