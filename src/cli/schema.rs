//! `antiphon schema`: what may stand in a file, for editors and other programs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use super::failure::Failure;
use super::view::line;
use crate::config;

/// Prints the JSON Schema of a configuration, of cues or of tests.
///
/// The schema (2020-12) names every key with its description, range and default, and is what `check`
/// goes by. With it an editor completes keys and marks mistakes: give it to the editor's settings, or
/// begin the file with a line that names it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon schema
  antiphon schema cues --out schema/cues.json

For editors with the YAML language server, the first line of a configuration:
  # yaml-language-server: $schema=schema/config.json")]
pub(super) struct SchemaArgs {
    /// What kind of file.
    #[arg(value_enum, default_value = "config")]
    document: Document,
    /// Where it goes, instead of the terminal. A file that is there is replaced.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A kind of file that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Document {
    /// A configuration.
    Config,
    /// What a caller does, when, and what is expected then.
    #[value(alias = "scenario")]
    Cues,
    /// Business rules: their variables, operators and actions, for editors of rules.
    Rules,
}

pub(super) fn schema(args: &SchemaArgs) -> Result<ExitCode, Failure> {
    let text = text(args.document);
    match &args.out {
        None => line(text),
        Some(path) => std::fs::write(path, text + "\n").map_err(|error| {
            let shown = path.display();
            Failure::input(format!(
                "{shown}: the schema cannot be written: {error}; choose another place"
            ))
        })?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The schema as it is printed.
pub(super) fn text(document: Document) -> String {
    let schema = match document {
        Document::Config => config::schema(),
        Document::Cues => config::scenario::schema(),
        Document::Rules => crate::graph::rules::description(),
    };
    format!("{schema:#}")
}
