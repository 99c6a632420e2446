//! The journal of a call that is held: whether there is one, where it lies, and what is missing in it.
//!
//! A place that somebody names on the command line must be writable, or the call does not begin. In a
//! folder of the configuration's, the call is held whatever happens there: the session is told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::Failure;
use crate::clock::Tick;
use crate::config::JournalMode;
use crate::host::archive;
#[cfg(feature = "livekit")]
use crate::host::ink::Mark;
use crate::host::ink::{Ink, Loss};
use crate::host::pace::wall_ms;
use crate::host::transcoder::opus_codec;
use crate::journal::{CODEC, Header, Mode, Scribe};
#[cfg(feature = "livekit")]
use crate::journal::{Journal, Tail};
use crate::record::Folder;
use crate::record::recount::JOURNAL;
use crate::record::stamp::rfc3339;
use crate::session::input::Inbound;
use crate::session::plan::Plan;
use crate::slot::Slot;

/// What a journal is to be of.
pub(super) struct About<'a> {
    pub(super) plan: &'a Arc<Plan>,
    pub(super) out: &'a Path,
    /// The file named on the command line.
    pub(super) named: Option<&'a Path>,
    pub(super) seed: u64,
    pub(super) virtual_time: bool,
    /// Whether participants are heard through Opus.
    pub(super) opus: bool,
    /// Whether others may go on with the call: then the file named is theirs as well.
    pub(super) shared: bool,
}

/// A journal under way.
pub(super) struct Journalled {
    /// For the slot.
    pub(super) scribe: Option<Scribe>,
    ink: Option<(PathBuf, Ink)>,
    /// Why there is none although there should be, before the session knows.
    trouble: Option<String>,
    /// Why there is not even a beginning.
    missing: Option<String>,
    /// The last tick of the session.
    last: Option<Tick>,
}

/// Opens a journal and the folder of a call's other files. If something cannot be opened that was
/// asked for by name, all is left as it was.
pub(super) fn open(about: &About<'_>) -> Result<(Folder, Journalled), Failure> {
    let config = &about.plan.config;
    let mode = about.mode();
    let beside = about.out.join(JOURNAL);
    let archive = config.journals.folder.as_ref().filter(|_| about.named.is_none());
    let Some(mode) = mode else {
        let folder = about.folder()?;
        forget(&beside)?;
        return Ok((folder, Journalled::none()));
    };
    let started_ms = wall_ms();
    let scribe = Some(about.scribe(mode, started_ms));
    if let Some(archive) = archive {
        let folder = about.folder()?;
        forget(&beside)?;
        let journalled = archived(Path::new(archive), about.plan, started_ms, scribe);
        return Ok((folder, journalled));
    }
    let path = about.named.unwrap_or(&beside).to_owned();
    let is_beside = about.named.is_none_or(|named| named == beside);
    // What may be refused comes first, but for a new file in a folder that may have to be made.
    let is_new = !path.exists();
    let early = !(is_new && path.parent() == Some(about.out));
    let ink = |path: &Path| ink(path, about);
    let early = early.then(|| ink(&path)).transpose()?;
    let folder = about.folder().inspect_err(|_| {
        if early.is_some() && is_new {
            // It is empty, and what is told is why.
            std::fs::remove_file(&path).ok();
        }
    })?;
    let mut ink = early.map_or_else(|| ink(&path), Ok)?;
    if !is_beside {
        forget(&beside)?;
    }
    // Its head takes the place of an earlier call's journal at once.
    let mut scribe = scribe;
    if let Some(scribe) = &mut scribe {
        ink.flow_waiting(scribe);
    }
    Ok((folder, Journalled { scribe, ink: Some((path, ink)), ..Journalled::none() }))
}

impl About<'_> {
    fn mode(&self) -> Option<Mode> {
        match self.plan.config.journal {
            JournalMode::Off if self.named.is_none() => None,
            JournalMode::Off | JournalMode::Full => Some(Mode::Full),
            JournalMode::Events => Some(Mode::Events),
        }
    }

    /// The folder of the call's other files.
    fn folder(&self) -> Result<Folder, Failure> {
        begun(self.out, self.plan, self.seed, self.virtual_time)
    }

    /// Opens the file; where others keep their journals beside it, those go that are not to be kept any longer.
    fn ink(&self, path: &Path) -> std::io::Result<Ink> {
        if !self.shared {
            return Ink::create(path);
        }
        if let Some(folder) = path.parent() {
            prune(folder, self.plan);
        }
        Ink::create_shared(path)
    }

    fn scribe(&self, mode: Mode, started_ms: u64) -> Scribe {
        Scribe::new(&Header {
            codec: if self.opus { opus_codec() } else { CODEC.to_owned() },
            virtual_time: self.virtual_time,
            started_ms: (!self.virtual_time).then_some(started_ms),
            mode,
            ..Header::new(self.plan, self.seed)
        })
    }
}

/// The folder of a call that is held from now on.
pub(super) fn begun(
    out: &Path,
    plan: &Arc<Plan>,
    seed: u64,
    virtual_time: bool,
) -> Result<Folder, Failure> {
    let folder = Folder::create(out, Arc::clone(plan), virtual_time);
    let mut folder = folder.map_err(|error| Failure::input(error.to_string()))?;
    folder.seeded(seed);
    Ok(folder)
}

/// The journal of a call that has no other files: in the configuration's folder, where it names one. What stands in the
/// way of it is told to the session.
#[cfg(feature = "livekit")]
pub(super) fn alone(about: &About<'_>) -> Option<Journalled> {
    let mode = about.mode()?;
    let now_ms = wall_ms();
    if let Some(path) = about.named {
        let scribe = Some(about.scribe(mode, now_ms));
        return Some(match about.ink(path) {
            Ok(ink) => {
                Journalled { scribe, ink: Some((path.to_owned(), ink)), ..Journalled::none() }
            }
            Err(error) => Journalled::missing(format!("{}: {error}", path.display())),
        });
    }
    let folder = about.plan.config.journals.folder.as_ref()?;
    Some(archived(Path::new(folder), about.plan, now_ms, Some(about.scribe(mode, now_ms))))
}

/// Goes on with the journal of a call that somebody else has held, in a file of its own that takes the other's place:
/// whoever still writes there writes to nothing. `bytes` are what was found there, and `journal` what they say; `may` says
/// at the last moment whether it is this worker's.
///
/// # Errors
/// The file cannot be made.
#[cfg(feature = "livekit")]
pub(super) fn go_on(
    path: &Path,
    bytes: &[u8],
    journal: &Journal,
    may: impl FnOnce() -> bool,
) -> std::io::Result<Journalled> {
    let whole = match journal.tail {
        Tail::Whole => bytes,
        Tail::Torn { at } => &bytes[..at],
    };
    // Others may be doing the same, on this machine or on another.
    let part = path.with_extension(format!("{:x}-{}.part", wall_ms(), std::process::id()));
    let opened = (|| {
        std::fs::write(&part, whole)?;
        std::fs::File::open(&part)?.sync_all()?;
        let ink = Ink::go_on(&part, path)?;
        if !may() {
            return Err(std::io::Error::other("another worker has it"));
        }
        std::fs::rename(&part, path)?;
        Ok(ink)
    })();
    let ink = opened.inspect_err(|_| drop(std::fs::remove_file(&part)))?;
    let scribe = Some(Scribe::resume(journal));
    Ok(Journalled { scribe, ink: Some((path.to_owned(), ink)), ..Journalled::none() })
}

/// The journal of an earlier call does not belong to the other files any more, which are overwritten.
fn forget(beside: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::input(format!(
            "{}: the journal of an earlier call cannot be removed: {error}; name another folder",
            beside.display()
        ))),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn archived(folder: &Path, plan: &Plan, now_ms: u64, scribe: Option<Scribe>) -> Journalled {
    prune(folder, plan);
    let moment = rfc3339(now_ms);
    let moment: String =
        moment.iter().map(|&b| char::from(b)).filter(|c| !matches!(c, '-' | ':')).collect();
    match archive::open(folder, &plan.config.name, &moment) {
        Ok(ink) => Journalled { scribe, ink: Some(ink), ..Journalled::none() },
        Err(error) => Journalled::missing(format!("{}: {error}", folder.display())),
    }
}

/// Removes what is not to be kept any longer.
fn prune(folder: &Path, plan: &Plan) {
    for trouble in archive::prune(folder, &plan.config.journals).troubles {
        eprintln!("journals: not removed: {trouble}");
    }
}

fn ink(path: &Path, about: &About<'_>) -> Result<Ink, Failure> {
    about.ink(path).map_err(|error| {
        let shown = path.display();
        Failure::input(format!(
            "{shown}: the journal cannot be written: {error}; choose another place"
        ))
    })
}

impl Journalled {
    const fn none() -> Self {
        Self { scribe: None, ink: None, trouble: None, missing: None, last: None }
    }

    /// None, although there should be one, for this reason.
    fn missing(cause: String) -> Self {
        Self { trouble: Some(cause.clone()), missing: Some(cause), ..Self::none() }
    }

    /// Up to where it is written, if it is.
    #[cfg(feature = "livekit")]
    pub(super) fn mark(&self) -> Option<Mark> {
        self.ink.as_ref().map(|(_, ink)| ink.mark())
    }

    /// Tells the session what is known before its first tick.
    pub(super) fn announce(&mut self, slot: &mut Slot) {
        if let Some(cause) = self.trouble.take() {
            slot.announce(Inbound::JournalLost { cause });
        }
    }

    /// Hands over what a tick has written; never waits.
    pub(super) fn flow(&mut self, slot: &mut Slot) {
        self.note(slot);
        let Some((_, ink)) = &mut self.ink else { return };
        let cause = slot.scribe().and_then(|scribe| ink.flow(scribe));
        ink.check(slot);
        if let Some(cause) = cause {
            slot.announce(Inbound::JournalLost { cause });
        }
    }

    /// Hands over what is written once it is more than `bytes`, and waits for the disk.
    pub(super) fn flow_waiting(&mut self, slot: &mut Slot, bytes: usize) {
        self.note(slot);
        let Some((_, ink)) = &mut self.ink else { return };
        let scribe = slot.scribe().filter(|scribe| scribe.waiting() > bytes);
        if let Some(cause) = scribe.and_then(|scribe| ink.flow_waiting(scribe)) {
            slot.announce(Inbound::JournalLost { cause });
        }
    }

    fn note(&mut self, slot: &Slot) {
        self.last = slot.session().tick().0.checked_sub(1).map(Tick);
    }

    /// Closes the file: where it is, and what is missing in it.
    pub(super) fn finish(self) -> (Option<PathBuf>, Option<Loss>) {
        match self.ink {
            Some((path, ink)) => (Some(path), ink.finish(self.last)),
            None => {
                let ticks = self.last.map_or(0, |last| last.0 + 1);
                (None, self.missing.map(|cause| Loss { ticks, cause }))
            }
        }
    }
}
