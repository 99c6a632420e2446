//! The folder on a thread of its own: a tick in real time does not wait for a disk.
//!
//! Records go to the thread through one ring and come back, emptied, through another. All are made at
//! the start, and what a record holds is freed on the thread: the tick copies samples into room that is
//! there, and asks the system for nothing. The thread looks every [`LOOK_MS`] instead of being woken,
//! since waking would cost the tick more than all the copying.
//!
//! **Invariant:** a tick never blocks. When all records are under way, it is dropped, counted, and told
//! at the end.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use super::folder::Folder;
use super::metrics::{Metrics, Tally};
use super::{Overrun, Timing};
use crate::clock::Tick;
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::slot::message;

/// How far the writer may fall behind, in milliseconds: longer than a disk takes to wake up.
const BEHIND_MS_MAX: u32 = 5_000;

/// Ticks under way at least, for sessions of long ticks.
const RECORDS_MIN: u64 = 8;

/// Overruns under way at most; they are rare, and counted elsewhere too.
const OVERRUNS_MAX: usize = 64;

/// How often the thread looks: a fiftieth of what it may fall behind.
const LOOK_MS: u64 = 100;

/// A [`Folder`] that is written on its own thread.
#[derive(Debug)]
pub struct FolderThread {
    plan: Arc<Plan>,
    to_write: Producer<Message>,
    written: Consumer<Box<Record>>,
    dropped: u64,
    first_dropped: Option<Tick>,
    lost_overruns: u64,
    journal_lost: u64,
    report_left_out: Option<String>,
    writer: JoinHandle<Folder>,
}

/// What goes to the thread.
#[derive(Debug)]
enum Message {
    Tick(Box<Record>),
    Overrun(Overrun),
}

/// A tick to be written.
#[derive(Debug, Default)]
struct Record {
    now: Tick,
    timing: Timing,
    out: Output,
}

impl FolderThread {
    /// Moves a folder to a thread of its own.
    ///
    /// # Panics
    /// If the system has no thread left.
    #[must_use]
    pub fn spawn(folder: Folder) -> Self {
        let plan = Arc::clone(folder.plan());
        let records = plan.len.ticks(BEHIND_MS_MAX).max(RECORDS_MIN) as usize;
        let (to_write, inbox) = RingBuffer::new(records + OVERRUNS_MAX);
        let (mut outbox, written) = RingBuffer::new(records);
        for _ in 0..records {
            let mut record = Box::<Record>::default();
            record.out.audio.reserve_exact(plan.samples());
            record.out.heard.reserve_exact(plan.samples());
            // A tick speaks of two items at most times, and of three where short ones meet.
            record.out.played.reserve_exact(4);
            let _ = outbox.push(record);
        }
        let writer = thread::Builder::new()
            .name("antiphon-record".into())
            .spawn(move || write(folder, inbox, outbox))
            .expect("the system has a thread left");
        Self {
            plan,
            to_write,
            written,
            dropped: 0,
            first_dropped: None,
            lost_overruns: 0,
            journal_lost: 0,
            report_left_out: None,
            writer,
        }
    }

    /// Passes on what came of one tick.
    pub fn tick(&mut self, now: Tick, out: &Output, timing: Timing) {
        let Ok(mut record) = self.written.pop() else { return self.drop_tick(now) };
        record.copy(now, out, timing);
        if self.to_write.push(Message::Tick(record)).is_err() {
            self.drop_tick(now);
        }
    }

    fn drop_tick(&mut self, now: Tick) {
        self.dropped += 1;
        self.first_dropped.get_or_insert(now);
    }

    /// Passes on an inline call that took longer than its budget.
    pub fn overrun(&mut self, overrun: Overrun) {
        let is_full = self.to_write.push(Message::Overrun(overrun)).is_err();
        self.lost_overruns += u64::from(is_full);
    }

    /// Notes that so many ticks are not in the journal.
    pub const fn journal_lost(&mut self, ticks: u64) {
        self.journal_lost = ticks;
    }

    /// Leaves the report out: see [`Folder::without_report`].
    pub fn without_report(&mut self, why: &str) {
        self.report_left_out = Some(why.to_owned());
    }

    /// Waits until all is written, and [finishes](Folder::finish) the folder.
    pub fn finish(self, end: &str) -> (Metrics, Vec<String>) {
        let Self {
            plan,
            to_write,
            dropped,
            first_dropped,
            lost_overruns,
            journal_lost,
            report_left_out,
            writer,
            ..
        } = self;
        // The thread ends when nobody can send it more.
        drop(to_write);
        writer.thread().unpark();
        let (metrics, mut troubles) = match writer.join() {
            Ok(mut folder) => {
                folder.journal_lost(journal_lost);
                if let Some(why) = report_left_out {
                    folder.without_report(&why);
                }
                folder.finish(end)
            }
            Err(panic) => {
                let trouble =
                    format!("the record is incomplete, its thread panicked: {}", message(&*panic));
                (Tally::new().metrics(&plan, end), vec![trouble])
            }
        };
        if let Some(first) = first_dropped {
            troubles.push(format!(
                "the disk fell {} ms behind: {dropped} ticks from tick {first} on are missing in every file",
                plan.len.span_ms(plan.len.ticks(BEHIND_MS_MAX).max(RECORDS_MIN))
            ));
        }
        if lost_overruns > 0 {
            troubles.push(format!("{lost_overruns} overruns are missing in timing.jsonl"));
        }
        (metrics, troubles)
    }
}

fn write(
    mut folder: Folder,
    mut inbox: Consumer<Message>,
    mut outbox: Producer<Box<Record>>,
) -> Folder {
    loop {
        // Asked first: what was sent before the end is still taken.
        let is_over = inbox.is_abandoned();
        while let Ok(message) = inbox.pop() {
            match message {
                Message::Tick(mut record) => {
                    folder.tick(record.now, &record.out, record.timing);
                    record.out.clear();
                    // There is room for all records; only at the end nobody wants them back.
                    let _ = outbox.push(record);
                }
                Message::Overrun(overrun) => folder.overrun(overrun),
            }
        }
        if is_over {
            return folder;
        }
        thread::park_timeout(Duration::from_millis(LOOK_MS));
    }
}

impl Record {
    /// Copies a tick: what was heard, said and done in it, not what it makes the world do.
    fn copy(&mut self, now: Tick, out: &Output, timing: Timing) {
        self.now = now;
        self.timing = timing;
        // `clone_from` keeps the room that is there.
        self.out.audio.clone_from(&out.audio);
        self.out.heard.clone_from(&out.heard);
        self.out.events.clone_from(&out.events);
        self.out.played.clone_from(&out.played);
        self.out.calls.clone_from(&out.calls);
        self.out.results.clone_from(&out.results);
        self.out.levels.clone_from(&out.levels);
        self.out.user_speech = out.user_speech;
        self.out.agent_speech = out.agent_speech;
        self.out.ended = out.ended;
        self.out.digest = out.digest;
    }
}
