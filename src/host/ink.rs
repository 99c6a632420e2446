//! Journals on disk.
//!
//! Blocks of whole entries are written as they come, at least once a second, so that a process that
//! is killed leaves all but the last second. A disk that fails loses journal, never the call: the
//! loss is counted and told at the end.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::journal::Scribe;

/// Blocks on their way to the disk at most: at one a tick of 20 ms, five seconds of a stuck disk.
const BLOCKS_WAITING: usize = 256;

/// Blocks made at the start, so that the thread of a tick makes none while the disk keeps up.
const BLOCKS_MADE: usize = 8;

/// Room in each of them: the entries of two ticks of two participants at 24 kHz.
const BLOCK_LEN: usize = 4_096;

/// A journal on its way to a file.
#[derive(Debug)]
pub struct Ink {
    blocks: Option<Sender<Vec<u8>>>,
    empties: Receiver<Vec<u8>>,
    writer: Option<JoinHandle<Option<String>>>,
    lost: u64,
}

impl Ink {
    /// Opens a file and starts a thread that writes to it. What was in it before goes with the first
    /// block.
    ///
    /// # Errors
    /// The file cannot be made, or the thread not started.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let (blocks, incoming) = bounded::<Vec<u8>>(BLOCKS_WAITING);
        let (give_back, empties) = bounded(BLOCKS_WAITING);
        for _ in 0..BLOCKS_MADE {
            drop(give_back.try_send(Vec::with_capacity(BLOCK_LEN)));
        }
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write(file, &incoming, &give_back))?;
        Ok(Self { blocks: Some(blocks), empties, writer: Some(writer), lost: 0 })
    }

    /// Hands over what the scribe has written; never waits. Where the disk does not keep up, the
    /// block is lost, and with it the journal from there on.
    pub fn flow(&mut self, scribe: &mut Scribe) {
        if scribe.waiting() == 0 {
            return;
        }
        let mut block = self.empties.try_recv().unwrap_or_default();
        block.clear();
        scribe.take(&mut block);
        if self.lost == 0 {
            self.lost += u64::from(
                self.blocks.as_ref().is_none_or(|blocks| blocks.try_send(block).is_err()),
            );
        } else {
            // A hole in a journal is worse than an early end.
            self.lost += 1;
        }
    }

    /// Waits like a file would: for virtual time, where the disk may set the pace.
    pub fn flow_waiting(&mut self, scribe: &mut Scribe) {
        let mut block = self.empties.try_recv().unwrap_or_default();
        block.clear();
        scribe.take(&mut block);
        if let Some(blocks) = &self.blocks {
            self.lost += u64::from(blocks.send(block).is_err());
        }
    }

    /// Writes what is left and closes the file; what went wrong, if anything.
    pub fn finish(mut self) -> Option<String> {
        drop(self.blocks.take());
        let writer = self.writer.take()?;
        let failed = writer.join().unwrap_or_else(|_| Some("its writer panicked".to_owned()));
        let lost = (self.lost > 0)
            .then(|| format!("{} blocks were lost: the disk is too slow", self.lost));
        failed.or(lost)
    }
}

fn write(
    mut file: File,
    blocks: &Receiver<Vec<u8>>,
    give_back: &Sender<Vec<u8>>,
) -> Option<String> {
    let mut failed = None;
    let mut is_begun = false;
    for block in blocks {
        if !std::mem::replace(&mut is_begun, true) {
            failed = file.set_len(0).err().map(|error| error.to_string());
        }
        if failed.is_none() {
            failed = file.write_all(&block).err().map(|error| error.to_string());
        }
        // Room for a block to be reused; if there is none, it is freed here.
        drop(give_back.try_send(block));
    }
    if failed.is_none() {
        failed = file.sync_all().err().map(|error| error.to_string());
    }
    failed
}
