//! One ordered queue of timers: what asked first for a moment is told first.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Further away is never: no clock of a process runs so long.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// That long from now.
pub(crate) fn after(rest: Duration) -> Instant {
    Instant::now() + rest.min(NEVER)
}

/// Resolves at that moment; never without one.
pub(crate) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Gives each timer back when its time has come, until nobody asks any more or `fire` says that it is enough.
pub(crate) async fn run<T>(
    mut asked: mpsc::UnboundedReceiver<(T, Instant)>,
    mut fire: impl FnMut(T) -> ControlFlow<()>,
) {
    let mut waiting: BTreeMap<(Instant, u64), T> = BTreeMap::new();
    let mut number = 0;
    loop {
        let next = waiting.keys().next().map(|(at, _)| *at);
        tokio::select! {
            asked = asked.recv() => match asked {
                None => return,
                Some((timer, at)) => {
                    number += 1;
                    waiting.insert((at, number), timer);
                }
            },
            () = until(next) => {
                let Some((_, timer)) = waiting.pop_first() else { continue };
                if fire(timer).is_break() {
                    return;
                }
            }
        }
    }
}
