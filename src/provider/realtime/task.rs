//! The task of a conversation: it has the socket, the clock and the state machine.
//!
//! Whatever happens (a wish, a message, room to write, a beat) the machine is told the time, and what it wants is done.
//! What it sends waits in its own queue, whose bound and rule it has, until the socket takes it. While events wait for
//! the tick nothing is read, and the provider has to wait in turn.
//!
//! **Invariant:** there is one socket; nothing of one that was given up is read; a socket that takes nothing, or gives no
//! sign of life, is given up.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, Stream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

use super::Opening;
use super::socket::{Door, Socket, close};
use super::talk::{Ends, Wish};
use super::voice::Voice;
use crate::generate::BoxFuture;
use crate::pcm::resample::{Resampler, ResamplerTable};
use crate::provider::trouble::Trouble;
use crate::seed::Seed;
use crate::think::chat::{ErrorKind, ModelError};
use crate::think::native::event::NativeEvent;
use crate::think::native::realtime::settings::Times;
use crate::think::native::realtime::{Action, Realtime};

/// How long nothing happens until the machine is told the time, in milliseconds.
const BEAT_MS: u64 = 50;

/// The longest that a server's `retry-after` is heeded, in milliseconds: the machine waits for a connection, too.
const AFTER_MAX_MS: u64 = 5_000;

/// Audio of the model's that waits for the tick at most before nothing is read any more, in seconds.
const WAITING_SECONDS: u64 = 60;

/// The longest piece of the user's audio in one message, in milliseconds.
const PIECE_MS: usize = 500;

/// When a socket is given up, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// After so long without a message a ping is sent.
    pub ping_ms: u64,
    /// After so long without one the socket is given up.
    pub dead_ms: u64,
    /// After so long without room for what is to be sent, too.
    pub send_ms: u64,
}

/// A call that is lost for longer is lost for its caller, too.
impl Default for Bounds {
    fn default() -> Self {
        Self { ping_ms: 5_000, dead_ms: 15_000, send_ms: 10_000 }
    }
}

/// The socket.
enum Line {
    None,
    Opening(BoxFuture<'static, Result<Box<Socket>, Trouble>>),
    Open(Box<Socket>),
}

/// What woke the task.
enum Woke {
    /// Time, or somebody's wish.
    Up,
    Opened(Result<Box<Socket>, Trouble>),
    Said(Message),
    Ended,
    Broke(tungstenite::Error),
}

pub(super) struct Task {
    door: Door,
    machine: Realtime,
    times: Times,
    bounds: Bounds,
    ends: Ends,
    line: Line,
    /// Sockets that are being closed.
    closing: VecDeque<JoinHandle<()>>,
    start: Instant,
    jitter: Seed,
    /// Connections that failed in a row, and how long the server wants to be left alone.
    failures: u32,
    after: Duration,
    /// When a message came last, and whether a ping was sent since then.
    heard: Instant,
    pinged: bool,
    /// Since when the socket takes nothing.
    stuck: Option<Instant>,
    voice: Voice,
    table: ResamplerTable,
    resampler: Resampler,
    samples: u64,
    pcm: Vec<i16>,
    converted: Vec<i16>,
    /// Events that were told, and samples in those that may not have been taken.
    told: u64,
    waiting: u64,
    over: bool,
}

impl Task {
    pub(super) fn new(
        door: Door,
        opening: Opening,
        jitter: Seed,
        bounds: Bounds,
        ends: Ends,
    ) -> Self {
        let Opening { settings, history, heard_hz, said_hz } = opening;
        let format_hz = settings.format.hz();
        let table = ResamplerTable::new(heard_hz, format_hz);
        let times = settings.times;
        let mut machine = Realtime::new(settings);
        machine.recall(&history);
        let now = Instant::now();
        Self {
            door,
            times,
            machine,
            voice: Voice::new(format_hz, said_hz.unwrap_or(format_hz)),
            bounds,
            ends,
            line: Line::None,
            closing: VecDeque::new(),
            start: now,
            jitter,
            failures: 0,
            after: Duration::ZERO,
            heard: now,
            pinged: false,
            stuck: None,
            resampler: Resampler::new(&table),
            table,
            samples: 0,
            pcm: Vec::new(),
            converted: Vec::new(),
            told: 0,
            waiting: 0,
            over: false,
        }
    }

    pub(super) async fn run(mut self) {
        self.machine.start();
        loop {
            self.machine.tick(self.start.elapsed().as_millis() as u64);
            self.obey();
            self.watch();
            self.act();
            self.tell();
            if self.over && (self.machine.next().is_none() && self.all_told() || self.is_left()) {
                break;
            }
            match self.wake().await {
                Woke::Up => {}
                Woke::Opened(Ok(socket)) => {
                    self.line = Line::Open(socket);
                    (self.heard, self.pinged, self.stuck) = (Instant::now(), false, None);
                    self.machine.connected();
                }
                Woke::Opened(Err(Trouble { error, after })) => {
                    self.after = after.unwrap_or_default().min(Duration::from_millis(AFTER_MAX_MS));
                    self.line = Line::None;
                    self.machine.lost(error);
                }
                Woke::Said(message) => self.said(message),
                Woke::Ended => self.lost(self.door.closed(None)),
                Woke::Broke(error) => self.lost(self.door.broken(&error)),
            }
        }
        self.hang_up();
        for closing in self.closing.drain(..) {
            drop(closing.await);
        }
    }

    fn is_left(&self) -> bool {
        self.ends.wishes.is_abandoned()
    }

    fn lost(&mut self, error: ModelError) {
        self.machine.lost(error);
    }

    /// Does what the handle wants, each wish after the samples that came before it.
    fn obey(&mut self) {
        // What is pushed behind a wish that cannot be seen yet is left alone.
        let there = self.samples + self.ends.audio.slots() as u64;
        while let Ok((samples, wish)) = self.ends.wishes.pop() {
            self.listen(samples);
            match wish {
                Wish::Heed(mut result, taken) => {
                    self.voice.read(&mut result);
                    // What is on its way to the adapter waits, too.
                    result.buffered = result.buffered.max(u64::from(taken < self.told));
                    self.machine.heed(&result);
                }
                Wish::Result(call, output) => drop(self.machine.tool_result(&call, &output)),
                Wish::Settle(call, output) => drop(self.machine.settle(&call, &output)),
                Wish::Ask(instructions) => self.machine.ask(instructions),
                Wish::Write(text) => self.machine.write(&text),
                Wish::Note(text) => self.machine.note(&text),
                Wish::Commit => drop(self.machine.commit()),
                Wish::EndTurn => drop(self.machine.end_turn()),
                Wish::Silence => self.machine.silence(),
                Wish::Clear => self.machine.clear(),
                Wish::Cancel => self.machine.cancel(),
                Wish::Close => self.stop(),
            }
        }
        self.listen(there);
        if self.is_left() && !self.over {
            self.stop();
        }
    }

    fn stop(&mut self) {
        self.machine.stop();
        self.over = true;
    }

    /// Hears the user's samples up to this one.
    fn listen(&mut self, until: u64) {
        let piece = self.table.from_hz() as usize / 1_000 * PIECE_MS;
        while self.samples < until {
            let len = (until - self.samples).min(piece as u64) as usize;
            self.pcm.resize(len, 0);
            if self.ends.audio.pop_entire_slice(&mut self.pcm).is_err() {
                // The handle pushes samples before the wish that counts them.
                break;
            }
            self.samples += len as u64;
            self.converted.clear();
            self.resampler.push(&self.table, &self.pcm, &mut self.converted);
            if !self.over {
                self.machine.append(&self.converted);
            }
        }
    }

    /// Whether the socket still lives.
    fn watch(&mut self) {
        if !matches!(self.line, Line::Open(_)) {
            return;
        }
        let ms = |ms| Duration::from_millis(ms);
        if !self.reads() {
            // Who does not listen hears no sign of life.
            self.heard = Instant::now();
        }
        if self.heard.elapsed() >= ms(self.bounds.dead_ms) {
            let what = format!("no sign of life for {} ms", self.bounds.dead_ms);
            self.lost(self.door.server.error(ErrorKind::Stalled, what));
        } else if self.stuck.is_some_and(|since| since.elapsed() >= ms(self.bounds.send_ms)) {
            let what = format!("nothing could be sent for {} ms", self.bounds.send_ms);
            self.lost(self.door.server.error(ErrorKind::Stalled, what));
        }
    }

    /// Opens and closes what the machine wants opened and closed. What it sends is sent [elsewhere](Self::write).
    fn act(&mut self) {
        loop {
            match self.machine.next() {
                Some(Action::Connect) => {
                    let delay = self.delay();
                    let door = self.door.clone();
                    self.line = Line::Opening(Box::pin(async move {
                        if !delay.is_zero() {
                            sleep(delay).await;
                        }
                        door.open().await
                    }));
                }
                Some(Action::Close) => self.hang_up(),
                // Without a socket nothing is to be sent.
                Some(Action::Send { .. }) if !matches!(self.line, Line::Open(_)) => {}
                Some(Action::Send { .. }) | None => return,
            }
            self.machine.poll();
        }
    }

    /// What chance adds to the machine's own delay, so that not all who failed together ask together again; and what the
    /// server asked for.
    fn delay(&mut self) -> Duration {
        let after = std::mem::take(&mut self.after);
        if self.failures == 0 {
            return after;
        }
        let pause = self.times.pause_ms << (self.failures - 1).min(5);
        after + Duration::from_millis(self.jitter.below(pause / 2 + 1))
    }

    /// Leaves the socket to its closing, which hinders no other.
    fn hang_up(&mut self) {
        self.closing.retain(|closing| !closing.is_finished());
        if let Line::Open(socket) = std::mem::replace(&mut self.line, Line::None) {
            let within = Duration::from_millis(self.times.disconnect_ms);
            self.closing.push_back(tokio::spawn(close(*socket, within)));
        }
    }

    /// Whether anything is read: not while there are events that nobody has taken.
    fn reads(&self) -> bool {
        let hz = u64::from(self.voice.hz());
        self.ends.events.slots() > 0 && self.waiting < hz * WAITING_SECONDS
    }

    fn all_told(&self) -> bool {
        self.ends.events.slots() > 0
    }

    /// Tells the handle what has happened, as long as there is room.
    fn tell(&mut self) {
        if self.ends.events.slots() == self.ends.events.buffer().capacity() {
            self.waiting = 0;
        }
        while self.ends.events.slots() > 0 {
            let Some(event) = self.voice.next(&mut self.machine) else { return };
            let event = match event {
                NativeEvent::Ready { .. } => {
                    self.failures = 0;
                    event
                }
                NativeEvent::Lost { error, last } => {
                    self.failures = self.failures.saturating_add(1);
                    self.over |= last;
                    NativeEvent::Lost { error: self.door.server.named(error), last }
                }
                // A server may repeat what it was sent.
                NativeEvent::Trouble(error) => NativeEvent::Trouble(self.door.server.named(error)),
                event => event,
            };
            if let NativeEvent::Audio { pcm, .. } = &event {
                self.waiting += pcm.0.len() as u64;
            }
            self.told += 1;
            // There is room: only this task pushes.
            drop(self.ends.events.push(event));
        }
    }

    fn said(&mut self, message: Message) {
        match message {
            Message::Text(text) => self.machine.received(text.as_str()),
            // No event of the protocol is binary: the machine counts a text that is none.
            Message::Binary(_) => self.machine.received(""),
            Message::Close(frame) => self.lost(self.door.closed(frame.as_ref())),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }

    /// Waits until something happens.
    async fn wake(&mut self) -> Woke {
        let mut beat = pin!(sleep(Duration::from_millis(BEAT_MS)));
        poll_fn(|cx| {
            self.ends.bell.register(cx.waker());
            let wished = !self.ends.wishes.is_empty() || !self.ends.audio.is_empty();
            let line = self.poll_line(cx);
            if line.is_ready() {
                return line;
            }
            if wished || beat.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Woke::Up);
            }
            Poll::Pending
        })
        .await
    }

    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Woke> {
        let reads = self.reads();
        match &mut self.line {
            Line::None => Poll::Pending,
            Line::Opening(opening) => opening.as_mut().poll(cx).map(Woke::Opened),
            Line::Open(_) => {
                if let Err(error) = self.write(cx) {
                    return Poll::Ready(Woke::Broke(error));
                }
                if reads { self.read(cx) } else { Poll::Pending }
            }
        }
    }

    /// Writes what there is, as long as the socket takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), tungstenite::Error> {
        let Line::Open(socket) = &mut self.line else { return Ok(()) };
        let mut socket = Pin::new(&mut **socket);
        let idle = self.heard.elapsed() >= Duration::from_millis(self.bounds.ping_ms);
        loop {
            let pings = idle && !self.pinged;
            if !pings && !matches!(self.machine.next(), Some(Action::Send { .. })) {
                break;
            }
            if socket.as_mut().poll_ready(cx)?.is_pending() {
                break;
            }
            if pings {
                self.pinged = true;
                socket.as_mut().start_send(Message::Ping(Bytes::new()))?;
            } else if let Some(Action::Send { event_id, event }) = self.machine.poll() {
                socket.as_mut().start_send(Message::text(event.text(&event_id)))?;
            }
        }
        // Answers to pings are written here, too.
        let flushed = socket.poll_flush(cx)?.is_ready();
        self.stuck = if flushed { None } else { self.stuck.or_else(|| Some(Instant::now())) };
        Ok(())
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Woke> {
        let Line::Open(socket) = &mut self.line else { return Poll::Pending };
        match Pin::new(&mut **socket).poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(Woke::Ended),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Woke::Broke(error)),
            Poll::Ready(Some(Ok(message))) => {
                (self.heard, self.pinged) = (Instant::now(), false);
                Poll::Ready(Woke::Said(message))
            }
        }
    }
}
