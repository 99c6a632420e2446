//! Participants without a network: a thread that hands each session's line the packets of its participant, and takes
//! what the agent says.
//!
//! Each participant sends at a moment of its own within the tick, as participants of rooms do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::pattern::{Pattern, is_speech};
use super::stage::{Stage, Stages};
use crate::cli::failure::Failure;
use crate::host::pace::{Clock, sharpen};
use crate::host::packets::Trunk;
use crate::host::watchdog::enlist;
use crate::id::LaneId;

/// A tick, in nanoseconds, and the moments within it at which participants send.
const TICK_NS: u64 = 20_000_000;
const MOMENTS: u64 = 16;

/// Participants on their way to the thread at most.
pub(in crate::cli::bench) const WAITING: usize = 64;

/// What happened to packets, both ways, while it counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli::bench) struct Counts {
    /// From participants, those with speech alone.
    pub(in crate::cli::bench) decoded: u64,
    /// From agents, those with speech alone.
    pub(in crate::cli::bench) encoded: u64,
    /// All packets, both ways.
    pub(in crate::cli::bench) sent: u64,
    /// Those that a session did not get, or got too late; and those of agents that nobody got.
    pub(in crate::cli::bench) lost: u64,
}

struct Participant {
    trunk: Trunk,
    at: usize,
    seq: u16,
    /// What was lost on its line before it counted.
    lost_before: u64,
}

/// The thread.
pub(in crate::cli::bench) struct Callers {
    come: Sender<(Trunk, usize)>,
    thread: JoinHandle<Counts>,
}

/// The lane of the only participant.
pub(in crate::cli::bench) const LANE: LaneId = LaneId(0);

impl Callers {
    pub(in crate::cli::bench) fn start(
        pattern: Arc<Pattern>,
        stages: Stages,
    ) -> Result<Self, Failure> {
        let (come, coming) = bounded(WAITING);
        let thread = std::thread::Builder::new().name("callers".to_owned()).spawn(move || {
            sharpen();
            let _enlisted = enlist();
            talk(&pattern, &stages, &coming)
        });
        let thread =
            thread.map_err(|why| Failure::broken(format!("no thread for participants: {why}")))?;
        Ok(Self { come, thread })
    }

    /// Somebody comes, who says the pattern from here on.
    pub(in crate::cli::bench) fn add(&self, trunk: Trunk, begin: usize) -> bool {
        self.come.send((trunk, begin)).is_ok()
    }

    /// Waits for the end.
    pub(in crate::cli::bench) fn counts(self) -> Result<Counts, Failure> {
        drop(self.come);
        self.thread.join().map_err(|_| Failure::broken("the participants' thread panicked"))
    }
}

fn talk(pattern: &Pattern, stages: &Stages, coming: &Receiver<(Trunk, usize)>) -> Counts {
    let mut counted = false;
    let come = |stage, people: &mut Vec<Participant>| {
        if stage == Stage::Measure && !counted {
            counted = true;
            people.iter_mut().for_each(|person| person.lost_before = person.lost());
        }
        people.extend(coming.try_iter().map(|(trunk, at)| Participant {
            trunk,
            at,
            seq: 0,
            lost_before: 0,
        }));
    };
    let (people, mut counts) = paced(stages, come, |person| person.frame(pattern));
    counts.lost = people.iter().map(|person| person.lost() - person.lost_before).sum();
    counts
}

/// Paces all who have come until everybody ends: `come` adds them, and `frame` is called once a tick for each, at a
/// moment of its own. Everybody, and what happened while it counted.
pub(in crate::cli::bench) fn paced<P>(
    stages: &Stages,
    mut come: impl FnMut(Stage, &mut Vec<P>),
    mut frame: impl FnMut(&mut P) -> Counts,
) -> (Vec<P>, Counts) {
    let clock = Clock::default();
    let begun = clock.now();
    let (mut people, mut counts) = (Vec::new(), Counts::default());
    for moment in 0.. {
        clock.sleep_until(begun.after_ns(moment * (TICK_NS / MOMENTS)));
        let stage = stages.now();
        if stage == Stage::Over {
            break;
        }
        come(stage, &mut people);
        let first = (moment % MOMENTS) as usize;
        for person in people.iter_mut().skip(first).step_by(MOMENTS as usize) {
            let happened = frame(person);
            if stage == Stage::Measure {
                counts.decoded += happened.decoded;
                counts.encoded += happened.encoded;
                counts.sent += happened.sent;
            }
        }
    }
    (people, counts)
}

impl Participant {
    /// Says a frame, and hears.
    fn frame(&mut self, pattern: &Pattern) -> Counts {
        let mut counts = Counts::default();
        if let Some(packet) = pattern.packet(self.at) {
            self.trunk.send(LANE, self.seq, packet);
            self.seq = self.seq.wrapping_add(1);
            counts.decoded += u64::from(is_speech(packet));
            counts.sent += 1;
        }
        self.at += 1;
        while let Some(heard) = self.trunk.receive() {
            counts.encoded += u64::from(is_speech(heard.packet.bytes()));
            counts.sent += 1;
        }
        counts
    }

    fn lost(&self) -> u64 {
        let counts = self.trunk.counts();
        [&counts.refused, &counts.missed, &counts.malformed, &counts.unsent]
            .map(|count| count.load(Ordering::Relaxed))
            .into_iter()
            .sum()
    }
}
