//! Campaigns that are too long for the ordinary tests. `cargo xtask` calls them.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(2)
}
