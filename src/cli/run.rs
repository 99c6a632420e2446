//! `antiphon run`: a configuration on recorded callers.

use std::path::PathBuf;
use std::process::ExitCode;

use super::args::RunArgs;
use super::call::{Call, With, hold};
use super::failure::Failure;
use super::load;
use super::outside;
use crate::tool::Registry;

pub(super) fn run(args: &RunArgs, tools: Registry) -> Result<ExitCode, Failure> {
    let config = load::conversation(&args.config, args.conversation.as_deref())?;
    spare_inputs(args)?;
    let mut warn = |text: String| eprintln!("{text}");
    let reached = outside::reach(config, tools, &mut warn);
    let (config, tools, outside) = reached.map_err(|failure| failure.about(&args.config))?;
    let (plan, tools) = load::plan(config, tools).map_err(|failure| failure.about(&args.config))?;
    let (mut parts, mut wrong) = (Vec::new(), Vec::new());
    for input in &args.input {
        match load::caller(input, &plan, &mut warn) {
            Ok(part) => parts.push(part),
            Err(failure) => wrong.push(failure.to_string()),
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::input(wrong.join("\n")));
    }
    hold(Call {
        seed: args.seed.unwrap_or(plan.config.seed),
        plan,
        tools,
        outside,
        with: With::Callers(parts),
        out: args.out.clone(),
        journal: args.journal.clone(),
        fast: args.fast,
        opus: args.opus,
        json: args.json,
        metering: args.metrics.start()?,
    })
}

/// A journal that would be written over a caller's recording is a slip of the keyboard.
fn spare_inputs(args: &RunArgs) -> Result<(), Failure> {
    let Some(journal) = args.journal.as_ref().and_then(|path| path.canonicalize().ok()) else {
        return Ok(());
    };
    let same = |path: &&PathBuf| path.canonicalize().is_ok_and(|path| path == journal);
    match args.input.iter().chain([&args.config]).find(same) {
        None => Ok(()),
        Some(input) => Err(Failure::input(format!(
            "{}: the journal would be written over it; choose another place for --journal",
            input.display()
        ))),
    }
}
