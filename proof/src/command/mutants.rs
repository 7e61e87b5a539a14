//! `proof mutants`: breaks each rule in turn, and says who noticed, and after how long.

use meshwork_core::Mutant;
use meshwork_proof::mutants::{Caught, Effort, look, table};
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

const HELP: &str = "\
Breaks each rule of the protocol in turn, and looks whether model or simulator notice.

Usage: proof mutants [OPTIONS] [NAME...]

  --schedules N  schedules of the simulator for each, at most [default: 10000]
  --states N     states of each small model, at most; 0 leaves the models out [default: 100000]
  --write FILE   puts the table into this file, between its two marks
  --list         the rules and what breaking them does

Exit codes: 0 each was noticed, 1 some were not, 2 usage.
";
/// The table stands between these lines of a document.
const BEGIN: &str = "<!-- mutants: begin, written by `cargo xtask mutants` -->\n";
const END: &str = "<!-- mutants: end -->\n";

struct Wanted {
    mutants: Vec<Mutant>,
    effort: Effort,
    file: Option<String>,
}

/// Runs the command.
pub(crate) fn run(words: &[&str]) -> ExitCode {
    if words.iter().any(|word| matches!(*word, "--help" | "-h")) {
        say(HELP);
        return ExitCode::SUCCESS;
    }
    if words.contains(&"--list") {
        Mutant::ALL.iter().for_each(|(_, name, doc)| say(&format!("{name:32} {doc}\n")));
        return ExitCode::SUCCESS;
    }
    let wanted = match read(words) {
        Ok(wanted) => wanted,
        Err(what) => {
            complain(&format!("error: {what}\n\n{HELP}"));
            return ExitCode::from(2);
        }
    };
    // A broken rule often shows as an assertion that fails: that is a finding, not news.
    std::panic::set_hook(Box::new(|_| {}));
    let caught = look_for_all(&wanted);
    let missed: Vec<&str> = caught.iter().filter(|c| !c.is_caught()).map(|c| c.mutant.name()).collect();
    say(&table(&caught));
    say(&format!("{} of {} broken rules noticed\n", caught.len() - missed.len(), caught.len()));
    if let Some(file) = &wanted.file
        && let Err(what) = write(file, &caught)
    {
        complain(&format!("error: {what}\n"));
        return ExitCode::FAILURE;
    }
    if missed.is_empty() {
        return ExitCode::SUCCESS;
    }
    say(&format!("nobody noticed: {}\n", missed.join(", ")));
    ExitCode::FAILURE
}

fn read(words: &[&str]) -> Result<Wanted, String> {
    let mut wanted = Wanted { mutants: Vec::new(), effort: Effort { schedules: 10_000, states: 50_000 }, file: None };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().copied().ok_or_else(|| format!("{word} needs a value"));
        let number = |word: &str| word.parse::<u64>().map_err(|_| format!("{word:?} is not a number"));
        match *word {
            "--schedules" => wanted.effort.schedules = number(value()?)?,
            "--states" => {
                let states = number(value()?)?;
                wanted.effort.states = usize::try_from(states).map_err(|_| format!("{states} are too many states"))?;
            }
            "--write" => wanted.file = Some(value()?.to_owned()),
            name => {
                let mutant = Mutant::named(name).ok_or_else(|| format!("{name:?} is no rule; `--list` names them"))?;
                wanted.mutants.push(mutant);
            }
        }
    }
    if wanted.mutants.is_empty() {
        wanted.mutants = Mutant::ALL.iter().map(|(mutant, ..)| *mutant).collect();
    }
    Ok(wanted)
}

/// On all cores, one rule after the other; in the order of the list.
fn look_for_all(wanted: &Wanted) -> Vec<Caught> {
    let next = AtomicUsize::new(0);
    let lanes = std::thread::available_parallelism().map_or(1, usize::from);
    let lane = || {
        let mut caught = Vec::new();
        while let Some(mutant) = wanted.mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
            let one = look(*mutant, wanted.effort);
            complain(&format!("{}: {}\n", mutant.name(), if one.is_caught() { "noticed" } else { "NOT noticed" }));
            caught.push(one);
        }
        caught
    };
    let mut all: Vec<Caught> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("a lane looks, and nothing in it may panic")).collect()
    });
    all.sort_by_key(|caught| caught.mutant);
    all
}

fn write(file: &str, caught: &[Caught]) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("could not read {file}: {error}"))?;
    let marked = text.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let Some((head, tail)) = marked else {
        return Err(format!("{file} has no line {:?} and {:?} after it; it was not changed", BEGIN.trim(), END.trim()));
    };
    let text = format!("{head}{BEGIN}{}{END}{tail}", table(caught));
    std::fs::write(file, text).map_err(|error| format!("could not write {file}: {error}"))
}

fn say(text: &str) {
    // Who closed standard output wants no more of it.
    let _closed = std::io::stdout().lock().write_all(text.as_bytes());
}

fn complain(text: &str) {
    let _closed = std::io::stderr().lock().write_all(text.as_bytes());
}
