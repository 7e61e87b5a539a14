//! `meshwork-fuzz TARGET|all [--executions N] [--seed S]`: a campaign over the kept corpus.

use meshwork_fuzz::campaign::{self, FOUND, Outcome, Plan};
use meshwork_fuzz::{TARGETS, corpus, find, seeds};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
Runs targets on inputs that are changed at random from the kept corpus.

Usage: meshwork-fuzz TARGET|all [--executions N] [--seed S]
       meshwork-fuzz replay TARGET FILE…
       meshwork-fuzz seeds
       meshwork-fuzz list

  TARGET, all   run a campaign; --executions a target (default 100000), --seed (default 1)
  replay        run files as they are
  seeds         write the inputs that are made from real ones anew into the corpus
  list          name the targets

Exit codes: 0 no promise was broken, 1 one was: the input is kept in the corpus and named, 2 usage.
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match chore(&words) {
        Ok(code) => code,
        Err(error) => {
            let _closed = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn chore(words: &[&str]) -> io::Result<ExitCode> {
    match words {
        ["help" | "--help" | "-h"] => say(HELP).map(|()| ExitCode::SUCCESS),
        ["list"] => {
            let names: String = TARGETS.iter().map(|(name, _)| format!("{name}\n")).collect();
            say(&names).map(|()| ExitCode::SUCCESS)
        }
        ["seeds"] => seeds::write().map(|()| ExitCode::SUCCESS),
        ["replay", name, files @ ..] => replay(name, files),
        ["worker", name, executions, seed, mark] => worker(name, [executions, seed], mark),
        [name, options @ ..] => match (plan(options), *name == "all" || find(name).is_some()) {
            (Some(plan), true) => all(name, plan),
            _ => usage(words),
        },
        [] => usage(words),
    }
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn usage(words: &[&str]) -> io::Result<ExitCode> {
    writeln!(io::stderr(), "error: found {:?}, expected a target and its options; see --help", words.join(" "))?;
    Ok(ExitCode::from(2))
}

fn plan(options: &[&str]) -> Option<Plan> {
    let mut plan = Plan { executions: 100_000, seed: 1 };
    for option in options.chunks(2) {
        match option {
            ["--executions", number] => plan.executions = number.parse().ok()?,
            ["--seed", number] => plan.seed = number.parse().ok()?,
            _ => return None,
        }
    }
    Some(plan)
}

fn all(wanted: &str, plan: Plan) -> io::Result<ExitCode> {
    let program = std::env::current_exe()?;
    let mut crashes = 0;
    for (name, _) in TARGETS.iter().filter(|(name, _)| wanted == "all" || *name == wanted) {
        let outcome = campaign::watch(&program, name, plan)?;
        crashes += u32::from(outcome.crash.is_some());
        tell(name, plan, &outcome)?;
    }
    Ok(if crashes == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(name: &str, plan: Plan, outcome: &Outcome) -> io::Result<()> {
    let seconds = outcome.took.as_secs_f64();
    let crashes = u32::from(outcome.crash.is_some());
    let speed = outcome.executions as f64 / seconds.max(1e-9);
    say(&format!(
        "{name:<18} seed {:<6} {:>12} executions  {speed:>9.0}/s  {seconds:>7.1} s  {crashes} crashes\n",
        plan.seed, outcome.executions
    ))?;
    if let Some(crash) = &outcome.crash {
        let path = corpus::keep(name, "crash", &crash.input)?;
        let (path, what) = (path.display(), &crash.what);
        say(&format!(
            "  input {}: {what}\n  kept: {path}\n  again: cargo run --profile fuzz -p meshwork-fuzz -- replay {name} {path}\n",
            crash.number
        ))?;
    }
    Ok(())
}

fn replay(name: &str, files: &[&str]) -> io::Result<ExitCode> {
    let Some(target) = find(name) else { return usage(&["replay", name]) };
    for file in files {
        target(&std::fs::read(file)?);
        say(&format!("{file}: no promise was broken\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn worker(name: &str, numbers: [&str; 2], mark: &str) -> io::Result<ExitCode> {
    let [Ok(executions), Ok(seed)] = numbers.map(str::parse) else { return usage(&numbers) };
    let Some(target) = find(name) else { return usage(&[name]) };
    let outcome = campaign::work(name, target, Plan { executions, seed }, Path::new(mark))?;
    if let Some(crash) = outcome.crash {
        say(&format!("{name}: {}\n", crash.what))?;
        return Ok(ExitCode::from(u8::try_from(FOUND).unwrap_or(1)));
    }
    Ok(ExitCode::SUCCESS)
}
