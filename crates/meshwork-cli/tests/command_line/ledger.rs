//! A log that was replaced by an older copy, by another log, or damaged: found out, told of with exit code 4, and left
//! as it was.

use crate::scene::Scene;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

const PEER: &str = "[[peers]]\nid = 'p'\n";
const FIRST: &str = "[[tasks]]\nid = 'first'\nrun = 'echo ran >> first'\ndescription = 'a text to be found again'\n";
const SECOND: &str = "[[tasks]]\nid = 'second'\nrun = 'test -e go || sleep 60'\ndependencies = ['first']\n";
const FOLDER: &str = ".meshwork/swarm";
const READING: [&str; 8] =
    ["status", "tasks", "peers", "events", "report", "explain first", "doctor --swarm swarm", "status --swarm swarm"];

/// A swarm that was interrupted half-way, and the copy of its log that was made then.
fn interrupted() -> Scene {
    let scene = Scene::new();
    scene.write("swarm.toml", format!("{PEER}{FIRST}{SECOND}"));
    let mut run = scene.start("run swarm.toml");
    run.until_it_says("first ok");
    run.signal(Signal::SIGINT);
    run.ended().exits(130);
    copy_log(&scene.path(FOLDER), &scene.path("backup"));
    scene.write("go", "");
    scene
}

/// The database with what belongs to it, and nothing of what was there before.
fn copy_log(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in ["swarm.db", "swarm.db-wal", "swarm.db-shm"] {
        match std::fs::copy(from.join(name), to.join(name)) {
            Ok(_) => {}
            Err(_) if name == "swarm.db" => panic!("no log in {}", from.display()),
            Err(_) => drop(std::fs::remove_file(to.join(name))),
        }
    }
}

/// What is in the swarm's folder, but for the lock, which names who looked last, and what SQLite makes beside a database
/// that it reads.
fn content(scene: &Scene) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![scene.path(FOLDER)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("lock") || path.ends_with("control.sock") => {}
                false if path.ends_with("swarm.db-shm") => {}
                false => {
                    let bytes = std::fs::read(&path).unwrap();
                    if !bytes.is_empty() || !path.ends_with("swarm.db-wal") {
                        found.insert(path.display().to_string(), bytes);
                    }
                }
            }
        }
    }
    found
}

/// Running and reading are refused with that error and those words, and change nothing.
#[track_caller]
fn refused(scene: &Scene, code: &str, words: &str) {
    let before = content(scene);
    for line in ["run swarm.toml"].iter().chain(&READING) {
        let ended = scene.meshwork(&format!("{line} --format json")).exits(4);
        let error = &ended.json()["error"];
        assert_eq!((&error["code"], &error["stateChanged"]), (&code.into(), &false.into()), "{line}: {ended:?}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words) && message.contains("nothing was changed"), "{line}: {message}");
    }
    let after = content(scene);
    let names: Vec<&String> =
        before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(names.is_empty(), "changed: {names:?}");
}

#[test]
fn an_older_copy_of_the_log_is_refused_and_fresh_goes_on() {
    let scene = interrupted();
    scene.meshwork("run swarm.toml").exits(0);
    copy_log(&scene.path("backup"), &scene.path(FOLDER));
    refused(&scene, "LedgerRegressed", "An older copy or another log is in its place");
    let human = scene.meshwork("run swarm.toml").exits(4).says("ends at position").says("--fresh");
    assert_eq!(human.out, "", "no completion is told");
    scene.meshwork("run swarm.toml --fresh").exits(0).says("swarm.old-1");
    assert_eq!(std::fs::read_to_string(scene.path("first")).unwrap(), "ran\nran\n");
    scene.meshwork("status").exits(0);
}

#[test]
fn the_newer_log_put_back_is_gone_on_with() {
    let scene = interrupted();
    scene.meshwork("run swarm.toml").exits(0);
    copy_log(&scene.path(FOLDER), &scene.path("newer"));
    copy_log(&scene.path("backup"), &scene.path(FOLDER));
    scene.meshwork("run swarm.toml").exits(4);
    copy_log(&scene.path("newer"), &scene.path(FOLDER));
    scene.meshwork("run swarm.toml").exits(0).says("nothing is left to do");
}

#[test]
fn a_run_that_is_killed_on_its_way_is_remembered_up_to_a_second() {
    let scene = interrupted();
    std::fs::remove_file(scene.path("go")).unwrap();
    let mark = scene.path(FOLDER).join("high-water");
    let before = std::fs::read(&mark).unwrap();
    // Progress is an entry of the log: something to be remembered, again and again.
    let telling = "'while ! test -e go; do \"$MESHWORK_BIN\" progress on; sleep 0.2; done'";
    let third = format!("[[tasks]]\nid = 'third'\nrun = {telling}\n");
    scene.write("swarm.toml", format!("{PEER}{FIRST}{SECOND}{third}"));
    let run = scene.start("run swarm.toml");
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::read(&mark).unwrap() == before {
        assert!(Instant::now() < deadline, "the mark stays as it was");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    run.signal(Signal::SIGKILL);
    run.killed();
    copy_log(&scene.path("backup"), &scene.path(FOLDER));
    refused(&scene, "LedgerRegressed", "nothing was changed");
}

#[test]
fn another_log_is_refused_and_so_is_none() {
    let (scene, other) = (interrupted(), interrupted());
    other.meshwork("run swarm.toml").exits(0);
    other.write("swarm.toml", format!("{PEER}{FIRST}{SECOND}[[tasks]]\nid = 'third'\nrun = 'true'\n"));
    other.meshwork("run swarm.toml").exits(0);
    copy_log(&other.path(FOLDER), &scene.path(FOLDER));
    refused(&scene, "LedgerRegressed", "gives state hash");

    let scene = interrupted();
    std::fs::remove_file(scene.path(FOLDER).join("swarm.db")).unwrap();
    refused(&scene, "LedgerRegressed", "is empty or gone");
    assert!(!scene.path(FOLDER).join("swarm.db").exists());
}

#[test]
fn a_lost_memory_is_made_anew_and_a_damaged_one_is_refused() {
    let scene = interrupted();
    let mark = scene.path(FOLDER).join("high-water");
    std::fs::write(&mark, "meshwork-high-water-1 5 0000").unwrap();
    refused(&scene, "HighWaterDamaged", "does not match its checksum");
    std::fs::remove_file(&mark).unwrap();
    scene.meshwork("status").exits(0);
    scene.meshwork("run swarm.toml").exits(0);
    assert!(mark.is_file());
    copy_log(&scene.path("backup"), &scene.path(FOLDER));
    scene.meshwork("run swarm.toml").exits(4).says("ends at position");
}

/// Changes one byte of the first batch: of a text that lies in it.
fn damage(scene: &Scene) {
    let path = scene.path(FOLDER).join("swarm.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let text = b"a text to be found again";
    let at: Vec<usize> = (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
    assert!(!at.is_empty(), "the batch lies in the database");
    for at in at {
        bytes[at] ^= 1;
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_log_that_is_damaged_in_the_middle_is_refused() {
    let scene = interrupted();
    damage(&scene);
    refused(&scene, "Checksum", "does not match its checksum");
}
