//! Messages a second of our broker alone. Beside actor libraries: `cargo run --release -p meshwork-versus`.

use super::Setting;
use super::measure::Figure;
use super::swarm::block_on;
use super::traffic::{AtOnce, BYTES, PEERS, of_any_broker, of_attempts};

/// Messages of each run.
const MESSAGES: u32 = 1_000_000;

pub(super) fn messages(setting: &Setting) -> Result<Vec<Figure>, String> {
    let count = setting.tasks.unwrap_or(MESSAGES) as usize;
    let mut figures = Vec::new();
    for at_once in [AtOnce::All, AtOnce::Some(64), AtOnce::One] {
        let (mut attempts, mut any) = (Vec::new(), Vec::new());
        for run in 0..=setting.runs {
            let of_attempts = block_on(async { spawned(of_attempts(count, at_once)).await })?;
            let of_any_broker = block_on(async { spawned(of_any_broker(count, at_once)).await })?;
            if run > 0 {
                attempts.push(of_attempts);
                any.push(of_any_broker);
            }
        }
        let name = |of: &str| format!("{BYTES} B between {PEERS} peers, {of}, {}", at_once.words());
        figures.push(Figure::of(name("by attempts"), "msg/s", attempts).against("8,000/s", 8_000.0));
        figures.push(Figure::of(name("by `send_to_peer`"), "msg/s", any).against("8,000/s", 8_000.0));
    }
    Ok(figures)
}

/// On the runtime's own threads, where messages are sent.
async fn spawned(work: impl Future<Output = Result<f64, String>> + Send + 'static) -> Result<f64, String> {
    tokio::spawn(work).await.map_err(|error| error.to_string())?
}
