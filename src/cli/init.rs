//! `antiphon init`: a project that runs, to be changed into one's own.
//!
//! The templates are part of the program. Their files are sound as they stand, under the name
//! `project-name`, which is replaced.
//!
//! **Invariant:** the folder is there whole or not at all. It is written beside its place, under
//! another name, and moved there when it is complete.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use super::failure::Failure;
use super::help;
use super::schema::{Document, text};
use super::view::line;
use crate::config;

/// Makes a project that runs at once.
///
/// The folder NAME gets a configuration with a comment for whatever is not plain, a caller to try it
/// with, a README and schemas for editors. It needs no speech library, key or network. Then it
/// prints the commands that run it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  antiphon init my-shop
  antiphon init my-echo --template echo

Exit codes: 0 the project is there, 2 it could not be made, and nothing is left behind.")]
pub(super) struct InitArgs {
    /// Name of the folder and of its configuration: 1 to 64 of a to z, 0 to 9, _ and -.
    // A name that begins with `-` is refused with a reason rather than taken for an option.
    #[arg(allow_hyphen_values = true)]
    name: String,
    /// What the project begins as.
    #[arg(long, value_enum, default_value = "shop")]
    template: Template,
}

/// A project to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Template {
    /// Two agents with intents, tools and a hand-over; the caller types.
    Shop,
    /// An agent that says back what it hears; the caller plays a recording.
    Echo,
}

/// What the templates call themselves.
const PLACEHOLDER: &str = "project-name";

/// A file of a project: its path, what it is for, and what is in it.
type Member = (&'static str, &'static str, Vec<u8>);

macro_rules! template {
    ($folder:literal) => {
        [
            include_str!(concat!("../../templates/", $folder, "/config.yaml")),
            include_str!(concat!("../../templates/", $folder, "/caller.yaml")),
            include_str!(concat!("../../templates/", $folder, "/README.md")),
        ]
    };
}

const GITIGNORE: &[u8] = include_bytes!("../../templates/gitignore");
const QUESTION: &[u8] = include_bytes!("../../audio/caller-02-hours.wav");

pub(super) fn init(args: &InitArgs) -> Result<ExitCode, Failure> {
    let name = args.name.as_str();
    check_name(name)?;
    let place = Path::new(name);
    check_place(place)?;
    let members = members(name, args.template);
    let made = Staged::new(name).and_then(|staged| {
        staged.write(&members)?;
        staged.settle(place)
    });
    made.map_err(|error| {
        Failure::input(format!(
            "{name}: the project cannot be written: {error}; nothing is left behind: go to a folder \
             that you may write to, and try again"
        ))
    })?;
    line(format_args!("made {name}/, a project that runs as it is:\n"));
    for (path, what, _) in &members {
        line(format_args!("  {path:<20} {what}"));
    }
    let antiphon = invoked();
    line("\nnext:\n");
    line(format_args!("  cd {name}"));
    for words in [
        "check config.yaml",
        "run config.yaml --input caller.yaml --out out/call --fast",
        "replay out/call/journal.antiphon",
    ] {
        line(format_args!("  {antiphon} {words}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn check_name(name: &str) -> Result<(), Failure> {
    let remedy = if !config::is_name(name) {
        "use a to z, 0 to 9, `_` and `-`, at most 64"
    } else if name.starts_with('-') {
        "a name that begins with `-` would be taken for an option; begin with another sign"
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(80).collect();
    Err(Failure::input(format!("`{shown}` is no name of a project; {remedy}")))
}

/// The place is free, or an empty folder.
fn check_place(place: &Path) -> Result<(), Failure> {
    let is_link = fs::symlink_metadata(place).is_ok_and(|known| known.is_symlink());
    let (what, remedy) = match fs::read_dir(place).map(|mut entries| entries.next()) {
        _ if is_link => {
            ("a link of this name is there".to_owned(), "choose another name, or remove the link")
        }
        Ok(None) => return Ok(()),
        Ok(Some(_)) => {
            ("the folder is there and not empty".to_owned(), "choose another name, or empty it")
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            ("a file of this name is there".to_owned(), "choose another name")
        }
        Err(error) => (format!("the folder cannot be read: {error}"), "choose another name"),
    };
    Err(Failure::input(format!("{}: {what}; {remedy}", place.display())))
}

fn members(name: &str, template: Template) -> Vec<Member> {
    let [config, caller, readme] = match template {
        Template::Shop => template!("shop"),
        Template::Echo => template!("echo"),
    };
    let named = |text: &str| text.replace(PLACEHOLDER, name).into_bytes();
    let schema = |document| (text(document) + "\n").into_bytes();
    let mut members = vec![
        ("config.yaml", "what the agents understand, say and do", named(config)),
        ("caller.yaml", "who calls, to try them", named(caller)),
        ("README.md", "the same commands, and what may come next", named(readme)),
        (".gitignore", "keeps out/ out of git", GITIGNORE.to_vec()),
        (
            "schema/config.json",
            "for editors: what may stand in config.yaml",
            schema(Document::Config),
        ),
        ("schema/cues.json", "for editors: what may stand in caller.yaml", schema(Document::Cues)),
    ];
    match template {
        Template::Shop => {}
        Template::Echo => {
            members.insert(2, ("question.wav", "what the caller says", QUESTION.to_vec()));
        }
    }
    members
}

/// A folder that is being written. If it was not moved to its place, it goes when this is dropped.
struct Staged {
    folder: PathBuf,
}

impl Staged {
    fn new(name: &str) -> io::Result<Self> {
        let folder = PathBuf::from(format!(".{name}.{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self { folder })
    }

    fn write(&self, members: &[Member]) -> io::Result<()> {
        for (path, _, bytes) in members {
            let path = self.folder.join(path);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// Takes its place. An empty folder that was there lends it its mode: who made it private meant it.
    fn settle(&self, place: &Path) -> io::Result<()> {
        match fs::metadata(place) {
            Ok(empty) => fs::set_permissions(&self.folder, empty.permissions())?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::rename(&self.folder, place)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // It is gone already where all went well.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// How the program can be called from elsewhere: by name if it was found by name, else by its path.
fn invoked() -> String {
    let by_name =
        std::env::args_os().next().is_some_and(|word| Path::new(&word).components().count() == 1);
    let path = std::env::current_exe().ok().filter(|_| !by_name);
    path.map_or_else(help::program, |path| {
        let shown = path.display().to_string();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
        if shown.chars().all(plain) { shown } else { format!("'{}'", shown.replace('\'', r"'\''")) }
    })
}
