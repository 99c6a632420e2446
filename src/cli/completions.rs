//! `antiphon completions`: what a shell offers when Tab is pressed.

use std::process::ExitCode;

use clap_complete::Shell;

use super::help;
use super::view::line;

/// Prints a script with which a shell completes commands.
///
/// It completes options, values and files as well. The script is made for this version of the program: print it again after an update, or let the
/// shell do so when it starts, as below for bash.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon completions zsh > ~/.zfunc/_antiphon
  antiphon completions fish > ~/.config/fish/completions/antiphon.fish
  antiphon completions powershell >> $PROFILE
  antiphon completions elvish >> ~/.config/elvish/rc.elv

For bash, a line of ~/.bashrc:
  source <(antiphon completions bash)

For zsh, a line of ~/.zshrc before compinit:
  fpath=(~/.zfunc $fpath)

The folder that is written to must be there (mkdir -p). It works in the next shell.")]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut help::command(), help::program(), &mut script);
    line(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}
