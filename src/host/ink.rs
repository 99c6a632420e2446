//! Journals on disk.
//!
//! Blocks of whole entries are written as they come, at least once a second, so that a process that
//! is killed leaves all but the last second. The agents' audio is packed on the way. A disk that fails
//! loses journal, never the call: the loss is told to the session as soon as it is known, and counted
//! in ticks.
//!
//! **Invariant:** a file holds whole entries from its beginning: after a loss nothing more is written,
//! since a hole is worse than an early end.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::standby::{self, Shelf};
use crate::clock::Tick;
use crate::journal::Scribe;
use crate::journal::pack::shrink;
use crate::session::checkpoint::Checkpoint;
use crate::slot::Slot;

/// Blocks on their way to the disk at most: at two a tick of 20 ms, five seconds of a stuck disk.
const BLOCKS_WAITING: usize = 512;

/// Blocks on their way in virtual time at most: the session hears of a loss soon after it.
const BLOCKS_AHEAD: usize = 4;

/// Blocks made at the start, so that the thread of a tick makes none while the disk keeps up.
const BLOCKS_MADE: usize = 8;

/// Room in each of them: the entries of two ticks of two participants at 24 kHz.
const BLOCK_LEN: usize = 4_096;

/// A journal on its way to a file.
#[derive(Debug)]
pub struct Ink {
    blocks: Option<Sender<Block>>,
    empties: Receiver<Vec<u8>>,
    troubles: Receiver<String>,
    writer: Option<JoinHandle<Written>>,
    /// Why nothing more is written, once that is known.
    trouble: Option<String>,
    mark: Mark,
    /// When the next checkpoint is taken, if any are.
    next: Option<Tick>,
}

/// What goes to the writer.
#[derive(Debug)]
enum Block {
    /// Entries of the journal.
    Entries(Vec<u8>),
    /// Frames of a tick whose entry follows.
    Frames(Vec<u8>),
    /// The session between two ticks.
    Checkpoint(Box<Checkpoint>),
}

/// Up to where a journal is written: a process that is killed from now on leaves that much.
#[derive(Debug, Clone, Default)]
pub struct Mark(Arc<AtomicU64>);

impl Mark {
    /// Whether this tick is in the file, or nothing more comes into it.
    #[must_use]
    pub fn has(&self, tick: Tick) -> bool {
        self.0.load(Ordering::Acquire) > tick.0
    }
}

/// Who is told of what the writer has done.
struct Done {
    tell: Sender<String>,
    mark: Mark,
}

/// Nobody waits for a file that is closed.
impl Drop for Done {
    fn drop(&mut self) {
        self.mark.0.store(u64::MAX, Ordering::Release);
    }
}

/// What could not be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss {
    /// Ticks that are not in the file.
    pub ticks: u64,
    /// Why, for a person to read.
    pub cause: String,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ticks are not in it: {}", self.ticks, self.cause)
    }
}

/// What the writer's thread came to.
#[derive(Debug, Default)]
struct Written {
    /// The last tick in the file.
    last: Option<Tick>,
    failed: Option<String>,
    /// What lies beside the file.
    shelf: Option<Shelf>,
}

impl Ink {
    /// Opens a file and starts a thread that writes to it. What was in it before goes with the first
    /// block. The file is locked while it is written, so that nobody removes it meanwhile.
    ///
    /// # Errors
    /// The file cannot be made, another call writes to it, or the thread cannot be started.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        Self::start(opened(path)?, false, None)
    }

    /// The same, with all beside it that lets [somebody else](super::standby) go on quickly.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub fn create_shared(path: &Path) -> std::io::Result<Self> {
        Self::start(opened(path)?, false, Some(Shelf::beside(path)))
    }

    /// Goes on with a shared journal that is not written any more: what is in it stands. `journal` is where it will lie.
    ///
    /// # Errors
    /// As for [`create`](Self::create); and there has to be a file.
    pub fn go_on(path: &Path, journal: &Path) -> std::io::Result<Self> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(std::io::SeekFrom::End(0))?;
        Self::start(file, true, Some(Shelf::beside(journal)))
    }

    fn start(file: File, is_begun: bool, shelf: Option<Shelf>) -> std::io::Result<Self> {
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(std::io::Error::other("another call is writing to it"));
            }
            // Some file systems have no locks; then retention has to trust the age.
            Err(std::fs::TryLockError::Error(_)) => {}
        }
        let (blocks, incoming) = bounded::<Block>(BLOCKS_WAITING);
        let (give_back, empties) = bounded(BLOCKS_WAITING);
        for _ in 0..BLOCKS_MADE {
            drop(give_back.try_send(Vec::with_capacity(BLOCK_LEN)));
        }
        let (tell, troubles) = bounded(1);
        let mark = Mark::default();
        let done = Done { tell, mark: mark.clone() };
        let next = shelf.is_some().then_some(Tick(0));
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write((file, is_begun, shelf), &incoming, &give_back, &done))?;
        Ok(Self {
            blocks: Some(blocks),
            empties,
            troubles,
            writer: Some(writer),
            trouble: None,
            mark,
            next,
        })
    }

    /// Up to where the file is written, to be waited for.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark.clone()
    }

    /// Hands over what the scribe has written in a tick; never waits. Where the disk does not keep up,
    /// the journal ends there. Says why, once, when the journal is lost.
    pub fn flow(&mut self, scribe: &mut Scribe) -> Option<String> {
        if self.trouble.is_some() {
            // A hole in a journal is worse than an early end.
            scribe.discard();
            return None;
        }
        let mut cause = self.troubles.try_recv().ok();
        let empty = || {
            let mut empty = self.empties.try_recv().unwrap_or_default();
            empty.clear();
            empty
        };
        // Before the entry of their tick. Whoever finds that some are missing steps the journal.
        if let Some(frames) = scribe.take_frames(empty) {
            self.send(Block::Frames(frames));
        }
        if scribe.waiting() > 0 {
            let mut block = empty();
            scribe.take(&mut block);
            let blocks = self.blocks.as_ref();
            if blocks.is_none_or(|blocks| blocks.try_send(Block::Entries(block)).is_err()) {
                cause = cause.or_else(|| Some("the disk is too slow".to_owned()));
            }
        }
        if cause.is_some() {
            // Nobody has to wait for what never comes.
            self.mark.0.store(u64::MAX, Ordering::Release);
        }
        self.trouble.clone_from(&cause);
        cause
    }

    /// Takes a checkpoint of the session, if it is time and there is nothing that it waits for. Frames are kept since.
    pub fn check(&mut self, slot: &mut Slot) {
        let now = slot.session().tick();
        let is_due = self.next.is_some_and(|next| now >= next) && self.trouble.is_none();
        if is_due && slot.session().is_at_rest() {
            self.next = Some(now.after(slot.plan().len.ticks_min_one(standby::APART_MS)));
            let checkpoint = Checkpoint::take(slot.session(), slot.plan());
            self.send(Block::Checkpoint(Box::new(checkpoint)));
            if let Some(scribe) = slot.scribe() {
                scribe.keep_frames();
            }
        }
    }

    fn send(&self, block: Block) {
        if let Some(blocks) = &self.blocks {
            drop(blocks.try_send(block));
        }
    }

    /// Waits like a file would: for virtual time, where the disk may set the pace.
    pub fn flow_waiting(&mut self, scribe: &mut Scribe) -> Option<String> {
        if scribe.waiting() > 0
            && let Some(blocks) = &self.blocks
        {
            // Blocks come back as they are taken from the queue.
            let is_ahead = blocks.len() >= BLOCKS_AHEAD;
            let empty =
                if is_ahead { self.empties.recv().ok() } else { self.empties.try_recv().ok() };
            let mut block = empty.unwrap_or_default();
            block.clear();
            scribe.take(&mut block);
            // The writer takes blocks until the end, whether it can write them or not.
            drop(blocks.send(Block::Entries(block)));
        }
        let cause = self.troubles.try_recv().ok().filter(|_| self.trouble.is_none())?;
        self.trouble = Some(cause.clone());
        Some(cause)
    }

    /// Blocks that the writer has not begun with.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.blocks.as_ref().map_or(0, Sender::len)
    }

    /// Writes what is left and closes the file of a session whose last tick was this; what is missing,
    /// if anything.
    pub fn finish(mut self, last: Option<Tick>) -> Option<Loss> {
        drop(self.blocks.take());
        let failed = Some("its writer panicked".to_owned());
        let panicked = || Written { failed, ..Written::default() };
        let written = self.writer.take()?.join().unwrap_or_else(|_| panicked());
        if let Some(shelf) = written.shelf {
            shelf.clear();
        }
        let cause = written.failed.or(self.trouble)?;
        let after = |tick: Option<Tick>| tick.map_or(0, |tick| tick.0 + 1);
        Some(Loss { ticks: after(last).saturating_sub(after(written.last)), cause })
    }
}

/// A file to be written from its beginning, which keeps what is in it until then.
fn opened(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path)
}

fn write(
    (mut file, mut is_begun, mut shelf): (File, bool, Option<Shelf>),
    blocks: &Receiver<Block>,
    give_back: &Sender<Vec<u8>>,
    done: &Done,
) -> Written {
    let mut written = Written::default();
    let mut shrunk = Vec::new();
    for block in blocks {
        let block = match block {
            Block::Entries(block) => block,
            Block::Frames(frames) => {
                // Without them the journal has to be stepped from its beginning, and no more.
                shelf.take_if(|shelf| shelf.add(&frames).is_err());
                drop(give_back.try_send(frames));
                continue;
            }
            Block::Checkpoint(checkpoint) => {
                shelf.take_if(|shelf| shelf.begin(&checkpoint).is_err());
                continue;
            }
        };
        shrunk.clear();
        let last = shrink(&block, &mut shrunk);
        // Room for a block to be reused; if there is none, it is freed here.
        drop(give_back.try_send(block));
        if written.failed.is_some() {
            continue;
        }
        let begin = if is_begun { Ok(()) } else { file.set_len(0) };
        is_begun = true;
        match begin.and_then(|()| append(&mut file, &shrunk)) {
            Ok(()) => {
                written.last = last.or(written.last);
                if let Some(last) = last {
                    done.mark.0.store(last.0 + 1, Ordering::Release);
                }
            }
            Err(error) => {
                // Who waits for it hears of it at once; there is room for one.
                drop(done.tell.try_send(error.to_string()));
                done.mark.0.store(u64::MAX, Ordering::Release);
                written.failed = Some(error.to_string());
            }
        }
    }
    if written.failed.is_none() {
        written.failed = file.sync_all().err().map(|error| error.to_string());
    }
    written.shelf = shelf;
    written
}

/// Writes a block whole or not at all, as far as the disk lets one take back what it took.
fn append(file: &mut File, block: &[u8]) -> std::io::Result<()> {
    let before = file.stream_position()?;
    file.write_all(block).inspect_err(|_| drop(file.set_len(before)))
}
