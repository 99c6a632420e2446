//! `antiphon check`: is a configuration right?

use std::path::Path;
use std::process::ExitCode;

use super::args::CheckArgs;
use super::failure::Failure;
use super::load;
use super::view::line;
use crate::config::{self, Complaint};
use crate::tool::Registry;

pub(super) fn check(args: &CheckArgs, tools: Registry) -> Result<ExitCode, Failure> {
    let (mut wrong, mut doubtful) = (Vec::new(), 0);
    for path in &args.config {
        let plan = |config| {
            load::plan(config, tools.clone()).map_err(|failure: Failure| failure.about(path))
        };
        let checked = load::config(path).and_then(plan);
        match checked {
            Ok((plan, _)) => {
                line(format_args!(
                    "{}: ok: {}, {}, {}",
                    path.display(),
                    counted(plan.agents.len(), "agent"),
                    counted(plan.config.tools.len(), "tool"),
                    counted(plan.graph.transitions().len(), "transition")
                ));
                for advice in advice(path)? {
                    doubtful += 1;
                    eprintln!("warning: {advice}");
                }
            }
            Err(failure) => wrong.push(failure.to_string()),
        }
    }
    if doubtful > 0 && args.strict {
        wrong.push(format!("{} with --strict", counted(doubtful, "warning")));
    }
    if wrong.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Failure::input(wrong.join("\n"))) }
}

/// What is allowed in this file and hardly meant.
fn advice(path: &Path) -> Result<Vec<Complaint>, Failure> {
    let text = load::bytes(path)?;
    let advice = config::advise(&text, &path.display().to_string());
    advice.map(|all| all.0).map_err(|complaints| Failure::input(complaints.to_string()))
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
