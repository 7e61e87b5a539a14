//! JSON documents, files that are written, and what goes to stdout and what to stderr.

use crate::scene::Scene;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A swarm that has run, with an artifact and a failed task.
fn finished() -> Scene {
    let scene = Scene::new();
    scene.write(
        "swarm.toml",
        "[swarm]\nid = 'done'\n[[peers]]\nid = 'p'\ncapabilities = ['x']\n\
         [[tasks]]\nid = 'good'\nrun = 'echo content | \"$MESHWORK_BIN\" put notes/one'\n\
         [[tasks]]\nid = 'bad'\nrun = 'echo broken >&2; exit 1'\nretries = 1\n",
    );
    scene.meshwork("run swarm.toml").exits(1);
    scene
}

#[test]
fn every_reading_command_answers_with_one_document() {
    let scene = finished();
    for (line, key) in [
        ("status", "tasks"),
        ("tasks", "tasks"),
        ("peers", "peers"),
        ("events", "events"),
        ("artifacts", "artifacts"),
        ("artifacts list notes/", "artifacts"),
        ("report", "tasks"),
        ("explain good", "task"),
    ] {
        let ended = scene.meshwork(&format!("{line} --format json")).exits(0);
        let document = ended.json();
        assert_eq!((&document["schemaVersion"], &document["swarmId"]), (&json!(1), &json!("done")), "{line}");
        assert!(!document[key].is_null(), "{line}: {document}");
        assert_eq!(ended.err, "", "{line}");
        let human = scene.meshwork(line).exits(0);
        assert!(!human.out.is_empty() && human.err.is_empty(), "{line}: {human:?}");
    }
    let status = scene.meshwork("status --format json").json();
    assert_eq!((&status["live"], &status["state"]), (&json!(false), &json!("completed")));
    assert_eq!((&status["tasks"]["completed"], &status["tasks"]["failed"]), (&json!(1), &json!(1)));
}

#[test]
fn explain_shows_facts_attempts_and_errors() {
    let scene = finished();
    let explained = scene.meshwork("explain bad").exits(0);
    for expected in ["task \"bad\" ended as failed after 2 failed attempts", "returned", "closed", "broken", "ATTEMPT"]
    {
        assert!(explained.out.contains(expected), "{expected}: {explained:?}");
    }
    scene.meshwork("explain baad").exits(2).says("did you mean \"bad\"?");
    let unknown = scene.meshwork("explain nothing-like-it --format json").exits(2);
    assert_eq!(unknown.json()["error"]["code"], "UnknownTask");
}

#[test]
fn tasks_can_be_chosen() {
    let scene = finished();
    let ids = |line: &str| {
        let document = scene.meshwork(line).exits(0).json();
        let tasks = document["tasks"].as_array().unwrap().iter();
        tasks.map(|task| task["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids("tasks --only failed --format json"), ["bad"]);
    assert_eq!(ids("tasks --only failed,completed --format json").len(), 2);
    assert_eq!(ids("tasks --limit 1 --format json").len(), 1);
}

#[test]
fn artifacts_are_got_whole() {
    let scene = finished();
    assert_eq!(scene.meshwork("artifacts get notes/one").exits(0).out, "content\n");
    scene.meshwork("artifacts get notes/one -o copy").exits(0);
    assert_eq!(std::fs::read_to_string(scene.path("copy")).unwrap(), "content\n");
    let missing = scene.meshwork("artifacts get notes/two --format json").exits(2);
    assert_eq!(missing.json()["error"]["code"], "NotFound");
}

#[test]
fn a_reader_that_goes_away_is_nobodys_error() {
    let scene = finished();
    for line in ["events", "events --format json", "schema", "report"] {
        let (status, err) = scene.read_one_line(line);
        assert_eq!((status.code(), err.as_str()), (Some(0), ""), "{line}");
    }
}

#[test]
fn one_of_several_swarms_is_chosen_aloud() {
    let scene = finished();
    scene.write("other.toml", "[[peers]]\nid = 'p'\n[[tasks]]\nid = 'a'\nrun = 'true'\n");
    scene.meshwork("run other.toml").exits(0);
    let newest = scene.meshwork("status --format json").exits(0).says("2 swarms in .meshwork");
    assert_eq!(newest.json()["swarmId"], "other");
    assert_eq!(scene.meshwork("status --swarm done --format json").exits(0).json()["swarmId"], "done");
    scene.meshwork("status --swarm nobody").exits(2).says("no swarm \"nobody\"");
    scene.meshwork("status --state elsewhere").exits(2).says("elsewhere");
}

#[test]
fn events_follow_a_live_swarm_to_its_end_and_a_finished_one_not() {
    let scene = Scene::new();
    scene.write("swarm.toml", "[[peers]]\nid = 'p'\n[[tasks]]\nid = 'long'\nrun = 'echo up > up; sleep 60'\n");
    let up = scene.fifo("up");
    let mut run = scene.start("run swarm.toml");
    up.arrives();
    let mut follow = scene.start("events --follow --format json");
    follow.until_it_prints("task-started");
    run.until_it_says("swarm");
    assert_eq!(scene.meshwork("status --format json").exits(0).json()["live"], true);
    run.signal(Signal::SIGINT);
    run.ended().exits(130);
    let followed = follow.ended().exits(0).says("the swarm has stopped");
    let rows: Vec<Value> = followed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.iter().any(|row| row["event"] == "attempt-ended" && row["outcome"] == "interrupted"));
    let after = scene.meshwork("events --follow").exits(0).says("does not run at this moment");
    assert!(after.out.lines().count() >= rows.len());
}

#[test]
fn a_first_file_comes_runs_and_is_not_overwritten() {
    let scene = Scene::new();
    scene.meshwork("init").exits(0);
    scene.meshwork("check swarm.toml --format json").exits(0);
    scene.meshwork("run swarm.toml").exits(0);
    let before = scene.listing();
    scene.meshwork("init").exits(2).says("swarm.toml: the file is there already");
    assert_eq!(scene.listing(), before);
}

#[test]
fn a_recorded_workflow_is_imported_and_runs() {
    let scene = Scene::new();
    let task = |n: usize| json!({"id": format!("t{n}"), "name": "t", "parents": if n == 0 { vec![] } else { vec![format!("t{}", (n - 1) / 2)] }});
    let ran = |n: usize| json!({"id": format!("t{n}"), "runtimeInSeconds": 0.5});
    let instance = json!({
        "name": "made for a test", "schemaVersion": "1.5",
        "workflow": {
            "specification": {"tasks": (0..15).map(task).collect::<Vec<_>>()},
            "execution": {"tasks": (0..15).map(ran).collect::<Vec<_>>()},
        },
    });
    scene.write("instance.json", instance.to_string());
    let imported = scene.meshwork("import wfformat instance.json --peers 4 --id tree").exits(0);
    assert_eq!(imported.err, "");
    scene.write("tree.toml", &imported.out);
    let report = scene.meshwork("run tree.toml --format json").exits(0).json();
    let tasks = report["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 15);
    for task in tasks {
        assert_eq!(task["attempts"].as_array().unwrap().len(), 1, "{task}");
        for dependency in task["dependencies"].as_array().unwrap() {
            let before = tasks.iter().find(|other| other["id"] == *dependency).unwrap();
            assert!(before["completedAt"].as_u64() <= task["attempts"][0]["startedAt"].as_u64(), "{task}");
        }
    }
    scene.meshwork("import wfformat tree.toml").exits(2).says("tree.toml: not JSON");
    scene.meshwork("import wfformat none.json").exits(2).says("none.json");
}

#[test]
fn schemas_completions_and_the_doctor_answer() {
    let scene = finished();
    assert_eq!(scene.meshwork("schema").exits(0).json()["title"], "meshwork swarm file");
    assert!(scene.meshwork("schema report").exits(0).json()["properties"]["swarmId"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        assert!(scene.meshwork(&format!("completions {shell}")).exits(0).out.contains("meshwork"));
    }
    let doctor = scene.meshwork("doctor --swarm done").exits(0);
    let line = doctor.out.lines().last().unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    assert!(matches!(words.as_slice(), ["state", "hash", hash, "at", _] if hash.len() == 16), "{line}");
    assert_eq!(scene.meshwork("doctor --swarm done").out.lines().last(), Some(line), "the same each time");
    let document = scene.meshwork("doctor --swarm done --format json").exits(0).json();
    assert_eq!((&document["ok"], &document["swarm"]["stateHash"]), (&json!(true), &json!(words[2])));
}
