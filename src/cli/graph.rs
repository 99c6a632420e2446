//! `antiphon graph`: the agents of a configuration as a picture.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use super::failure::Failure;
use super::load;
use super::view::line;
use crate::record::drawing::Picture;
use crate::tool::Registry;

/// Draws the agents of a configuration and the ways between them.
///
/// Each way has the words of what causes it; where one agent calls another, it is dashed. Agents that are not
/// of the configuration's conversation are not there. Mermaid is drawn by many places that show Markdown, dot
/// by Graphviz; an SVG is drawn already, for light and dark pages.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon graph configs/demo.yaml
  antiphon graph configs/demo.yaml --format svg -o agents.svg

Exit codes: 0 it was written, 2 the configuration is wrong, too large for an SVG, or the file not writable.")]
pub(super) struct GraphArgs {
    /// The configuration, a YAML file.
    config: PathBuf,
    /// The conversation whose agents are drawn, of `conversations`; without it, the configuration's own.
    #[arg(long, value_name = "NAME")]
    conversation: Option<String>,
    /// What is written.
    #[arg(long, value_enum, default_value = "mermaid")]
    format: Form,
    /// Where it goes, instead of the terminal. A file that is there is replaced.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A language of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A flowchart of Mermaid.
    Mermaid,
    /// A graph for Graphviz.
    Dot,
    /// A picture, complete in itself.
    Svg,
}

pub(super) fn graph(args: &GraphArgs, tools: Registry) -> Result<ExitCode, Failure> {
    let config = load::conversation(&args.config, args.conversation.as_deref())?;
    let (plan, _) = load::plan(config, tools).map_err(|failure| failure.about(&args.config))?;
    let picture = Picture::of(&plan);
    let text = match args.format {
        Form::Mermaid => picture.mermaid(),
        Form::Dot => picture.dot(),
        Form::Svg => picture
            .svg()
            .map_err(|large| Failure::input(format!("{}: {large}", args.config.display())))?,
    };
    match &args.out {
        None => line(text.trim_end()),
        Some(path) => std::fs::write(path, text).map_err(|error| {
            let shown = path.display();
            Failure::input(format!(
                "{shown}: the picture cannot be written: {error}; choose another place"
            ))
        })?,
    }
    Ok(ExitCode::SUCCESS)
}
