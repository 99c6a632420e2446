//! `antiphon scenario`: a test made of a call that was held.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::failure::Failure;
use super::test::write;
use super::view::line;
use crate::config::scenario;
use crate::journal::Mode;
use crate::record::recount::Recount;
use crate::sim::scenario::draft::{Draft, yaml};

/// Makes a test of a recorded call.
///
/// What the caller said is typed, whether it was typed or spoken. What the agents said, which tools they
/// called, who took over, what was known and how the call ended is expected; what the tools answered is
/// answered again, call by call. `antiphon test` then holds the call anew.
///
/// The configuration of the call is written beside the test, unless --config names one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon scenario out/call -o call.test.yaml
  antiphon scenario out/call/journal.antiphon --config config.yaml -o call.test.yaml
  antiphon test call.test.yaml

Exit codes: 0 it was made, 2 the call cannot be read, or the test cannot be written.")]
pub(super) struct ScenarioArgs {
    /// The journal, or the folder of a run with one.
    journal: PathBuf,
    /// Where the test goes, instead of the terminal; NAME.test.yaml, for one. Files that are there are
    /// replaced.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The configuration that is tested, as the test names it: relative to the test.
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
}

pub(super) fn scenario(args: &ScenarioArgs) -> Result<ExitCode, Failure> {
    let shown = args.journal.display();
    let recount =
        Recount::open(&args.journal).map_err(|error| Failure::input(error.to_string()))?;
    let Some(header) = recount.header.clone() else {
        return Err(Failure::input(format!(
            "{shown}: there is no journal in this folder, and other files do not tell enough"
        )));
    };
    if header.mode == Mode::Redacted {
        return Err(Failure::input(format!(
            "{shown}: it is redacted: nothing that was said is in it; name the journal that it was made of"
        )));
    }
    for lack in &recount.lacks {
        eprintln!("{lack}");
    }
    let mut draft = Draft::new(&recount.plan);
    recount
        .tell(|now, out, _| draft.tick(now, out))
        .map_err(|error| Failure::input(error.to_string()))?;
    let named = args.config.clone();
    let beside = args.out.as_deref().filter(|_| named.is_none()).map(config_beside);
    let name = named.or_else(|| {
        let name = beside.as_ref()?.file_name()?;
        Some(name.to_string_lossy().into_owned())
    });
    let name = name.unwrap_or_else(|| "config.yaml".to_owned());
    let scenario = draft.finish(&name, header.seed);
    let text = format!("# Made of {shown} by `antiphon scenario`.\n{}", yaml(&scenario));
    // Whatever was said in the call, what is written must be readable.
    scenario::parse(text.as_bytes(), "the test").map_err(|complaints| {
        Failure::input(format!("{shown}: no test can be made of this call:\n{complaints}"))
    })?;
    let Some(out) = &args.out else {
        line(text.trim_end());
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(beside) = &beside {
        let config = serde_json::to_string_pretty(&recount.plan.config).unwrap_or_default();
        write(beside, &(config + "\n"))?;
    }
    write(out, &text)?;
    line(format_args!(
        "{}: {} cues{}",
        out.display(),
        scenario.cues.len(),
        beside.map_or_else(String::new, |path| format!(", on {}", path.display()))
    ));
    line(format_args!("hold it: antiphon test {}", out.display()));
    Ok(ExitCode::SUCCESS)
}

/// Where the configuration of a test goes: `call.test.yaml` has `call.config.yaml`.
fn config_beside(out: &Path) -> PathBuf {
    let name = out.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let stem = name.strip_suffix(".yaml").unwrap_or(&name);
    let stem = stem.strip_suffix(".test").unwrap_or(stem);
    out.with_file_name(format!("{stem}.config.yaml"))
}
