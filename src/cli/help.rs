//! The commands as a person finds them: in groups, each with an example.
//!
//! clap lists all commands of a program under one heading; a dozen of them want to be told apart by
//! what one is about to do.
//!
//! **Invariant:** a visible command is listed once. What no group names is listed under
//! [`OTHERS`], never lost.

use std::path::Path;

use clap::builder::styling::Style;
use clap::{Command, CommandFactory, FromArgMatches};

use super::args::Args;

/// What one is about to do, and the commands for it, in this order.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Begin", &["demo", "init", "check", "test", "graph", "schema"]),
    ("Hold calls", &["run", "console", "connect", "dev", "start"]),
    ("Look at calls", &["replay", "report", "timeline", "diff", "fork", "scenario", "journal"]),
    ("The program itself", &["bench", "completions", "help"]),
];

/// The heading of what no group names.
const OTHERS: &str = "Others";

/// The arguments that the program was called with. Where they are wrong, says so and ends the
/// program with code 2.
pub(super) fn parse() -> Args {
    let matches = command().get_matches();
    Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The whole command line, whose help lists the commands in groups.
pub(super) fn command() -> Command {
    let command = Args::command();
    let list = list(&command);
    let options = styled(*command.get_styles().get_header(), "Options:");
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}\n{options}\n{{options}}{{after-help}}"
    ))
}

/// The name under which the program runs: one with tools of its own has its own.
pub(super) fn program() -> String {
    let path = std::env::args_os().next();
    let file = path.as_ref().and_then(|path| Path::new(path).file_name());
    let name = file.map_or_else(|| "antiphon".into(), |name| name.to_string_lossy());
    // A version may have dots: only what programs of this system end in is no part of the name.
    name.strip_suffix(std::env::consts::EXE_SUFFIX).unwrap_or(&name).to_owned()
}

/// The visible commands of each group that has any.
fn groups(command: &Command) -> Vec<(&'static str, Vec<(String, String)>)> {
    let mut left: Vec<(String, String)> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| {
            let about = command.get_about().map(ToString::to_string);
            (command.get_name().to_owned(), about.unwrap_or_default())
        })
        .collect();
    left.push(("help".into(), "Explains a command.".into()));
    let mut groups = Vec::new();
    for (heading, names) in GROUPS {
        let mut members = Vec::new();
        for name in names {
            if let Some(at) = left.iter().position(|(known, _)| known == name) {
                members.push(left.remove(at));
            }
        }
        groups.push((heading, members));
    }
    groups.push((OTHERS, left));
    groups.retain(|(_, members)| !members.is_empty());
    groups
}

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn list(command: &Command) -> String {
    let styles = command.get_styles();
    let (header, literal) = (*styles.get_header(), *styles.get_literal());
    let groups = groups(command);
    let names = groups.iter().flat_map(|(_, members)| members).map(|(name, _)| name.len());
    let width = names.max().unwrap_or(0);
    let mut list = String::new();
    for (heading, members) in &groups {
        list += &format!("{}\n", styled(header, &format!("{heading}:")));
        for (name, about) in members {
            let gap = " ".repeat(width - name.len());
            list += &format!("  {}{gap}  {}\n", styled(literal, name), about.trim_end_matches('.'));
        }
        list.push('\n');
    }
    list.truncate(list.trim_end().len());
    list + "\n"
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    /// Calls `visit` with every visible command below `command`, and the words that lead to it.
    fn walk(command: &Command, way: &str, visit: &mut dyn FnMut(&str, &Command)) {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            let way = format!("{way} {}", inner.get_name());
            visit(&way, inner);
            walk(inner, &way, visit);
        }
    }

    fn every_command(visit: &mut dyn FnMut(&str, &Command)) {
        let mut count = 0;
        walk(&command(), "antiphon", &mut |way, command| {
            visit(way, command);
            count += 1;
        });
        assert!(count >= 4, "{count} commands are too few to be all");
    }

    /// The lines of a help that show a command of this program.
    fn examples(command: &Command) -> Vec<String> {
        let help = command.get_after_help().or(command.get_after_long_help());
        let text = help.map(ToString::to_string).unwrap_or_default();
        let lines = text.lines().map(|line| line.trim_start_matches("Example:").trim());
        lines.filter(|line| line.starts_with("antiphon ")).map(str::to_owned).collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_a_short_and_a_long_description() {
        for line in list(&command()).lines() {
            let line = console::strip_ansi_codes(line);
            assert!(line.chars().count() <= 80, "shorten what it does to fit a terminal: {line:?}");
        }
        every_command(&mut |way, command| {
            let of = |text: Option<&clap::builder::StyledStr>| {
                text.map(ToString::to_string).unwrap_or_default()
            };
            let (short, long) = (of(command.get_about()), of(command.get_long_about()));
            assert!(
                !short.is_empty(),
                "`{way}` needs a first line in the doc comment of its arguments that says what it does"
            );
            assert!(
                long.len() > short.len(),
                "`{way}` needs a second paragraph in the doc comment of its arguments (a doc comment \
                 of its variant in src/cli/args.rs hides it)"
            );
        });
    }

    #[test]
    fn every_command_has_an_example_of_itself() {
        every_command(&mut |way, command| {
            // A command that only holds others shows them.
            let examples = examples(command);
            assert!(
                examples.iter().any(|example| example.starts_with(way)),
                "`{way}` needs a line that begins with `{way}` in its after_help; it has {examples:?}"
            );
        });
    }

    #[test]
    fn every_example_is_understood() {
        let understood = |way: &str, command: &Command| {
            for example in examples(command) {
                // What follows is the shell's.
                let words = example.split(['>', '|', '#', '<', ')']).next().unwrap_or_default();
                let words = words.split_whitespace().map(|word| word.trim_matches(['\'', '"']));
                let parsed = self::command().try_get_matches_from(words);
                match parsed.map_err(|error| (error.kind(), error)) {
                    Ok(_) | Err((ErrorKind::DisplayHelp, _)) => {}
                    Err((_, error)) => panic!("`{way}`: {example}\n{error}"),
                }
            }
        };
        understood("antiphon", &command());
        every_command(&mut |way, command| understood(way, command));
    }

    #[test]
    fn every_command_is_listed_once_and_in_a_group() {
        let groups = groups(&command());
        let mut listed: Vec<&String> =
            groups.iter().flat_map(|(_, members)| members).map(|(name, _)| name).collect();
        let count = listed.len();
        listed.sort();
        listed.dedup();
        let command = command();
        let visible = command.get_subcommands().filter(|command| !command.is_hide_set()).count();
        assert_eq!((count, listed.len()), (visible + 1, visible + 1), "{listed:?}");
        let others = groups.iter().find(|(heading, _)| *heading == OTHERS);
        assert_eq!(others, None, "give these a place in GROUPS, src/cli/help.rs");
    }
}
