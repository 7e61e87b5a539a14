//! Running the same file again: what changed runs, with what depends on it, and nothing else.

use crate::scene::Scene;
use serde_json::Value;

/// The example that newcomers run, in a folder as it lies in the repository.
fn hello() -> (Scene, String) {
    let scene = Scene::new();
    let file = include_str!("../../../../examples/hello-mesh.toml");
    scene.write("examples/hello-mesh.toml", file);
    (scene, file.to_owned())
}

const RUN: &str = "run examples/hello-mesh.toml --format json";

/// Ids of the tasks of a round.
fn of_round(report: &Value, round: u64) -> Vec<String> {
    let tasks = report["tasks"].as_array().unwrap().iter().filter(|task| task["round"] == round);
    let mut ids: Vec<String> = tasks.map(|task| task["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn the_example_runs_and_then_only_what_was_edited() {
    let (scene, file) = hello();
    let first = scene.meshwork(RUN).exits(0).json();
    assert_eq!(of_round(&first, 1).len(), 13, "twelve tasks and a subtask");
    let task = |id: &str| first["tasks"].as_array().unwrap().iter().find(|task| task["id"] == id).unwrap().clone();
    assert_eq!(task("flaky")["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(task("report")["verified"], true);
    assert_eq!(task("greet-child")["parent"], "delegate");
    assert!(scene.path("examples/.meshwork/hello-mesh/report.json").is_file(), "the state lies beside the file");

    let again = scene.meshwork(RUN).exits(0).says("nothing is left to do").json();
    assert_eq!(again["completionId"], first["completionId"]);

    scene.write("examples/hello-mesh.toml", file.replace("the left side", "the other left side"));
    let edited = scene.meshwork(RUN).exits(0).json();
    assert_eq!(of_round(&edited, 2), ["goodbye", "join", "left", "report"]);
    assert_eq!(of_round(&edited, 1).len(), 9);
}

#[test]
fn what_failed_runs_again_and_what_completed_does_not() {
    let scene = Scene::new();
    scene.write(
        "swarm.toml",
        "[[peers]]\nid = 'p'\n[[tasks]]\nid = 'good'\nrun = 'echo ran >> good'\n\
         [[tasks]]\nid = 'bad'\nrun = 'test -e fixed'\n[[tasks]]\nid = 'behind'\nrun = 'true'\ndependencies = ['bad']\n",
    );
    scene.meshwork("run swarm.toml").exits(1);
    scene.write("fixed", "");
    let report = scene.meshwork("run swarm.toml --format json").exits(0).json();
    assert_eq!(of_round(&report, 2), ["bad", "behind"]);
    assert_eq!(std::fs::read_to_string(scene.path("good")).unwrap(), "ran\n");
}

#[test]
fn fresh_starts_over_and_keeps_the_old_folder() {
    let scene = Scene::new();
    scene.write("swarm.toml", "[[peers]]\nid = 'p'\n[[tasks]]\nid = 'a'\nrun = 'echo ran >> a'\n");
    scene.meshwork("run swarm.toml").exits(0);
    scene.meshwork("run swarm.toml --fresh").exits(0).says("swarm.old-1");
    assert_eq!(std::fs::read_to_string(scene.path("a")).unwrap(), "ran\nran\n");
    assert!(scene.path(".meshwork/swarm.old-1/swarm.db").is_file());
}

#[test]
fn a_started_task_that_was_edited_in_an_open_round_is_named() {
    let scene = Scene::new();
    let file = "[[peers]]\nid = 'p'\n[[tasks]]\nid = 'first'\nrun = 'true'\n\
                [[tasks]]\nid = 'never'\nrun = 'true'\nrequired_capabilities = ['gpu']\n";
    scene.write("swarm.toml", file);
    scene.meshwork("run swarm.toml").exits(3);
    scene.write("swarm.toml", file.replacen("'true'", "'echo changed'", 1));
    let refused = scene.meshwork("run swarm.toml --format json").exits(2);
    let error = &refused.json()["error"];
    assert_eq!(error["code"], "ChangedTask");
    assert!(error["message"].as_str().unwrap().contains("\"first\""), "{error}");
}
