//! The meter of one session.

use std::sync::Arc;

use super::Meters;
use crate::clock::Tick;
use crate::host::budget::Excess;
use crate::record::Timing;
use crate::record::observe::Observer;
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::slot::Status;

/// How a session ended, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// It came to its end: the agent ended it, everybody hung up, it was as long as it may be.
    Ended,
    /// It was stopped from outside before.
    Stopped,
    /// It panicked.
    Panicked,
}

impl SessionEnd {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ended, Self::Stopped, Self::Panicked];

    /// Its name, in files and as a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Stopped => "stopped",
            Self::Panicked => "panicked",
        }
    }
}

impl From<&Status> for SessionEnd {
    fn from(status: &Status) -> Self {
        match status {
            Status::Ended => Self::Ended,
            Status::Running => Self::Stopped,
            Status::Panicked(_) => Self::Panicked,
        }
    }
}

/// Feeds the meters from one session, on the thread that steps it.
///
/// The session counts as active for as long as this is there. Dropped without an [end](Self::end), it
/// was stopped.
#[derive(Debug)]
pub struct SessionMeter {
    meters: Arc<Meters>,
    observer: Observer,
    strained: bool,
    end: SessionEnd,
}

impl SessionMeter {
    /// A session begins.
    #[must_use]
    pub fn begin(meters: &Arc<Meters>) -> Self {
        meters.sessions_active.inc();
        let (meters, observer) = (Arc::clone(meters), Observer::default());
        Self { meters, observer, strained: false, end: SessionEnd::Stopped }
    }

    /// Counts what came of one tick, and what was measured about it.
    pub fn tick(&mut self, plan: &Plan, now: Tick, out: &Output, timing: Timing) {
        self.meters.timing(plan.len, timing);
        self.observer.tick(plan, now, out, |found| self.meters.note(plan.len, found));
        self.strain(out.strained);
    }

    fn strain(&mut self, strained: bool) {
        match (std::mem::replace(&mut self.strained, strained), strained) {
            (false, true) => {
                self.meters.strained.inc();
            }
            (true, false) => {
                self.meters.strained.dec();
            }
            (true, true) | (false, false) => {}
        }
    }

    /// Counts an inline call that took longer than its budget.
    pub fn overrun(&self) {
        self.meters.tool_overruns.inc();
    }

    /// Counts that it is told to end since it took too much.
    pub fn shed(&self, excess: Excess) {
        self.meters.shed[excess as usize].inc();
    }

    /// The session is over.
    pub fn end(mut self, end: SessionEnd) {
        self.end = end;
    }
}

impl Drop for SessionMeter {
    fn drop(&mut self) {
        self.strain(false);
        self.meters.sessions_active.dec();
        self.meters.sessions[self.end as usize].inc();
    }
}
