//! What is refused: with the file and the line where there is one, and with nothing created or changed.

use crate::scene::{Ended, Scene};
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

const PEER: &str = "[[peers]]\nid = 'p'\n";

/// `run` and `check` of a file refuse it alike, say where and why, and change nothing.
#[track_caller]
fn refused(content: &[u8], code: &str, line: Option<u64>, says: &[&str]) {
    let scene = Scene::new();
    scene.write("swarm.toml", content);
    let before = scene.listing();
    for command in ["run", "check"] {
        let human = scene.meshwork(&format!("{command} swarm.toml")).exits(2);
        let place = line.map_or("swarm.toml: ".to_owned(), |line| format!("swarm.toml:{line}: "));
        for text in says.iter().copied().chain([&*place]) {
            assert!(human.err.contains(text), "{text:?}: {human:?}");
        }
        assert_eq!(human.out, "");
        let json = scene.meshwork(&format!("{command} swarm.toml --format json")).exits(2);
        let error = &json.json()["error"];
        assert_eq!((&error["code"], &error["file"]), (&code.into(), &"swarm.toml".into()), "{error}");
        assert_eq!((error["line"].as_u64(), &error["stateChanged"]), (line, &false.into()), "{error}");
        assert_eq!(json.err, "");
    }
    assert_eq!(scene.listing(), before, "nothing is created or changed");
}

/// With a peer and these tasks.
#[track_caller]
fn refused_tasks(tasks: &str, code: &str, line: u64, says: &[&str]) {
    refused(format!("{PEER}{tasks}").as_bytes(), code, Some(line), says);
}

#[test]
fn an_unknown_key_and_what_was_meant() {
    refused_tasks("[[tasks]]\nid = 'a'\nrum = 'true'\n", "UnknownKey", 5, &["rum", "\"run\""]);
}

#[test]
fn a_wrong_type() {
    refused_tasks("[[tasks]]\nid = 'a'\nrun = 7\n", "WrongType", 5, &["7"]);
}

#[test]
fn a_duplicate_id() {
    let tasks = "[[tasks]]\nid = 'a'\nrun = 'true'\n[[tasks]]\nid = 'a'\nrun = 'true'\n";
    refused_tasks(tasks, "DuplicateId", 7, &["\"a\"", "line 4"]);
}

#[test]
fn a_cycle_in_its_order() {
    let task = |id: &str, on: &str| format!("[[tasks]]\nid = '{id}'\nrun = 'true'\ndependencies = ['{on}']\n");
    let tasks = [task("a", "b"), task("b", "c"), task("c", "a")].concat();
    refused_tasks(&tasks, "DependencyCycle", 6, &["a → b → c → a"]);
}

#[test]
fn an_unknown_dependency() {
    let tasks = "[[tasks]]\nid = 'build'\nrun = 'true'\n[[tasks]]\nid = 'b'\nrun = 'true'\ndependencies = ['buidl']\n";
    refused_tasks(tasks, "UnknownDependency", 9, &["buidl", "build"]);
}

#[test]
fn a_priority_of_11() {
    refused_tasks("[[tasks]]\nid = 'a'\nrun = 'true'\npriority = 11\n", "PriorityOutOfRange", 6, &["11", "1 to 10"]);
}

#[test]
fn bytes_that_are_not_utf_8() {
    let mut bytes = format!("{PEER}# ").into_bytes();
    bytes.extend([0xff, b'\n']);
    refused(&bytes, "InvalidUtf8", Some(3), &["0xff"]);
}

#[test]
fn everything_that_is_wrong_at_once() {
    refused_tasks("[[tasks]]\nid = 'a'\nrum = 'true'\npriority = 11\n", "UnknownKey", 5, &["swarm.toml:6"]);
}

#[test]
fn a_file_of_two_gigabytes() {
    let scene = Scene::new();
    File::create(scene.path("swarm.toml")).unwrap().set_len(2 << 30).unwrap();
    let before = scene.listing();
    scene.meshwork("run swarm.toml").exits(2).says("swarm.toml: the file is too large");
    assert_eq!(scene.listing(), before);
}

#[test]
fn files_that_are_none() {
    let scene = Scene::new();
    scene.write("folder.toml/x", "");
    scene.write("swarm.txt", PEER);
    let before = scene.listing();
    scene.meshwork("run none.toml").exits(2).says("none.toml: no such file");
    scene.meshwork("run folder.toml").exits(2).says("folder.toml: not a swarm file");
    scene.meshwork("run swarm.txt").exits(2).says("swarm.txt: unknown file ending");
    assert_eq!(scene.listing(), before);
}

fn good() -> Scene {
    let scene = Scene::new();
    scene.write("swarm.toml", format!("{PEER}[[tasks]]\nid = 'a'\nrun = 'true'\n"));
    scene
}

/// Runs the good file in a folder that is not as it should be.
#[track_caller]
fn refused_folder(scene: &Scene, arguments: &str, exit: i32, code: &str) -> Ended {
    let before = scene.listing();
    let ended = scene.meshwork(&format!("run swarm.toml --format json{arguments}")).exits(exit);
    let error = ended.json()["error"].clone();
    assert_eq!((&error["code"], &error["stateChanged"]), (&code.into(), &false.into()), "{error}");
    assert_eq!(scene.listing(), before, "nothing is created or changed");
    ended
}

#[test]
fn a_file_where_the_state_folder_should_be() {
    let scene = good();
    scene.write("taken", "");
    refused_folder(&scene, " --state taken", 2, "NotAFolder");
    refused_folder(&scene, " --state taken/below", 2, "NotAFolder");
}

#[test]
fn no_place_for_the_report() {
    let scene = good();
    refused_folder(&scene, " --report no/such/folder/report.json", 2, "ReportPath");
}

#[test]
fn a_database_of_a_newer_version() {
    let scene = good();
    scene.meshwork("run swarm.toml").exits(0);
    // Where SQLite keeps the user version.
    patch(&scene, 60, &9_999u32.to_be_bytes());
    refused_folder(&scene, "", 4, "NewerSchema");
    scene.meshwork("status").exits(4).says("use a newer one");
}

#[test]
fn a_database_of_another_program() {
    let scene = good();
    scene.meshwork("run swarm.toml").exits(0);
    // Where SQLite keeps the application id.
    patch(&scene, 68, &7u32.to_be_bytes());
    refused_folder(&scene, "", 4, "ForeignDatabase");
}

#[test]
fn a_damaged_database() {
    let scene = good();
    scene.meshwork("run swarm.toml").exits(0);
    patch(&scene, 0, b"damaged");
    refused_folder(&scene, "", 4, "NotADatabase");
}

#[test]
fn a_database_that_is_damaged_within() {
    let scene = good();
    scene.meshwork("run swarm.toml").exits(0);
    let path = scene.path(".meshwork/swarm/swarm.db");
    let pages = std::fs::metadata(&path).unwrap().len() / 4096;
    for page in 1..pages {
        patch(&scene, page * 4096, &[0xff; 4096]);
    }
    let damaged = std::fs::read(&path).unwrap();
    for line in ["run swarm.toml", "status", "doctor --swarm swarm"] {
        scene.meshwork(line).exits(4);
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "{line}");
    }
}

fn patch(scene: &Scene, at: u64, bytes: &[u8]) {
    let path = scene.path(".meshwork/swarm/swarm.db");
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_state_folder_that_another_run_holds() {
    let scene = Scene::new();
    scene.write("swarm.toml", format!("{PEER}[[tasks]]\nid = 'a'\nrun = 'echo up > up; sleep 60'\n"));
    let up = scene.fifo("up");
    let mut run = scene.start("run swarm.toml");
    run.until_it_says("swarm");
    up.arrives();
    let ended = scene.meshwork("run swarm.toml --format json").exits(2);
    let error = ended.json()["error"].clone();
    assert_eq!((&error["code"], &error["stateChanged"]), (&"Locked".into(), &false.into()));
    let holder = format!("process {}", run.pid());
    assert!(error["message"].as_str().unwrap().contains(&holder), "{error}");
    scene.meshwork("run swarm.toml --fresh").exits(2).says(&holder);
    run.signal(Signal::SIGINT);
    run.ended().exits(130);
}
