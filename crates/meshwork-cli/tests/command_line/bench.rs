//! `bench`: each measurement runs in a small size, and says what it measured. No figure is judged.

use crate::scene::Scene;
use serde_json::Value;

/// The names of what was measured, in their order.
#[track_caller]
fn measured(line: &str) -> Vec<String> {
    let scene = Scene::new();
    let document = scene.meshwork(&format!("{line} --runs 1 --format json")).exits(0).json();
    assert_eq!(document["schemaVersion"], 1);
    let figures = document["figures"].as_array().unwrap();
    for figure in figures {
        let value = |field: &str| figure[field].as_f64().unwrap();
        assert!(value("min") <= value("median") && value("median") <= value("max"), "{figure}");
        assert!(value("median") > 0.0, "{figure}");
        if let Value::Object(reference) = &figure["reference"] {
            assert!(reference["value"].as_f64().unwrap() > 0.0, "{figure}");
        }
    }
    figures.iter().map(|figure| figure["name"].as_str().unwrap().to_owned()).collect()
}

/// So many of them say so.
#[track_caller]
fn say(names: &[String], text: &str, count: usize) {
    assert_eq!(names.iter().filter(|name| name.contains(text)).count(), count, "{text:?} in {names:#?}");
}

#[test]
fn starts_of_a_coordinator_are_measured_step_by_step() {
    let names = measured("bench spawn --tasks 2");
    for setting in ["memory, discovery", "memory, no discovery", "disk, discovery", "disk, no discovery"] {
        say(&names, &format!("{setting}, p"), 3);
        for step in ["log", "node", "books", "welcome", "discovery"] {
            say(&names, &format!("{setting}: mean of its {step}"), 1);
        }
    }
}

#[test]
fn meetings_of_two_discoveries_are_measured() {
    let names = measured("bench discovery --tasks 2");
    say(&names, "states stored too", 3);
    say(&names, "nothing stored", 3);
}

#[test]
fn resumes_are_measured_in_process_and_of_a_process() {
    let names = measured("bench resume --tasks 2");
    say(&names, "the body of an in-process agent goes on", 6);
    say(&names, "a waiting task starts in process", 6);
    say(&names, "the first byte of a `shell` peer's process", 3);
    say(&names, "the first byte of a bare process", 3);
}

#[test]
fn messages_are_measured_in_both_ways() {
    let names = measured("bench messages --tasks 1000");
    say(&names, "by attempts", 3);
    say(&names, "by `send_to_peer`", 3);
}

#[test]
fn artifacts_are_measured_beside_bare_files() {
    let names = measured("bench artifacts --tasks 2");
    say(&names, "64 KiB artifact", 9);
    say(&names, "64 KiB in a bare file", 3);
    say(&names, "one commit of this disk", 3);
}
