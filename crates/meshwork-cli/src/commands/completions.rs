//! `completions`: what a shell needs to complete our commands.

use crate::arguments::Cli;
use crate::ending::Ending;
use crate::failure::CliFailure;
use crate::output;
use clap::CommandFactory;
use clap_complete::Shell;

/// What `completions` is told.
#[derive(clap::Args)]
#[command(after_help = "\
EXAMPLES:
  meshwork completions bash > ~/.local/share/bash-completion/completions/meshwork
  meshwork completions fish > ~/.config/fish/completions/meshwork.fish")]
pub struct Arguments {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(arguments: &Arguments) -> Result<Ending, CliFailure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "meshwork", &mut script);
    let _either_way = output::print_bytes(&script)?;
    Ok(Ending::Done)
}
