//! A call that somebody else goes on with: its session as it was after the last tick that is in its journal.
//!
//! The journal is stepped as a replay steps it, and each digest compared: the session that comes of it is the one that
//! was lost, to the bit, or there is none.
//!
//! **Invariant:** what is gone on with is the session that wrote the journal, whole.

use std::sync::Arc;

use super::owed::Owed;
use super::player::{NotReplayable, Player};
use crate::journal::{Journal, Transcode};
use crate::session::Session;
use crate::session::checkpoint::{BUILD, Checkpoint};
use crate::session::input::Input;
use crate::session::output::Output;
use crate::session::plan::Plan;

/// A session to go on with.
#[derive(Debug)]
pub struct Resumed {
    /// The plan that it ran on last.
    pub plan: Arc<Plan>,
    /// The session, before its next tick.
    pub session: Session,
    /// What it waits for.
    pub owed: Owed,
    /// How many ticks were stepped for it.
    pub stepped: u64,
}

/// Steps a journal to its end, from its beginning or from a checkpoint that was taken when the session was
/// [at rest](Session::is_at_rest); `each` is shown what came of each tick that was stepped.
///
/// # Errors
/// The journal has no inputs, another build wrote it, or stepping it comes to something else than is recorded.
pub fn resume(
    journal: &Journal,
    transcode: Option<Box<dyn Transcode>>,
    from: Option<Checkpoint>,
    mut each: impl FnMut(&Input, &Output),
) -> Result<Resumed, NotReplayable> {
    if journal.header.build != BUILD {
        let by = &journal.header.build;
        return Err(NotReplayable(format!("`{by}` wrote the journal, this is `{BUILD}`")));
    }
    let mut player = match from {
        Some(checkpoint) => Player::from(journal, transcode, checkpoint)?,
        None => Player::new(journal, transcode)?,
    };
    let (mut owed, mut stepped) = (Owed::default(), 0);
    while let Some(entry) = player.tick()? {
        let out = player.output();
        if out.digest != entry.outcomes.digest {
            let tick = entry.input.tick;
            return Err(NotReplayable(format!("it comes to something else in tick {tick}")));
        }
        stepped += 1;
        owed.tick(&entry.input, entry.outcomes.called.iter(), out);
        each(&entry.input, out);
    }
    let (plan, session) = player.into_session();
    Ok(Resumed { plan, session, owed, stepped })
}
