//! A call told again, from its journal or from the files of its folder.
//!
//! A full journal of this build is stepped, so that everything is there, to the sample. Of any other
//! journal, and of a folder without one, there is what was written down: events, who was heard, and the
//! recording. Whoever listens gets the same calls in either case.
//!
//! **Invariant:** a recount says where it is from, and what it lacks.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Timing;
use super::written::Files;
use crate::clock::Tick;
use crate::config::Config;
use crate::host::transcoder::transcoder;
use crate::journal::{Header, Journal, Mode, Tail};
use crate::session::checkpoint::BUILD;
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::sim::player::{Player, plan_of};

/// The name of a journal beside the other files of a call.
pub const JOURNAL: &str = "journal.antiphon";

/// The longest journal that is read: a day of one participant's PCM at 24 kHz is 4.2 GB.
const JOURNAL_LEN_MAX: u64 = 8 << 30;

/// A call to be told again.
#[derive(Debug)]
pub struct Recount {
    /// The plan that the session began on.
    pub plan: Arc<Plan>,
    /// What the run depended on, where there is a journal.
    pub header: Option<Header>,
    /// The first tick in which a fork went another way.
    pub diverged: Option<Tick>,
    /// What it lacks, in sentences.
    pub lacks: Vec<String>,
    source: Source,
    files: Option<Files>,
}

#[derive(Debug)]
enum Source {
    /// A journal that can be stepped.
    Stepped(Box<Journal>),
    /// A journal of which only the events are known.
    Events(Box<Journal>),
    /// The files of a folder.
    Files,
}

/// Why there is nothing to tell: what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NothingToTell(pub String);

impl std::fmt::Display for NothingToTell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NothingToTell {}

/// Reads a journal, or the one in the folder of a run.
///
/// # Errors
/// It cannot be read, or is none.
pub fn journal(path: &Path) -> Result<Journal, NothingToTell> {
    // The folder of a run stands for the journal in it.
    let path = &if path.is_dir() { path.join(JOURNAL) } else { path.to_owned() };
    let shown = path.display();
    let wrong = |why: &dyn std::fmt::Display| NothingToTell(format!("{shown}: {why}"));
    let unread = |error: std::io::Error| {
        let why = match error.kind() {
            ErrorKind::NotFound => "there is no such file".to_owned(),
            _ => error.to_string(),
        };
        wrong(&format!("cannot be read: {why}; check the path"))
    };
    let about = fs::metadata(path).map_err(unread)?;
    if about.len() > JOURNAL_LEN_MAX {
        return Err(wrong(&"is longer than any journal that is read (8 GiB)"));
    }
    let bytes = fs::read(path).map_err(unread)?;
    Journal::read(&bytes).map_err(|error| wrong(&error))
}

impl Recount {
    /// Opens what is there of a call: a journal, or a folder of a run.
    ///
    /// # Errors
    /// Nothing can be told of it.
    pub fn open(path: &Path) -> Result<Self, NothingToTell> {
        if !path.is_dir() {
            return Self::of_journal(path.to_owned(), None);
        }
        let files = Files::open(path);
        let beside = path.join(JOURNAL);
        if beside.is_file() {
            return match Self::of_journal(beside, files.as_ref().ok().cloned()) {
                Ok(recount) => Ok(recount),
                // What else is there still tells most of it.
                Err(error) => Self::of_files(path, files?).map(|mut recount| {
                    recount.lacks.push(error.to_string());
                    recount
                }),
            };
        }
        Self::of_files(path, files?)
    }

    fn of_journal(path: PathBuf, files: Option<Files>) -> Result<Self, NothingToTell> {
        let journal = Box::new(journal(&path)?);
        let shown = path.display();
        let mut lacks = Vec::new();
        if let Tail::Torn { at } = journal.tail {
            lacks.push(format!(
                "{shown}: the last entry is incomplete (from byte {at}); it is left out"
            ));
        }
        let plan = plan_of(&journal).map_err(|error| NothingToTell(format!("{shown}: {error}")))?;
        let header = journal.header.clone();
        let why_not = match header.mode {
            Mode::Full if header.build != BUILD => {
                Some(format!("another build wrote it (`{}`)", header.build))
            }
            Mode::Full => transcoder(&header.codec, &plan)
                .err()
                .map(|codec| format!("its audio is coded as {codec}, which this program lacks")),
            mode @ (Mode::Events | Mode::Redacted) => Some(format!("it is {mode}")),
        };
        let diverged = journal.diverged;
        let source = match why_not {
            // A journal that was lost on the way ends early; the other files do not.
            None if files.as_ref().is_some_and(|files| files.go_beyond(&journal)) => {
                let ends = journal.ticks.last().map_or(Tick(0), |entry| entry.input.tick);
                lacks.push(format!(
                    "{shown}: it ends with tick {ends}, and the call does not: told from the other files"
                ));
                Source::Files
            }
            None => Source::Stepped(journal),
            // With the other files, there is more than events.
            Some(_) if files.is_some() => Source::Files,
            Some(why) => {
                lacks.push(format!("{shown}: only its events are told, since {why}"));
                Source::Events(journal)
            }
        };
        Ok(Self { plan: Arc::new(plan), header: Some(header), diverged, lacks, source, files })
    }

    fn of_files(dir: &Path, files: Files) -> Result<Self, NothingToTell> {
        let config: Config = files.config(dir)?;
        let plan = Plan::new(config)
            .map_err(|error| NothingToTell(format!("{}: {error}", dir.display())))?;
        Ok(Self {
            plan: Arc::new(plan),
            header: None,
            diverged: files.diverged(),
            lacks: Vec::new(),
            source: Source::Files,
            files: Some(files),
        })
    }

    /// Whether it is known who was heard: events alone do not say.
    #[must_use]
    pub const fn knows_who_is_heard(&self) -> bool {
        !matches!(self.source, Source::Events(_))
    }

    /// Tells the call, tick by tick.
    ///
    /// # Errors
    /// A journal cannot be stepped to its end: then the call was told up to there.
    pub fn tell(&self, mut each: impl FnMut(Tick, &Output, Timing)) -> Result<(), NothingToTell> {
        let timing =
            |tick| self.files.as_ref().map_or_else(Timing::default, |files| files.timing(tick));
        match &self.source {
            Source::Stepped(journal) => {
                let wrong = |error: &dyn std::fmt::Display| NothingToTell(error.to_string());
                let decoder = transcoder(&journal.header.codec, &self.plan);
                let decoder = decoder.map_err(NothingToTell)?;
                let mut player = Player::new(journal, decoder).map_err(|error| wrong(&error))?;
                while let Some(entry) = player.tick().map_err(|error| wrong(&error))? {
                    each(entry.input.tick, player.output(), timing(entry.input.tick));
                }
            }
            Source::Events(journal) => {
                let mut out = Output::default();
                for entry in &journal.ticks {
                    out.clear();
                    out.events.clone_from(&entry.outcomes.events);
                    out.digest = entry.outcomes.digest;
                    each(entry.input.tick, &out, timing(entry.input.tick));
                }
            }
            Source::Files => {
                if let Some(files) = &self.files {
                    files.tell(&self.plan, &mut each);
                }
            }
        }
        Ok(())
    }
}
