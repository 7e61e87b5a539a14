//! Campaigns that are too long for the ordinary tests. `cargo xtask` calls them.

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("detector") => meshwork_proof::detector::command(arguments),
        _ => std::process::ExitCode::from(2),
    }
}
