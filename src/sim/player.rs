//! A recorded call, stepped a tick at a time.
//!
//! Every value that came from outside is given again at its tick; no tool is called, nothing is sent.
//! The player only steps: whether what comes of it is as recorded, or what else to make of it, is for
//! others to say.
//!
//! **Invariant:** the session sees what it saw when it was recorded, other configurations included.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::config::Config;
use crate::id::CallId;
use crate::journal::{Journal, Mode, TickEntry, Transcode, heard};
use crate::session::Session;
use crate::session::checkpoint::Checkpoint;
use crate::session::input::Input;
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::slot::message;
use crate::tool::{Called, FailureKind, Hands, Outcome, ToolCall};

/// Why a journal cannot be stepped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReplayable(pub String);

impl std::fmt::Display for NotReplayable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotReplayable {}

/// The plan that a journal's session began on.
///
/// # Errors
/// The configuration in the journal cannot be used by this program.
pub fn plan_of(journal: &Journal) -> Result<Plan, NotReplayable> {
    Plan::new(config_of(&journal.header.config)?).map_err(|error| unusable(&error))
}

fn config_of(json: &str) -> Result<Config, NotReplayable> {
    serde_json::from_str(json).map_err(|error| unusable(&error))
}

fn unusable(why: &dyn std::fmt::Display) -> NotReplayable {
    NotReplayable(format!("the configuration in the journal: {why}"))
}

/// Steps a journal.
pub struct Player<'j> {
    journal: &'j Journal,
    transcode: Option<Box<dyn Transcode>>,
    plan: Arc<Plan>,
    session: Session,
    /// The entry to be stepped next, and the change to be made next.
    at: usize,
    change: usize,
    input: Input,
    output: Output,
    heard: u16,
    panicked: bool,
}

impl std::fmt::Debug for Player<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Player({} of {})", self.at, self.journal.ticks.len())
    }
}

impl<'j> Player<'j> {
    /// A player at the start of a journal. What turns packets into frames is needed where the journal
    /// has packets.
    ///
    /// # Errors
    /// The journal has no inputs, or its configuration cannot be used.
    pub fn new(
        journal: &'j Journal,
        transcode: Option<Box<dyn Transcode>>,
    ) -> Result<Self, NotReplayable> {
        let mode = journal.header.mode;
        if mode != Mode::Full {
            return Err(NotReplayable(format!(
                "the journal has no inputs to step: it is {mode}; record with `journal: full`"
            )));
        }
        let plan = Arc::new(plan_of(journal)?);
        let session = Session::new(&plan, journal.header.seed);
        Ok(Self {
            journal,
            transcode,
            plan,
            session,
            at: 0,
            change: 0,
            input: Input::default(),
            output: Output::default(),
            heard: 0,
            panicked: false,
        })
    }

    /// A player from a checkpoint of the journal's session on.
    ///
    /// # Errors
    /// As for [`new`](Self::new); and the checkpoint has to be of that session, on the configuration that the journal
    /// begins with.
    pub fn from(
        journal: &'j Journal,
        transcode: Option<Box<dyn Transcode>>,
        checkpoint: Checkpoint,
    ) -> Result<Self, NotReplayable> {
        if !journal.changes.is_empty() {
            return Err(NotReplayable("the configuration was changed under way".to_owned()));
        }
        let next = checkpoint.tick;
        let at = journal.ticks.partition_point(|entry| entry.input.tick < next);
        let mut player = Self::new(journal, transcode)?;
        let restored = checkpoint.restore(&player.plan);
        player.session = restored.map_err(|error| NotReplayable(error.to_string()))?;
        // One that was taken after the journal's end knows of what nobody else does.
        let last = at.checked_sub(1).and_then(|last| journal.ticks.get(last));
        let follows = last.is_some_and(|last| {
            last.input.tick.after(1) == next && last.outcomes.digest == player.session.digest()
        });
        if !follows {
            return Err(NotReplayable(format!(
                "no tick is recorded before the checkpoint at {next}"
            )));
        }
        player.at = at;
        Ok(player)
    }

    /// Steps the next tick; its entry, or nothing at the end.
    ///
    /// # Errors
    /// A tick is missing, a configuration cannot be used, or the session panics.
    pub fn tick(&mut self) -> Result<Option<&'j TickEntry>, NotReplayable> {
        let Some(entry) = self.journal.ticks.get(self.at) else { return Ok(None) };
        self.prepare(entry)?;
        let Self { plan, session, input, output, .. } = self;
        let mut hands = Remembering { called: entry.outcomes.called.iter().cloned().collect() };
        self.heard = heard(input);
        let step = || {
            session.reload(plan, input);
            session.step(plan, input, &mut hands, output);
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(step)) {
            self.panicked = true;
            let (why, tick) = (message(&*panic), entry.input.tick);
            return Err(NotReplayable(format!("the session panics at tick {tick}: {why}")));
        }
        Ok(Some(entry))
    }

    fn prepare(&mut self, entry: &TickEntry) -> Result<(), NotReplayable> {
        while let Some(change) =
            self.journal.changes.get(self.change).filter(|change| change.before <= self.at)
        {
            let next = self.plan.succeeding(config_of(&change.config)?);
            self.plan = Arc::new(next.map_err(|error| unusable(&error))?);
            self.session.replan(&self.plan);
            self.change += 1;
        }
        let expected = self.session.tick().after(u64::from(entry.input.skipped));
        if entry.input.tick != expected {
            return Err(NotReplayable(format!("tick {expected} is missing from the journal")));
        }
        self.fill(entry);
        self.at += 1;
        Ok(())
    }

    fn fill(&mut self, entry: &TickEntry) {
        self.input.clone_from(&entry.input);
        if let Some(transcode) = &mut self.transcode {
            transcode.fill(&mut self.input);
        }
    }

    /// The session after the last tick, and the plan that it runs on, to go on with.
    #[must_use]
    pub fn into_session(self) -> (Arc<Plan>, Session) {
        (self.plan, self.session)
    }

    /// What came of the last tick.
    #[must_use]
    pub const fn output(&self) -> &Output {
        &self.output
    }

    /// Whether the session panicked: it cannot be stepped any further.
    #[must_use]
    pub const fn has_panicked(&self) -> bool {
        self.panicked
    }

    /// The digest of the audio heard in the last tick.
    #[must_use]
    pub const fn heard(&self) -> u16 {
        self.heard
    }

    /// The session after the last tick.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The plan that the session runs on.
    #[must_use]
    pub const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
}

/// Hands that give back what was recorded for a tick.
#[derive(Debug)]
pub struct Remembering {
    /// What became of the calls, in order.
    pub called: VecDeque<(CallId, Called)>,
}

impl Hands for Remembering {
    fn call(&mut self, call: &ToolCall) -> Called {
        match self.called.pop_front() {
            Some((id, called)) if id == call.id => called,
            _ => Called::Done(not_recorded(&call.name)),
        }
    }
}

/// The outcome of a call that the recording knows nothing of.
#[must_use]
pub fn not_recorded(tool: &str) -> Outcome {
    let message = format!("the journal has no outcome for this call of `{tool}`");
    Outcome::failed(FailureKind::NotRecorded, message)
}
