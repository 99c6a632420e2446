//! Participants of rooms who cost as little as they can: they send packets that were made before, and decode nothing
//! of what they hear.
//!
//! Each has a connection of its own to the server, as every participant has; one thread paces them all.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::callers::{Counts, WAITING, paced};
use super::pattern::{Pattern, is_speech};
use super::stage::Stages;
use crate::cli::bench::guest::{House, leave};
use crate::cli::failure::Failure;
use crate::host::pace::sharpen;
use crate::host::packets::{PlainLine, plain_line};
use crate::livekit::bell::Cord;
use crate::livekit::edge::Notice;
use crate::livekit::room::{Line, News, Room};
use crate::session::plan::Plan;

/// Somebody in a room.
struct Guest {
    room: Room,
    line: PlainLine,
    /// Nothing is said in it but that packets begin.
    _notices: rtrb::Producer<Notice>,
    cord: Cord,
    at: usize,
    heard: Heard,
    /// Where the first packet is told.
    first: Option<Sender<()>>,
}

/// What has come of one agent's packets: their numbers say how many there should be.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    first: Option<u16>,
    /// How far the numbers have come from the first.
    span: u64,
    count: u64,
}

impl Heard {
    fn packet(&mut self, seq: u16) {
        let first = *self.first.get_or_insert(seq);
        let last = (u64::from(first) + self.span) as u16;
        // One from before the last is late, and was counted as missing.
        self.span += u64::try_from(seq.wrapping_sub(last).cast_signed()).unwrap_or(0);
        self.count += 1;
    }

    const fn lost(&self) -> u64 {
        if self.first.is_some() { (self.span + 1).saturating_sub(self.count) } else { 0 }
    }
}

/// What guests have counted.
pub(super) struct Counted {
    /// While it counted; lost are those of the whole time.
    pub(super) counts: Counts,
    /// All packets that they have handed over in the whole time, and all that have come.
    pub(super) said: u64,
    pub(super) heard: u64,
}

/// The thread.
pub(super) struct Guests {
    come: Sender<Guest>,
    thread: JoinHandle<Result<Counted, Failure>>,
}

impl Guests {
    pub(super) fn start(pattern: Arc<Pattern>, stages: Stages) -> Result<Self, Failure> {
        let (come, coming) = bounded(WAITING);
        let thread = std::thread::Builder::new().name("guests".to_owned()).spawn(move || {
            sharpen();
            talk(&pattern, &stages, &coming)
        });
        let thread = thread.map_err(|why| Failure::broken(format!("no thread: {why}")))?;
        Ok(Self { come, thread })
    }

    /// Somebody enters a room and begins to talk there; who asked is told when the first packet of an agent has come.
    pub(super) fn enter(
        &self,
        house: &House,
        plan: &Plan,
        room: &str,
        begin: usize,
    ) -> Result<Receiver<()>, Failure> {
        let options = house.options(plan, room, Some("guest"))?;
        let (trunk, line) = plain_line();
        let cord = house.network.cord();
        let (mut notices, noted) = rtrb::RingBuffer::new(1);
        notices.push(Notice::Begun).ok();
        let (tell, told) = bounded(1);
        let (calls, lost) = (crossbeam_channel::never(), Arc::default());
        let ends = Line { trunk, notices: noted, lost, calls, stamps: None };
        let room = Room::join(&house.network, options, ends, cord.clone());
        crate::cli::bench::guest::until(&room, |news| matches!(news, News::Path(_)))?;
        let (at, heard) = (begin, Heard::default());
        let guest = Guest { room, line, _notices: notices, cord, at, heard, first: Some(tell) };
        let come = self.come.send(guest);
        come.map_err(|_| Failure::broken("the participants' thread is gone"))?;
        Ok(told)
    }

    /// Waits until all have left.
    pub(super) fn counted(self) -> Result<Counted, Failure> {
        drop(self.come);
        self.thread.join().map_err(|_| Failure::broken("the participants' thread panicked"))?
    }
}

fn talk(pattern: &Pattern, stages: &Stages, coming: &Receiver<Guest>) -> Result<Counted, Failure> {
    let mut said = 0;
    let come = |_, guests: &mut Vec<Guest>| guests.extend(coming.try_iter());
    let (guests, mut counts) = paced(stages, come, |guest| guest.frame(pattern, &mut said));
    counts.lost = guests.iter().map(|guest| guest.heard.lost()).sum();
    let heard = guests.iter().map(|guest| guest.heard.count).sum();
    guests.iter().for_each(|guest| guest.room.leave());
    guests.iter().try_for_each(|guest| leave(&guest.room))?;
    Ok(Counted { counts, said, heard })
}

impl Guest {
    /// Says a frame, and hears.
    fn frame(&mut self, pattern: &Pattern, said: &mut u64) -> Counts {
        let mut counts = Counts::default();
        let packet = pattern.packet(self.at);
        self.at += 1;
        if let Some(bytes) = packet {
            counts.decoded += u64::from(is_speech(bytes));
            counts.sent += 1;
            *said += 1;
        }
        self.line.send(packet);
        if packet.is_some() {
            self.cord.ring();
        }
        while let Some(heard) = self.line.receive() {
            self.heard.packet(heard.seq);
            counts.encoded += u64::from(is_speech(heard.packet.bytes()));
            counts.sent += 1;
            if let Some(first) = self.first.take() {
                first.try_send(()).ok();
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::Heard;

    #[test]
    fn what_is_missing_is_what_the_numbers_leave_out() {
        let lost = |seqs: &[u16]| {
            let mut heard = Heard::default();
            seqs.iter().for_each(|&seq| heard.packet(seq));
            heard.lost()
        };
        assert_eq!(lost(&[]), 0);
        assert_eq!(lost(&[7, 8, 9]), 0);
        assert_eq!(lost(&[65_534, 65_535, 0, 3]), 2);
        assert_eq!(lost(&[1, 3, 2, 4]), 0, "what comes late has come");
    }
}
