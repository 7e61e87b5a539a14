//! `proof model`: explores every state of a model, and says which properties hold.

use meshwork_core::Mutant;
use meshwork_proof::model::{Effort, Explored, Property, Scope, explore, hunts, named, play, sized};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

const HELP: &str = "\
Explores every state that a model of the production rules can reach.

Usage: proof model [OPTIONS]

  --size TASKSxATTEMPTSxNODES  a model of this size [default: 3x2x2]
  --named NAME                 a small model that exercises some rules; `all`: each of them
  --budget NAME=N              how often something may go wrong, instead of the model's own; repeatable
                               (faults, crashes, suspicions, errors, lags, shutdowns, losses, deaths, cancels,
                               pauses, idle-pauses, failures)
  --mutant NAME                with this rule broken: then a violation is to be found
  --balancing                  placement reads loads and learned durations
  --lags-at-will               every node reads when it likes
  --nearest                    nearest states first: a shorter play, and more memory
  --states N                   give up after so many states
  --threads N                  workers [default: 2]
  --list                       names and sizes of the named models

Exit codes: 0 everything holds, 1 something does not or the states were not exhausted, 2 usage.
";

struct Wanted {
    scopes: Vec<Scope>,
    effort: Effort,
}

/// Runs the command.
pub(crate) fn run(words: &[&str]) -> ExitCode {
    if words.iter().any(|word| matches!(*word, "--help" | "-h")) {
        say(HELP);
        return ExitCode::SUCCESS;
    }
    if words.contains(&"--list") {
        let lines: Vec<String> = hunts().iter().map(|scope| format!("{scope}\n")).collect();
        say(&lines.concat());
        return ExitCode::SUCCESS;
    }
    let wanted = match read(words) {
        Ok(wanted) => wanted,
        Err(what) => {
            let _closed = writeln!(std::io::stderr().lock(), "error: {what}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let mut holds = true;
    for scope in &wanted.scopes {
        say(&format!("{scope}\n"));
        let explored = explore(scope, wanted.effort);
        say(&report(scope, &explored, words));
        holds &= explored.found.is_none() && explored.exhausted;
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(words: &[&str]) -> Result<Wanted, String> {
    let mut scopes = None;
    let mut effort = Effort::ALL;
    let mut budgets = Vec::new();
    let (mut balancing, mut at_will, mut mutant) = (false, false, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().copied().ok_or_else(|| format!("{word} needs a value"));
        match *word {
            "--size" => scopes = Some(vec![size(value()?)?]),
            "--named" => scopes = Some(by_name(value()?)?),
            "--budget" => budgets.push(value()?),
            "--mutant" => {
                let name = value()?;
                mutant = Some(Mutant::named(name).ok_or_else(|| format!("{name:?} is not a mutant"))?);
            }
            "--states" => effort.states = number(value()?)?,
            "--threads" => effort.threads = number(value()?)?.clamp(1, 64),
            "--balancing" => balancing = true,
            "--lags-at-will" => at_will = true,
            "--nearest" => effort.breadth_first = true,
            other => return Err(format!("{other:?} is not an option")),
        }
    }
    let mut scopes = scopes.unwrap_or_else(|| vec![sized(3, 2, 2)]);
    for scope in &mut scopes {
        scope.balancing |= balancing;
        scope.lags_at_will |= at_will;
        scope.mutant = mutant;
        for budget in &budgets {
            set(scope, budget)?;
        }
    }
    Ok(Wanted { scopes, effort })
}

fn number(word: &str) -> Result<usize, String> {
    word.parse().map_err(|_| format!("{word:?} is not a number"))
}

fn size(word: &str) -> Result<Scope, String> {
    let wrong = || format!("a size is {word:?}, expected TASKSxATTEMPTSxNODES, as 4x2x2");
    let parts: Vec<usize> = word.split('x').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
    match parts.as_slice() {
        [tasks @ 1..=16, attempts @ 1..=16, nodes @ 1..=8] => {
            Ok(sized(*tasks, u32::try_from(*attempts).map_err(|_| wrong())?, *nodes))
        }
        _ => Err(wrong()),
    }
}

fn by_name(name: &str) -> Result<Vec<Scope>, String> {
    if name == "all" {
        return Ok(hunts());
    }
    let names: Vec<String> = hunts().into_iter().map(|scope| scope.name).collect();
    let unknown = || format!("{name:?} is not a model; there are {}", names.join(", "));
    named(name).map(|scope| vec![scope]).ok_or_else(unknown)
}

fn set(scope: &mut Scope, word: &str) -> Result<(), String> {
    let wrong = || format!("a budget is {word:?}, expected NAME=N with N up to 255");
    let (name, most) = word.split_once('=').ok_or_else(wrong)?;
    let most: u8 = most.parse().map_err(|_| wrong())?;
    let budgets = &mut scope.budgets;
    let budget = match name {
        "faults" => &mut budgets.faults,
        "crashes" => &mut budgets.crashes,
        "suspicions" => &mut budgets.suspicions,
        "errors" => &mut budgets.errors,
        "lags" => &mut budgets.lags,
        "shutdowns" => &mut budgets.shutdowns,
        "losses" => &mut budgets.losses,
        "deaths" => &mut budgets.deaths,
        "cancels" => &mut budgets.cancels,
        "pauses" => &mut budgets.pauses,
        "idle-pauses" => &mut budgets.idle_pauses,
        "failures" => &mut budgets.failures,
        _ => return Err(format!("{name:?} is not a budget")),
    };
    *budget = most;
    Ok(())
}

fn report(scope: &Scope, explored: &Explored, words: &[&str]) -> String {
    let Explored { states, transitions, depth, done, took, exhausted, found, .. } = explored;
    let seconds = took.as_secs_f64();
    let mut text = format!(
        "  {states} states, {transitions} transitions, depth {depth}, {done} states in which all is done, {seconds:.1} s, {}\n",
        if *exhausted { "exhausted" } else { "NOT exhausted" }
    );
    for property in Property::ALL {
        let word = match found {
            Some(found) if found.violation.property == property => "VIOLATED",
            Some(_) => "not said",
            None if *exhausted => "holds",
            None => "not refuted",
        };
        let written = writeln!(text, "  {word:>11}  {}", property.text());
        written.expect("a string takes any text");
    }
    if let Some(found) = found {
        let written = writeln!(
            text,
            "\n{}\nfound after {} states; the shortest way there:\n{}again: proof model {}",
            found.violation,
            found.states,
            play(scope, &found.path),
            words.join(" ")
        );
        written.expect("a string takes any text");
    }
    text
}

fn say(text: &str) {
    // Who closed standard output wants no more of it.
    let _closed = std::io::stdout().lock().write_all(text.as_bytes());
}
