//! What lets somebody go on with a call without stepping all of its journal: now and then a checkpoint, and since then
//! the frames that were heard.
//!
//! A journal has packets, and what a decoder makes of a packet hangs on all that came before it. So beside a journal lie
//! the frames themselves, from the last checkpoint on: `JOB.checkpoint`, and `JOB.TICK.frames`. They are written before
//! the journal is, so that there is no tick in it whose frames are missing. A checkpoint is taken when the session waits
//! for nothing: then there is nothing that only its engines know.
//!
//! **Invariant:** what is read here is never believed: whoever steps it compares each digest with the journal's.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::clock::Tick;
use crate::journal::frames::Kept;
use crate::session::checkpoint::Checkpoint;

/// From one checkpoint to the next at least, in milliseconds: taking one copies the session on the thread of its tick.
pub const APART_MS: u32 = 10_000;

/// The longest file that is read: ten minutes of frames of a lively call, beyond which stepping the journal is no slower.
const FRAMES_LEN_MAX: u64 = 256 << 20;

/// The files beside a journal, as its writer writes them.
#[derive(Debug)]
pub(super) struct Shelf {
    journal: PathBuf,
    frames: Option<(PathBuf, File)>,
}

impl Shelf {
    /// None yet.
    pub(super) fn beside(journal: &Path) -> Self {
        Self { journal: journal.to_owned(), frames: None }
    }

    /// Begins anew from a checkpoint.
    pub(super) fn begin(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        let former = self.former();
        let path = frames_of(&self.journal, checkpoint.tick);
        let file = File::create(&path)?;
        let fresh = self.journal.with_extension("fresh");
        fs::write(&fresh, checkpoint.to_bytes())?;
        fs::rename(&fresh, checkpoint_of(&self.journal))?;
        if let Some(former) = former.filter(|former| *former != path) {
            drop(fs::remove_file(former));
        }
        self.frames = Some((path, file));
        Ok(())
    }

    /// Adds frames.
    pub(super) fn add(&mut self, frames: &[u8]) -> io::Result<()> {
        match &mut self.frames {
            Some((_, file)) => file.write_all(frames),
            None => Ok(()),
        }
    }

    /// The frames that lie beside the journal, perhaps since somebody else has held the call.
    fn former(&self) -> Option<PathBuf> {
        match &self.frames {
            Some((path, _)) => Some(path.clone()),
            None => Some(frames_of(&self.journal, checkpoint(&self.journal)?.tick)),
        }
    }

    /// The call is over: nobody needs them.
    pub(super) fn clear(self) {
        if let Some(path) = self.former() {
            drop(fs::remove_file(path));
            drop(fs::remove_file(checkpoint_of(&self.journal)));
        }
    }
}

fn checkpoint_of(journal: &Path) -> PathBuf {
    journal.with_extension("checkpoint")
}

fn frames_of(journal: &Path, tick: Tick) -> PathBuf {
    journal.with_extension(format!("{tick}.frames"))
}

/// Removes what lies beside a journal that nobody goes on with.
pub fn remove(journal: &Path) {
    Shelf::beside(journal).clear();
}

fn checkpoint(journal: &Path) -> Option<Checkpoint> {
    Checkpoint::from_bytes(&fs::read(checkpoint_of(journal)).ok()?).ok()
}

/// The last checkpoint beside a journal and the frames since, if they can be read.
#[must_use]
pub fn read(journal: &Path) -> Option<(Checkpoint, Kept)> {
    let checkpoint = checkpoint(journal)?;
    let path = frames_of(journal, checkpoint.tick);
    let len = fs::metadata(&path).ok()?.len();
    let bytes = (len <= FRAMES_LEN_MAX).then(|| fs::read(&path).ok()).flatten()?;
    Some((checkpoint, Kept::of(&bytes)))
}
