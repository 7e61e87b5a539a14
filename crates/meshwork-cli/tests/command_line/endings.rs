//! Each exit code, and what a person or a program is told with it.

use crate::scene::Scene;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

const PEER: &str = "[[peers]]\nid = 'p'\nmax_concurrent_tasks = 2\n";

fn scene(file: &str) -> Scene {
    let scene = Scene::new();
    scene.write("swarm.toml", format!("{PEER}{file}"));
    scene
}

#[test]
fn all_completed_is_0_and_a_second_run_has_nothing_to_do() {
    let scene = scene("[[tasks]]\nid = 'a'\nrun = 'true'\n[[tasks]]\nid = 'b'\nrun = 'true'\ndependencies = ['a']\n");
    let first = scene.meshwork("run swarm.toml --format json --report copy.json").exits(0).says("b ok");
    let report = first.json();
    assert_eq!((&report["completed"], &report["succeeded"]), (&true.into(), &true.into()));
    assert_eq!(report["tasks"].as_array().unwrap().len(), 2);
    let copy = std::fs::read_to_string(scene.path("copy.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&copy).unwrap(), report);
    assert_eq!(scene.meshwork("report --format json").exits(0).json(), report, "the report again");
    assert_eq!(scene.meshwork("report copy.json --format json").exits(0).json(), report);
    let again = scene.meshwork("run swarm.toml --format json").exits(0).says("nothing is left to do");
    assert_eq!(again.json(), report, "nothing was run");
}

#[test]
fn a_failed_task_is_1_and_told_with_its_reason() {
    let scene = scene("[[tasks]]\nid = 'bad'\nrun = 'echo broken >&2; exit 3'\n[[tasks]]\nid = 'good'\nrun = 'true'\n");
    let ended = scene.meshwork("run swarm.toml").exits(1).says("task \"bad\" ended as failed");
    assert!(ended.err.contains("broken") && ended.out.contains("broken"), "{ended:?}");
    let report = scene.meshwork("report --format json").exits(0).json();
    assert_eq!((&report["completed"], &report["succeeded"]), (&true.into(), &false.into()));
}

#[test]
fn usage_is_2() {
    let scene = Scene::new();
    scene.meshwork("run").exits(2);
    scene.meshwork("no-such-command").exits(2);
    let ended = scene.meshwork("run --no-such-flag --format json").exits(2);
    assert_eq!(ended.json()["error"]["code"], "Usage");
    scene.meshwork("status").exits(2).says("no swarm in .meshwork");
    scene.meshwork("--help").exits(0);
    scene.meshwork("--version").exits(0);
    assert!(scene.listing().is_empty());
}

#[test]
fn what_nobody_can_run_is_3_after_the_rest_was_run() {
    let scene = scene(
        "[[tasks]]\nid = 'gpu'\nrun = 'true'\nrequired_capabilities = ['gpu']\n\
         [[tasks]]\nid = 'behind'\nrun = 'true'\ndependencies = ['gpu']\n[[tasks]]\nid = 'other'\nrun = 'true'\n",
    );
    let check = scene.meshwork("check swarm.toml").exits(3);
    assert!(check.out.contains("task `gpu` can never run: no peer has `gpu`"), "{check:?}");
    assert!(!scene.path(".meshwork").exists(), "checking creates nothing");
    let ended = scene.meshwork("run swarm.toml").exits(3).says("no peer has the capability \"gpu\"");
    assert!(ended.err.contains("other ok") && ended.err.contains("task \"behind\" waits for \"gpu\""), "{ended:?}");
    let report = scene.meshwork("report --format json").exits(0).json();
    assert_eq!(report["completed"], false);
    let explained = scene.meshwork("explain behind").exits(0);
    let sentence = "task \"behind\" waits for \"gpu\" (the swarm does not run at this moment)\n";
    assert!(explained.out.starts_with(sentence), "{explained:?}");
}

#[test]
fn the_time_limit_of_a_run_is_3_and_can_be_gone_on_from() {
    let scene = Scene::new();
    let file = "[limits]\nrun_timeout = '300ms'\n[[peers]]\nid = 'p'\n[[tasks]]\nid = 'long'\nrun = 'test -e go || sleep 60'\n";
    scene.write("swarm.toml", file);
    let ended = scene.meshwork("run swarm.toml").exits(3);
    assert!(ended.err.contains("time limit") && ended.err.contains("meshwork run swarm.toml"), "{ended:?}");
    let report = scene.meshwork("report --format json").exits(0).json();
    assert_eq!(report["tasks"][0]["attempts"][0]["outcome"], "interrupted");
    scene.write("go", "");
    scene.write("swarm.toml", file.replace("300ms", "1h"));
    scene.meshwork("run swarm.toml").exits(0);
}

#[test]
fn a_damaged_log_is_4_for_whoever_reads_it() {
    let scene = scene("[[tasks]]\nid = 'a'\nrun = 'true'\n");
    scene.meshwork("run swarm.toml").exits(0);
    scene.write(".meshwork/swarm/swarm.db", "not a database, and long enough to be looked at as one");
    for line in ["run swarm.toml", "status", "tasks", "peers", "events", "report", "explain a", "doctor --swarm swarm"]
    {
        let ended = scene.meshwork(&format!("{line} --format json")).exits(4);
        let error = &ended.json()["error"];
        assert_eq!((&error["code"], &error["stateChanged"]), (&"NotADatabase".into(), &false.into()), "{line}");
    }
}

#[test]
fn an_interrupted_run_is_130_and_the_same_command_goes_on() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scene = scene(
            "[[tasks]]\nid = 'first'\nrun = 'echo ran >> first'\n\
             [[tasks]]\nid = 'long'\nrun = 'test -e go || sleep 60'\ndependencies = ['first']\n",
        );
        let mut run = scene.start("run swarm.toml");
        run.until_it_says("first ok");
        run.signal(signal);
        run.ended().exits(130).says("Go on with: meshwork run swarm.toml\n");
        let report = scene.meshwork("report --format json").exits(0).json();
        assert_eq!(report["completed"], false);
        scene.write("go", "");
        scene.meshwork("run swarm.toml").exits(0).says("going on with round 1: 1 of 2 tasks are closed");
        assert_eq!(std::fs::read_to_string(scene.path("first")).unwrap(), "ran\n", "what is completed runs once");
    }
}

#[test]
fn a_second_signal_ends_at_once_what_does_not_listen_to_the_first() {
    let scene = scene("[[tasks]]\nid = 'deaf'\nrun = 'trap \"\" TERM INT; echo up > up; sleep 60'\n");
    let up = scene.fifo("up");
    let mut run = scene.start("run swarm.toml");
    up.arrives();
    let mut follow = scene.start("events --follow");
    follow.until_it_prints("deaf #1 on p");
    let before = Instant::now();
    run.signal(Signal::SIGINT);
    run.until_it_says("once more ends it at once");
    run.signal(Signal::SIGINT);
    run.ended().exits(130);
    assert!(before.elapsed() < Duration::from_secs(4), "the grace of 5 s was not waited for");
    let followed = follow.ended().exits(0).says("the swarm has stopped");
    assert!(followed.out.contains("deaf #1 on p interrupted"), "{followed:?}");
}

#[test]
fn quiet_says_nothing() {
    let scene = scene("[[tasks]]\nid = 'bad'\nrun = 'exit 1'\n");
    let ended = scene.meshwork("run swarm.toml --format quiet").exits(1);
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("", ""));
}

#[test]
fn unread_messages_are_told_at_the_end() {
    let scene = Scene::new();
    scene.write(
        "swarm.toml",
        "[[peers]]\nid = 'p'\ncapabilities = ['say']\n[[peers]]\nid = 'q'\n\
         [[tasks]]\nid = 'say'\nrequired_capabilities = ['say']\nrun = '\"$MESHWORK_BIN\" send q note \"{}\"'\n",
    );
    let ended = scene.meshwork("run swarm.toml --format json").exits(0).says("unread: 1 message to \"q\"");
    assert_eq!(ended.json()["metrics"]["unreadMessages"], 1);
    scene.meshwork("status").exits(0);
    assert_eq!(scene.meshwork("status --format json").exits(0).json()["unreadMessages"], 1);
}

#[test]
fn a_killed_swarm_is_read_and_gone_on_with() {
    let scene = scene("[[tasks]]\nid = 'long'\nrun = 'test -e go || { echo up > up; sleep 60; }'\n");
    let up = scene.fifo("up");
    let mut run = scene.start("run swarm.toml");
    run.until_it_says("swarm");
    up.arrives();
    run.signal(Signal::SIGKILL);
    run.killed();
    let status = scene.meshwork("status --format json").exits(0).json();
    assert_eq!((&status["live"], &status["tasks"]["running"]), (&false.into(), &1.into()));
    assert!(scene.meshwork("explain long").exits(0).out.contains("runs at \"p\""));
    scene.meshwork("doctor").exits(1).mentions("of swarm \"swarm\"");
    scene.write("go", "");
    scene.meshwork("run swarm.toml").exits(0).says("left behind by a killed run, was ended");
    scene.meshwork("doctor --swarm swarm").exits(0);
}
