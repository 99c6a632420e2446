//! `antiphon check`: is a configuration right?

use std::process::ExitCode;

use super::args::CheckArgs;
use super::failure::Failure;
use super::load;
use super::view::line;
use crate::tool::Registry;

pub(super) fn check(args: &CheckArgs, tools: Registry) -> Result<ExitCode, Failure> {
    let mut wrong = Vec::new();
    for path in &args.config {
        let checked = load::config(path).and_then(|config| load::plan(config, tools.clone()));
        match checked {
            Ok((plan, _)) => line(format_args!(
                "{}: ok: {} agents, {} tools, {} transitions",
                path.display(),
                plan.agents.len(),
                plan.config.tools.len(),
                plan.graph.transitions().len()
            )),
            Err(failure) => wrong.push(failure.to_string()),
        }
    }
    if wrong.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Failure::input(wrong.join("\n"))) }
}
