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
        let plan = |config| {
            load::plan(config, tools.clone()).map_err(|failure: Failure| failure.about(path))
        };
        let checked = load::config(path).and_then(plan);
        match checked {
            Ok((plan, _)) => line(format_args!(
                "{}: ok: {}, {}, {}",
                path.display(),
                counted(plan.agents.len(), "agent"),
                counted(plan.config.tools.len(), "tool"),
                counted(plan.graph.transitions().len(), "transition")
            )),
            Err(failure) => wrong.push(failure.to_string()),
        }
    }
    if wrong.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Failure::input(wrong.join("\n"))) }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
