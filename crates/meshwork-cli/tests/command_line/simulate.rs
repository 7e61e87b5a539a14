//! `simulate`: the same seed is the same play, campaigns say what they did, and bad calls are refused.

use crate::scene::Scene;

#[test]
fn a_seed_is_told_the_same_way_every_time() {
    let scene = Scene::new();
    let line = "simulate --tasks 8 --seed 5 --trace";
    let once = scene.meshwork(line).exits(0);
    let told =
        |text: &str| text.lines().take_while(|line| !line.contains(" schedules ")).collect::<Vec<_>>().join("\n");
    assert!(told(&once.out).contains("attempt 1 on p"), "{}", once.out);
    assert!(told(&once.out).contains("log    round 1 is closed at"), "{}", once.out);
    assert_eq!(told(&once.out), told(&scene.meshwork(line).exits(0).out));
    let other = scene.meshwork("simulate --tasks 8 --seed 6 --trace").exits(0);
    assert_ne!(told(&once.out), told(&other.out));
    let json = scene.meshwork(&format!("{line} --format json")).exits(0).json();
    let lines: Vec<&str> = json["trace"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(lines.join("\n"), told(&once.out), "the same lines for a program");
}

#[test]
fn a_campaign_says_what_it_injected_and_found() {
    let scene = Scene::new();
    let ended = scene.meshwork("simulate --workload all --schedules 60 --jobs 2").exits(0);
    let ended = ended.mentions("60 of 60 schedules from seed 0 on: 3 nodes, 6 peers, about 12 tasks, faults all");
    let ended = ended.mentions("early completions 0 · lost tasks 0 · double commits 0 · missed completions 0");
    let ended =
        ended.mentions("append-lost").mentions("deliveries").mentions("from the last result to completion told");
    assert_eq!(ended.err, "", "nobody watches a terminal here");
}

#[test]
fn a_campaign_as_a_document() {
    let scene = Scene::new();
    let line = "simulate --nodes 2 --peers 5 --slots 2 --tasks 9 --faults crash,stored-twice --workload waiting \
                --seed 40 --schedules 25 --format json";
    let document = scene.meshwork(line).exits(0).json();
    assert_eq!((&document["schemaVersion"], &document["schedules"]), (&1.into(), &25.into()));
    let plan = serde_json::json!({
        "nodes": 2, "peers": 5, "slots": 2, "tasks": 9, "workload": "waiting", "faults": "stored-twice,crash",
        "seed": 40, "schedules": 25,
    });
    assert_eq!(document["plan"], plan);
    let injected: Vec<&String> = document["injected"].as_object().unwrap().keys().collect();
    assert_eq!(injected, ["crash", "stored-twice"]);
    let findings = document["findings"].as_object().unwrap();
    assert!(findings.len() == 10 && findings.values().all(|count| *count == 0), "{findings:?}");
    assert!(document["log"]["entries"].as_u64() > document["tasks"].as_u64(), "{document}");
    assert!(document["detection"]["completions"].as_u64() >= Some(25), "{document}");
    assert!(document["first"].is_null() && document["interrupted"] == false, "{document}");
    let again = scene.meshwork(&format!("{line} --jobs 3")).exits(0).json();
    assert_eq!(document, again, "however many play at once");
}

#[test]
fn one_schedule_shows_its_imbalance() {
    let scene = Scene::new();
    let line = "simulate --faults none --nodes 2 --peers 40 --tasks 400 --workload fan-out --format json";
    let document = scene.meshwork(line).exits(0).json();
    assert_eq!((&document["tasks"], &document["rounds"]), (&400.into(), &1.into()));
    assert!(!document["imbalance"].as_array().unwrap().is_empty(), "{document}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let scene = Scene::new();
    let refused = |line: &str, says: &str| scene.meshwork(line).exits(2).says(says);
    refused("simulate --faults crash,flood", "\"flood\" is no fault");
    refused("simulate --workload nothing", "\"nothing\" is no workload");
    refused("simulate --trace --schedules 2", "--trace tells one schedule, found --schedules 2");
    refused("simulate --seed 18446744073709551615 --schedules 2", "the last seed would be beyond");
    refused("simulate --nodes 0", "--nodes");
    refused("simulate --schedules 0", "--schedules");
    let document = scene.meshwork("simulate --trace --schedules 2 --format json").exits(2).json();
    assert_eq!(document["error"]["code"], "Usage");
}
