//! Nothing that was acknowledged or delivered is lost, whatever a power cut leaves; and a disk that lies is noticed.

use std::io::Write;

use meshwork_powerloss::campaign::{Campaign, Report, replay};
use meshwork_powerloss::tape::Honest;

/// How many images at least; a release is proven with 100,000.
const IMAGES: &str = "MESHWORK_IMAGES";
const IMAGES_HERE: u64 = 10_000;
/// The seed of the first recording.
const SEED: &str = "MESHWORK_SEED";
/// An image that failed: `FOLDER:POINT:VARIANT`.
const REPLAY: &str = "MESHWORK_REPLAY";

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Past the test harness, which would keep the figures of what passed to itself.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error takes a line");
}

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    if let Ok(failure) = std::env::var(REPLAY) {
        assert_eq!(replay(&failure), Ok(()));
        return;
    }
    let images = number(IMAGES, IMAGES_HERE);
    let report = Campaign { images, per_point: 4, seed: number(SEED, 1), honest: Honest::Always }.run();
    say(&report.to_string());
    let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert!(report.found == 0, "{} losses:\n{}", report.found, failures.join("\n"));
    assert!(report.images >= images);
}

fn lie(honest: Honest) -> Report {
    let report = Campaign { images: 400, per_point: 2, seed: 1, honest }.run();
    say(&format!("{honest:?}: {report}"));
    for failure in &report.failures {
        say(&format!("{honest:?}: {failure}"));
    }
    report
}

#[test]
fn losses_are_found_where_nothing_is_synced() {
    assert!(lie(Honest::Never).found > 0);
}

#[test]
fn losses_are_found_where_the_write_ahead_log_is_not_synced() {
    assert!(lie(Honest::NotForWal).found > 0);
}

#[test]
fn losses_are_found_where_the_database_is_not_synced() {
    assert!(lie(Honest::NotForDatabase).found > 0);
}

#[test]
fn losses_are_found_where_names_are_not_synced() {
    assert!(lie(Honest::NotForNames).found > 0);
}
