//! Shell tasks beside `xargs`: the operating system's own speed at starting processes.

use super::Setting;
use super::measure::{Figure, median};
use super::swarm::empty;
use meshwork::file::{SwarmFile, Task};
use meshwork::local::{LocalOptions, LocalSwarm};
use meshwork::mesh::RoundEnd;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

pub(super) fn shell(setting: &Setting) -> Result<Vec<Figure>, String> {
    let count = setting.tasks.unwrap_or(10_000);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..=setting.runs {
        let (a, b) = (meshwork(setting, count)?, xargs(count)?);
        if run > 0 {
            ours.push(f64::from(count) / a);
            theirs.push(f64::from(count) / b);
        }
    }
    theirs.sort_by(f64::total_cmp);
    let reference = median(&theirs);
    let name = format!("{count} × `true` as shell tasks, 10 slots, durable");
    Ok(vec![Figure::of(name, "tasks/s", ours).against("xargs -P10 -n1 true", reference)])
}

fn meshwork(setting: &Setting, count: u32) -> Result<f64, String> {
    let dir = empty(&setting.dir, "shell")?;
    let text = "[[peers]]\nid = \"sh\"\nmax_concurrent_tasks = 10\ncapabilities = [\"sh\"]\n[[tasks]]\nid = \"first\"\nrun = \"true\"\n";
    let mut file: SwarmFile =
        meshwork::file::parse(text, meshwork::file::Format::Toml, "bench.toml").map_err(|error| error.to_string())?;
    file.swarm.id = "bench-shell".to_owned();
    file.tasks = (0..count).map(|n| Task { run: Some("true".to_owned()), ..Task::new(format!("task-{n}")) }).collect();
    super::swarm::block_on(async {
        let swarm = LocalSwarm::start(&file, &dir, &dir.join("state"), LocalOptions::default())
            .await
            .map_err(|error| error.to_string())?;
        let started = Instant::now();
        swarm.submit(&file).await.map_err(|error| error.to_string())?;
        let end = swarm.complete().await.map_err(|error| error.to_string())?;
        let seconds = started.elapsed().as_secs_f64();
        swarm.shutdown().await.map_err(|error| error.to_string())?;
        match end {
            RoundEnd::Closed(round) if round.ok == count => Ok(seconds),
            other => Err(format!("expected {count} completed tasks, found {other:?}")),
        }
    })
}

fn xargs(count: u32) -> Result<f64, String> {
    let fail = |error: std::io::Error| format!("could not run xargs: {error}");
    let started = Instant::now();
    let mut child = Command::new("xargs").args(["-P10", "-n1", "true"]).stdin(Stdio::piped()).spawn().map_err(fail)?;
    let mut lines = String::new();
    for n in 0..count {
        lines.push_str(&format!("{n}\n"));
    }
    let mut stdin = child.stdin.take().ok_or("xargs has no standard input")?;
    stdin.write_all(lines.as_bytes()).map_err(fail)?;
    drop(stdin);
    let status = child.wait().map_err(fail)?;
    if !status.success() {
        return Err(format!("xargs ended with {status}"));
    }
    Ok(started.elapsed().as_secs_f64())
}
