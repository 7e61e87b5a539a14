//! A killed swarm: from the start of the program to the first task that runs again.

use super::Setting;
use super::measure::{Figure, milliseconds};
use super::swarm::{block_on, empty, start, task};
use std::time::Instant;

pub(super) fn restart(setting: &Setting) -> Result<Vec<Figure>, String> {
    let count = setting.tasks.unwrap_or(100_000);
    let mut times = Vec::new();
    for _ in 0..setting.runs {
        times.push(once(setting, count)?);
    }
    let name = format!("killed swarm of {count} tasks, half of them done: until it runs again");
    Ok(vec![Figure::of(name, "ms", times).against("2 s", 2_000.0)])
}

fn once(setting: &Setting, count: u32) -> Result<f64, String> {
    let dir = empty(&setting.dir, "restart")?;
    // The node is dropped with its runtime in the middle of the round: nothing is closed in order.
    block_on(async {
        let swarm = start(&dir, 10, setting.slots).await?;
        let mut status = swarm.mesh.status();
        let tasks = (0..count).map(|n| task(format!("task-{n}"), Vec::new()));
        swarm.mesh.submit(tasks.collect()).await.map_err(|error| error.to_string())?;
        status.wait_for(|status| status.completed >= count / 2).await.map_err(|error| error.to_string())?;
        Ok(())
    })?;
    let started = Instant::now();
    block_on(async {
        let swarm = start(&dir, 10, setting.slots).await?;
        let mut status = swarm.mesh.status();
        let before = status.borrow_and_update().completed;
        status.wait_for(|status| status.completed > before).await.map_err(|error| error.to_string())?;
        let back = milliseconds(started.elapsed());
        swarm.complete(count).await?;
        swarm.stop().await?;
        Ok(back)
    })
}
