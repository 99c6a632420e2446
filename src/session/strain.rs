//! Strain: the process has too much to do, and this session does what is no audio less often.
//!
//! Whoever steps sessions says so by [`Inbound::Strain`](super::input::Inbound::Strain), to all of them alike. From then
//! on a session thinks, works and asks the graph in one of so many ticks; asks no model before a turn has ended; and takes
//! no words of utterances that are not over. Audio, voice detection, turns, interruptions and playout are for every tick.
//!
//! **Invariant:** nothing is lost by it but interim words: what was put off is done in the session's next turn, in its
//! order, and before it ends; and since strain is an input, a replay puts off the same.

use serde::{Deserialize, Serialize};

use super::event::EventKind;
use super::output::Output;
use super::{Life, Session};
use crate::clock::Tick;

/// The most ticks in one of which what is no audio is done: with 20 ms, a second.
pub const EVERY_MAX: u16 = 50;

/// What a session knows of its strain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Strain {
    every: u16,
    turn: u16,
    since: Tick,
    /// Ticks whose work is put off.
    put_off: u64,
}

impl Session {
    /// From this tick on, what is no audio is done in one of so many.
    pub(super) fn strained(&mut self, now: Tick, every: u16, turn: u16, out: &mut Output) {
        let every = every.clamp(1, EVERY_MAX);
        let turn = turn % every;
        match &mut self.strain {
            None if every > 1 => {
                self.strain = Some(Strain { every, turn, since: now, put_off: 0 });
                self.event(now, EventKind::SessionStrained { every }, out);
            }
            // The work of the last ticks is done in this one: it is every tick's again.
            Some(strain) if every == 1 => {
                let after_ticks = now.since(strain.since);
                let put_off = strain.put_off;
                self.strain = (put_off > 0).then_some(Strain { every, turn, since: now, put_off });
                self.event(now, EventKind::SessionRelieved { after_ticks }, out);
            }
            Some(strain) if (strain.every, strain.turn) != (every, turn) => {
                let is_another = strain.every != every;
                (strain.every, strain.turn) = (every, turn);
                if is_another {
                    self.event(now, EventKind::SessionStrained { every }, out);
                }
            }
            None | Some(_) => {}
        }
    }

    /// Whether it is under strain.
    #[must_use]
    pub fn is_strained(&self) -> bool {
        self.strain.is_some_and(|strain| strain.every > 1)
    }

    /// Whether what is no audio is done in this tick; otherwise it is put off.
    pub(super) fn has_its_turn(&mut self, now: Tick) -> bool {
        let is_closing = matches!(self.life, Life::Closing(_));
        let Some(strain) = &mut self.strain else { return true };
        let (every, turn) = (u64::from(strain.every), u64::from(strain.turn));
        // Ticks that were jumped over may have been its turn.
        let is_due = now.0 % every == turn || strain.put_off + 1 >= every;
        // Who may end in this tick leaves nothing undone.
        let has = is_due || is_closing;
        strain.put_off += u64::from(!has);
        has
    }

    /// How many ticks before this one had their work put off until now.
    pub(super) fn put_off(&self) -> u64 {
        self.strain.map_or(0, |strain| strain.put_off)
    }

    /// Nothing is put off any more.
    pub(super) fn has_worked(&mut self) {
        if let Some(strain) = &mut self.strain {
            strain.put_off = 0;
        }
        self.strain = self.strain.filter(|strain| strain.every > 1);
    }
}
