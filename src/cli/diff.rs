//! `antiphon diff`: two calls side by side.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::failure::Failure;
use super::timeline::told;
use super::view::line;
use crate::record::compare;

/// The exit code of calls that differ.
const DIFFER: u8 = 1;

/// Columns where there is no terminal.
const WIDTH: usize = 100;

/// Puts two calls side by side, tick by tick.
///
/// What is alike is counted, what differs is shown: what happened in a tick, and who was heard. Numbers
/// of items, turns and calls do not count.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon diff out/demo out/fork
  antiphon diff one.antiphon other.antiphon --json

Exit codes: 0 alike, 1 they differ, 2 one cannot be read.")]
pub(super) struct DiffArgs {
    /// The folder of a run, or a journal.
    left: PathBuf,
    /// Another one.
    right: PathBuf,
    /// A list of what differs instead of text.
    #[arg(long)]
    json: bool,
    /// Columns of the text; by default those of the terminal.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(70..=1000))]
    width: Option<u16>,
}

pub(super) fn diff(args: &DiffArgs) -> Result<ExitCode, Failure> {
    let (left, right) = match (told(&args.left), told(&args.right)) {
        (Ok(left), Ok(right)) => (left, right),
        (Err(left), Err(right)) => return Err(Failure::input(format!("{left}\n{right}"))),
        (Err(wrong), Ok(_)) | (Ok(_), Err(wrong)) => return Err(wrong),
    };
    if left.tick_len() != right.tick_len() {
        return Err(Failure::input(format!(
            "{} has ticks of {} ms and {} of {} ms: they cannot be put side by side",
            args.left.display(),
            left.tick_len().ms(),
            args.right.display(),
            right.tick_len().ms()
        )));
    }
    let stretches = compare::compare(&left, &right);
    let differ = compare::differ(&stretches);
    if args.json {
        let differences = compare::to_json(&stretches, &left);
        line(json!({ "alike": !differ, "differences": differences }));
    } else {
        let terminal = console::Term::stdout();
        let columns = terminal.is_term().then(|| usize::from(terminal.size().1));
        let width = args.width.map(usize::from).or(columns).unwrap_or(WIDTH);
        let (a, b) = (args.left.display().to_string(), args.right.display().to_string());
        let text = compare::side_by_side(&stretches, [(&a, &left), (&b, &right)], width);
        line(text.trim_end());
    }
    Ok(if differ { ExitCode::from(DIFFER) } else { ExitCode::SUCCESS })
}
