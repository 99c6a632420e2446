//! What becomes of a stay whose connection is lost, or given up: it is taken up again, or the room is joined anew.
//!
//! **Invariant:** the session goes on meanwhile, and nothing of a former connection is used in the next.

use std::time::Duration;

use tokio::time::Instant as Timer;

use super::News;
use super::carrier::{Carrier, now};
use super::entry::Entered;
use super::link::{Heard, TROUBLE_TIME};
use super::timers::Timers;
use crate::livekit::roster::Change;
use crate::livekit::stay::End;
use crate::session::input::{Inbound, LineState};

/// How long a connection to the server has to last until the trouble before it is over.
pub(super) const STEADY: Duration = Duration::from_secs(3);

/// How long the server's word is waited for once it has ended the media connection: it sends both at once.
const LAST_WORD: Duration = Duration::from_secs(1);

impl Carrier {
    /// Why the media connection is gone, if the server says it. Who is removed hears it on two ways, in
    /// either order.
    pub(super) async fn reason(&mut self) -> Option<End> {
        let until = Timer::now() + LAST_WORD;
        while self.link.is_up() && self.stay.out().end.is_none() {
            match tokio::time::timeout_at(until, self.link.next(now)).await {
                Ok(Heard::Message(message)) => self.stay.signal(self.clock.now(), *message),
                Ok(Heard::Malformed) => self.stay.malformed(),
                Ok(
                    Heard::Lost | Heard::Again | Heard::Anew(_) | Heard::Failed | Heard::Over(_),
                )
                | Err(_) => break,
            }
        }
        self.stay.out().end.take()
    }

    /// The connection to the server is lost; whether the room has to be joined anew.
    pub(super) fn link_lost(&mut self, anew: bool) {
        if self.link.is_up() {
            let state = LineState::Lost("the connection to the server was lost".to_owned());
            self.backlog.add(Change::Value(Inbound::Line { state }));
            (self.tell)(News::Away);
        }
        let at = now();
        // One that is closed as soon as it is there would be tried without a pause.
        let is_steady = self.timers.up + STEADY <= at;
        let may = anew && self.timers.anew.is_none_or(|joined| joined + STEADY <= at);
        self.link.lose(at, anew, is_steady || may);
        self.trouble.get_or_insert(at);
    }

    /// Another one of the agent's identity has put it out. Whoever of them has no right to be there hears of that soon,
    /// so this one does not come back at once.
    pub(super) fn put_out(&mut self) {
        self.give_up_media();
        self.link.lose(now(), true, false);
    }

    /// The media connection is of no use any more, and the server does not say why.
    pub(super) fn give_up_media(&mut self) {
        self.dead = true;
        self.timers.media = now() + TROUBLE_TIME;
        self.timers.path = None;
        self.timers.restart = None;
        self.link_lost(true);
    }

    /// The room was joined anew: everything is another connection's, and the session goes on.
    pub(super) fn enter_anew(&mut self, entered: Entered) {
        let Entered { signal, media, paths, join } = entered;
        self.unsent += self.paths.dropped();
        self.paths.close();
        (self.media, self.paths) = (media, paths);
        self.dead = false;
        self.was_connected = false;
        let at = now();
        let company = self.timers.company;
        self.timers = Timers { company, anew: Some(at), ..Timers::new(at) };
        self.link.up(signal);
        self.entered(&join);
        self.stay.joined_anew(self.clock.now(), join);
        self.back();
    }

    /// There is a connection again: the session and the owner are told.
    pub(super) fn back(&mut self) {
        self.backlog.add(Change::Value(Inbound::Line { state: LineState::Restored }));
        (self.tell)(News::Back { room: self.stay.room_sid() });
    }
}
