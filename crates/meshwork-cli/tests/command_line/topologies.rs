//! The same file under each topology: what comes out is the same, and who knows whom is as it was asked for.

use crate::scene::Scene;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const HELLO: &str = include_str!("../../../../examples/hello-mesh.toml");

/// The example in the topology, with an addition.
fn hello(topology: &str, more: &str) -> (Scene, Value) {
    let scene = Scene::new();
    let wanted = format!("topology = \"{topology}\"\n{more}");
    scene.write("examples/hello-mesh.toml", HELLO.replace("topology = \"mesh\"\n", &wanted));
    let report = scene.meshwork("run examples/hello-mesh.toml --format json").exits(0).json();
    (scene, report)
}

/// Id, role, who is above, and neighbours of each peer.
fn standing(document: &Value) -> Vec<Value> {
    let peers = document["peers"].as_array().unwrap().iter();
    peers.map(|peer| json!([peer["id"], peer["role"], peer["above"], peer["neighbors"]])).collect()
}

/// What came out of each task, whoever did it.
fn results(report: &Value) -> Vec<Value> {
    let tasks = report["tasks"].as_array().unwrap().iter();
    let mut all: Vec<Value> = tasks.map(|task| json!([task["id"], task["outcome"], task["result"]])).collect();
    all.sort_by_key(ToString::to_string);
    all
}

#[test]
fn the_same_file_comes_to_the_same_under_each_topology() {
    let (_, mesh) = hello("mesh", "");
    assert_eq!(mesh["topology"], "mesh");
    assert_eq!(mesh["queen"], Value::Null);
    let all_know_all = [
        json!(["greeter", null, null, ["writer", "checker"]]),
        json!(["writer", null, null, ["greeter", "checker"]]),
        json!(["checker", null, null, ["greeter", "writer"]]),
    ];
    assert_eq!(standing(&mesh), all_know_all);
    let (scene, auto) = hello("auto", "");
    assert_eq!((&auto["topology"], standing(&auto)), (&json!("mesh"), all_know_all.to_vec()));
    assert_eq!(scene.meshwork("status --state examples/.meshwork --format json").exits(0).json()["topology"], "mesh");
    let (_, hybrid) = hello("hybrid", "");
    let one_cell = [
        json!(["greeter", "queen", null, ["writer", "checker"]]),
        json!(["writer", "worker", "greeter", ["greeter", "checker"]]),
        json!(["checker", "worker", "greeter", ["greeter", "writer"]]),
    ];
    assert_eq!((&hybrid["topology"], standing(&hybrid)), (&json!("hybrid"), one_cell.to_vec()));
    let (scene, tree) = hello("hierarchical", "[hierarchical]\nbranching = 1\nmin_workers = 2\n");
    let chain = [
        json!(["greeter", "queen", null, ["writer"]]),
        json!(["writer", "worker", "greeter", ["greeter", "checker"]]),
        json!(["checker", "worker", "writer", ["writer"]]),
    ];
    assert_eq!((&tree["topology"], standing(&tree)), (&json!("hierarchical"), chain.to_vec()));
    assert_eq!(tree["queen"], "greeter");
    assert_eq!(tree["topologyValidation"]["recommendedTopology"], "mesh", "honoured, with a warning");
    for other in [&auto, &hybrid, &tree] {
        assert_eq!(results(other), results(&mesh));
    }
    // Whoever reads the log later says the same.
    let read = |command: &str| scene.meshwork(&format!("{command} --state examples/.meshwork --format json")).exits(0);
    assert_eq!(read("peers").json()["topology"], "hierarchical");
    assert_eq!(read("peers").json()["topologyValidation"], tree["topologyValidation"]);
    assert_eq!(read("explain goodbye").json()["topology"], "hierarchical");
    assert_eq!(read("explain goodbye").json()["prefers"], "greeter", "nobody else can greet");
    assert!(read("events").out.contains("hierarchical (asked for: hierarchical, for 3 agents)"));
}

/// A queen, workers with one slot each, and a task that the file's last peer alone can do.
fn staffed(tasks: usize, hierarchical: &str) -> String {
    let mut file = format!(
        "[swarm]\ntopology = 'hierarchical'\n[hierarchical]\n{hierarchical}\n\
         [[peers]]\nid = 'queen'\nmax_concurrent_tasks = 1\ncapabilities = ['rule']\n\
         [[peers]]\nid = 'w'\ncount = 4\nmax_concurrent_tasks = 1\ncapabilities = ['work']\n\
         [[peers]]\nid = 'expert'\ncapabilities = ['know']\n\
         [[tasks]]\nid = 'known'\nrun = 'true'\nrequired_capabilities = ['know']\n"
    );
    for number in 0..tasks {
        let task = "run = 'true'\nrequired_capabilities = ['work']\n";
        file.push_str(&format!("[[tasks]]\nid = 't{number}'\n{task}"));
    }
    file
}

/// Ids of peers that came, and those that were let go.
fn comings_and_goings(scene: &Scene) -> (Vec<String>, Vec<String>) {
    let events = scene.meshwork("events --format json").exits(0).json();
    let rows = events["events"].as_array().unwrap();
    let of = |event: &str, word: &str| {
        let rows = rows
            .iter()
            .filter(|row| row["event"] == event)
            .filter(|row| row["detail"].as_str().is_some_and(|detail| detail.contains(word)));
        rows.map(|row| row["peerId"].as_str().unwrap().to_owned()).collect()
    };
    (of("peer-up", "slots"), of("peer-down", "let go"))
}

#[test]
fn workers_come_when_the_load_or_a_task_asks_for_them() {
    let scene = Scene::new();
    // Nothing but what the least workers can do at once.
    scene.write("swarm.toml", staffed(0, "min_workers = 2").replace("['know']\n", "['work']\n"));
    scene.meshwork("run swarm.toml").exits(0);
    assert_eq!(comings_and_goings(&scene).0, ["queen", "w-1", "w-2"]);
    // More tasks than slots call all that there may be, in order, and no more.
    scene.write("swarm.toml", staffed(20, "min_workers = 1\nmax_workers = 3").replace("['know']\n", "['work']\n"));
    scene.meshwork("run swarm.toml --fresh").exits(0);
    assert_eq!(comings_and_goings(&scene).0, ["queen", "w-1", "w-2", "w-3"]);
    // What only the last of the file can do is done by it, though there is room for one worker only.
    scene.write("swarm.toml", staffed(1, "max_workers = 1"));
    let report = scene.meshwork("run swarm.toml --fresh --format json").exits(0).json();
    assert_eq!(report["succeeded"], true);
    let (came, let_go) = comings_and_goings(&scene);
    assert!(came.contains(&"expert".to_owned()) && let_go.contains(&"w-1".to_owned()), "{came:?} {let_go:?}");
    // Where the load does not decide, and where nobody said how few are enough, all are there from the start.
    for all in ["auto_scale = false", "", "branching = 2"] {
        scene.write("swarm.toml", staffed(0, all));
        scene.meshwork("run swarm.toml --fresh").exits(0);
        let everybody = ["queen", "w-1", "w-2", "w-3", "w-4", "expert"].map(str::to_owned).to_vec();
        assert_eq!(comings_and_goings(&scene), (everybody, Vec::new()), "{all}");
    }
}

#[test]
fn peers_that_were_written_down_are_all_there_however_little_there_is_to_do() {
    let scene = Scene::new();
    scene.write("swarm.toml", "[[peers]]\nid = 'p'\ncount = 10\n[[tasks]]\nid = 'only'\nrun = 'true'\n");
    let report = scene.meshwork("run swarm.toml --format json").exits(0).json();
    assert_eq!((&report["topology"], &report["queen"]), (&json!("hierarchical"), &json!("p-1")));
    let all: Vec<String> = (1..=10).map(|number| format!("p-{number}")).collect();
    assert_eq!(comings_and_goings(&scene), (all, Vec::new()), "each came once, and none was let go");
    assert_eq!(report["peers"].as_array().unwrap().len(), 10);
}

#[test]
fn a_strategy_is_a_setting_of_the_swarm() {
    let scene = Scene::new();
    let peers = "[[peers]]\nid = 'p'\ncount = 10\n[[tasks]]\nid = 'only'\nrun = 'true'\n";
    scene.write("swarm.toml", format!("[swarm]\nstrategy = 'performance'\n{peers}"));
    let check = scene.meshwork("check swarm.toml --format json").exits(0).json();
    assert_eq!(check["chosenTopology"], "mesh");
    let report = scene.meshwork("run swarm.toml --format json").exits(0).json();
    assert_eq!((&report["topology"], &report["succeeded"]), (&json!("mesh"), &json!(true)));
    // Another strategy is an edited setting, as other limits are.
    scene.write("swarm.toml", format!("[swarm]\nstrategy = 'adaptive'\n{peers}").replace("'true'", "'true '"));
    let report = scene.meshwork("run swarm.toml --format json").exits(0).json();
    assert_eq!(report["topology"], "hierarchical", "for the ten that are there");
}

const WAITS: &str = "until test -e going; do sleep 0.05; done";

#[test]
fn workers_with_nothing_to_do_are_let_go_while_others_work() {
    let scene = Scene::new();
    // The expert's task goes on until all others were let go.
    scene.write(
        "swarm.toml",
        staffed(20, "min_workers = 1").replace(
            "run = 'true'\nrequired_capabilities = ['know']",
            &format!("run = '{WAITS}'\nrequired_capabilities = ['know']"),
        ),
    );
    let mut run = scene.start("run swarm.toml");
    run.until_it_says("swarm");
    while !scene.path(".meshwork/swarm/swarm.db").exists() {
        std::thread::yield_now();
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while comings_and_goings(&scene).1.len() < 4 {
        assert!(std::time::Instant::now() < deadline, "{:?}", comings_and_goings(&scene));
        std::thread::yield_now();
    }
    std::fs::write(scene.path("going"), "go\n").unwrap();
    run.ended().exits(0);
}

#[test]
fn a_killed_hierarchy_goes_on_and_an_edited_topology_counts_from_then_on() {
    let scene = Scene::new();
    let file = |topology: &str| {
        format!(
            "[swarm]\ntopology = '{topology}'\n[[peers]]\nid = 'p'\ncount = 3\n\
             [[tasks]]\nid = 'before'\nrun = 'echo ran >> before'\n[[tasks]]\nid = 'long'\n\
             run = 'test -e go || {{ echo up > up; sleep 60; }}'\ndependencies = ['before']\n"
        )
    };
    scene.write("swarm.toml", file("hierarchical"));
    let up = scene.fifo("up");
    let mut run = scene.start("run swarm.toml");
    run.until_it_says("swarm");
    up.arrives();
    run.signal(Signal::SIGKILL);
    run.killed();
    let killed = scene.meshwork("peers --format json").exits(0).json();
    assert_eq!((&killed["topology"], &killed["queen"]), (&json!("hierarchical"), &json!("p-1")));
    assert_eq!(standing(&killed)[0], json!(["p-1", "queen", null, ["p-2", "p-3"]]), "as they stood when it was killed");
    scene.write("go", "");
    let report = scene.meshwork("run swarm.toml --format json").exits(0).json();
    assert_eq!((&report["succeeded"], &report["queen"]), (&json!(true), &json!("p-1")));
    assert_eq!(std::fs::read_to_string(scene.path("before")).unwrap(), "ran\n", "it was not done again");
    // Another topology is an edited setting, as other limits are.
    scene.write("swarm.toml", file("hybrid").replace("echo ran", "echo again"));
    let edited = scene.meshwork("run swarm.toml --format json").exits(0).json();
    assert_eq!(edited["topology"], "hybrid");
    assert_eq!(standing(&edited)[2], json!(["p-3", "worker", "p-1", ["p-1", "p-2"]]));
    let events = scene.meshwork("events").exits(0).out;
    assert!(events.contains("hybrid (asked for: hybrid, for 3 agents)"), "{events}");
}
