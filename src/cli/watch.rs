//! Looks on while a session runs in real time: figures, files, journal.
//!
//! **Invariant:** the shard's thread hands everything slow to others.

use crossbeam_channel::Receiver;

use super::journalled::Journalled;
use crate::clock::Tick;
use crate::host::shard::{Measured, Watch};
use crate::host::tools::Overrun;
use crate::record::{FolderThread, SessionEnd, SessionMeter, Tally, Timing};
use crate::session::event::{EndReason, EventKind};
use crate::session::output::Output;
use crate::slot::{Slot, Status};

/// What is left of a session.
pub(super) struct Over {
    pub(super) folder: Option<FolderThread>,
    pub(super) journal: Option<Journalled>,
    pub(super) tally: Option<Tally>,
    pub(super) status: Status,
    /// Why it ended, in its own word.
    pub(super) reason: Option<EndReason>,
    /// To be freed elsewhere than on the thread of ticks.
    pub(super) slot: Slot,
}

/// Is shown what came of each tick, and says whether the session goes on.
pub(super) type Show = Box<dyn FnMut(Tick, &Output, Timing) -> bool + Send>;

/// Looks on from the shard's thread.
pub(super) struct LiveWatch {
    pub(super) folder: Option<FolderThread>,
    pub(super) journal: Option<Journalled>,
    pub(super) meter: Option<SessionMeter>,
    /// Counts what a folder would have counted, where there is none and somebody wants to know.
    pub(super) tally: Option<Tally>,
    pub(super) overran: Receiver<Overrun>,
    pub(super) show: Show,
    /// Is given what is left.
    pub(super) done: Option<Box<dyn FnOnce(Over) + Send>>,
    pub(super) reason: Option<EndReason>,
}

impl Watch for LiveWatch {
    fn ticked(&mut self, slot: &mut Slot, measured: Measured) -> bool {
        let Measured { lateness_ns, wake_ns: _, step_ns, skipped, excess } = measured;
        let Some(now) = slot.done() else {
            // A tick that panicked has come to nothing; `ended` follows.
            return false;
        };
        let timing = Timing { lateness_ns: Some(lateness_ns), step_ns, skipped };
        if let Some(meter) = &mut self.meter {
            meter.tick(slot.plan(), now, slot.output(), timing);
            if let Some(excess) = excess {
                meter.shed(excess);
            }
        }
        if let Some(folder) = &mut self.folder {
            folder.tick(now, slot.output(), timing);
        }
        if let Some(tally) = &mut self.tally {
            tally.tick(slot.plan(), now, slot.output());
            tally.timing(timing);
        }
        for overrun in self.overran.try_iter() {
            if let Some(meter) = &self.meter {
                meter.overrun();
            }
            if let Some(folder) = &mut self.folder {
                folder.overrun(overrun);
            } else if let Some(tally) = &mut self.tally {
                tally.overrun(&overrun.tool);
            }
        }
        if let Some(event) = slot.output().events.last()
            && let EventKind::SessionEnded { reason } = &event.kind
        {
            self.reason = Some(reason.clone());
        }
        let goes_on = (self.show)(now, slot.output(), timing);
        if let Some(journal) = &mut self.journal {
            journal.flow(slot);
        }
        goes_on
    }

    fn ended(&mut self, mut slot: Slot, status: Status) {
        if let Some(journal) = &mut self.journal {
            journal.flow(&mut slot);
        }
        if let Some(meter) = self.meter.take() {
            meter.end(SessionEnd::from(&status));
        }
        if let Some(done) = self.done.take() {
            let (folder, journal) = (self.folder.take(), self.journal.take());
            let (tally, reason) = (self.tally.take(), self.reason.take());
            done(Over { folder, journal, tally, status, reason, slot });
        }
    }
}
