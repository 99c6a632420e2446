//! Keeps devices open: what breaks off is opened anew, and the session goes on meanwhile.
//!
//! A thread of its own owns the streams, since opening and closing them may take seconds, or for ever. It hands the ends
//! of rings to the [line](super::line) of a session, and takes back those that are of no use any more.
//!
//! **Invariant:** whatever a sound system does, the thread of the tick waits for nothing of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::capture::{Capture, capture};
use super::choice::{self, Choice, Picked};
use super::playback::{Playback, playback};
use super::streams;
use super::trouble::{Side, Trouble};
use crate::host::notice::Notice;
use crate::host::pace::{Clock, Moment};

/// How often the devices are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// A stream whose thread was not heard of for so long stands still.
const STILL_NS: u64 = 2_000_000_000;

/// How often it is looked whether the default device is another one.
const DEFAULT_NS: u64 = 1_000_000_000;

/// How long a lost device is left alone until it is tried again, at first and at most.
const RETRY_NS: u64 = 250_000_000;
const RETRY_MAX_NS: u64 = 2_000_000_000;

/// How long a sound system is waited for until it is given up for the moment.
const PATIENCE: Duration = Duration::from_secs(4);

/// Breaks that wait to be looked at; a stream that breaks off tells so once, others tell of nothing that matters.
const BREAKS: usize = 64;

/// What the line of a session works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The session's rate, which is played.
    pub session_hz: u32,
    /// The rate at which echo is taken out, which is recorded.
    pub echo_hz: u32,
    /// The length of a tick.
    pub tick_ms: u32,
}

/// What a line is told of its devices; none where there is none any more.
#[derive(Debug)]
pub enum Part {
    /// The microphone.
    Input(Option<Box<Capture>>),
    /// The speaker, and what it plays.
    Output(Option<Box<(Playback, Capture)>>),
}

/// A device that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// Which side it is on.
    pub side: Side,
    /// Its name.
    pub name: String,
    /// Rate, channels and format of its samples, for people.
    pub shape: String,
}

/// What a line needs.
#[derive(Debug)]
pub struct Ends {
    /// What it is told.
    pub parts: Receiver<Part>,
    /// What it does not need any more, to be freed elsewhere.
    pub spent: Sender<Part>,
}

/// Devices that are kept open, until this is dropped.
#[derive(Debug)]
pub struct Keeper {
    /// The devices that were opened at first.
    pub devices: Vec<InUse>,
    stop: Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Keeper {
    /// Opens what is chosen, and keeps it open; `tell` is told of what becomes of it.
    ///
    /// # Errors
    /// All that is wrong with it at first. What goes wrong later on is told by notices, and is tried again.
    pub fn start(
        choice: Choice,
        shape: Shape,
        tell: Sender<Notice>,
    ) -> Result<(Self, Ends), Vec<Trouble>> {
        let (stop, stopped) = bounded(1);
        let (give, parts) = bounded(8);
        let (spend, spent) = bounded(8);
        let (ready, opened) = bounded(1);
        let run = move || {
            let (broke, breaks) = bounded(BREAKS);
            let mut watch = Watch {
                choice,
                shape,
                host: None,
                asked: None,
                sides: Vec::new(),
                give,
                tell,
                broke,
                clock: Clock::default(),
            };
            let opened = watch.open_all();
            let is_open = opened.is_ok();
            if ready.send(opened).is_ok() && is_open {
                watch.run(&breaks, &stopped, &spent);
            }
        };
        let side = Side::Output;
        let thread = std::thread::Builder::new().name("devices".to_owned()).spawn(run);
        let thread = thread.map_err(|error| {
            let what = format!("no thread for devices: {error}");
            vec![Trouble { side, what, passes: false }]
        })?;
        let devices = opened.recv_timeout(3 * PATIENCE).unwrap_or_else(|_| {
            let what = "the sound system does not answer: restart its server (`systemctl --user restart \
                        pipewire pipewire-pulse`, or `pulseaudio --kill` and `pulseaudio --start`), or run \
                        with --device null";
            Err(vec![Trouble { side, what: what.to_owned(), passes: true }])
        })?;
        let keeper = Self { devices, stop, thread: Some(thread) };
        Ok((keeper, Ends { parts, spent: spend }))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.stop.try_send(());
        if let Some(thread) = self.thread.take() {
            // A sound system that hangs keeps nobody from leaving.
            let _ = within(PATIENCE, move || drop(thread.join()));
        }
    }
}

/// What comes of a thing that may never come.
fn within<T: Send + 'static>(
    patience: Duration,
    thing: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = bounded(1);
    let thread = std::thread::Builder::new().name("device".to_owned());
    thread.spawn(move || drop(tell.send(thing()))).ok()?;
    told.recv_timeout(patience).ok()
}

/// A stream that broke off.
struct Break {
    side: Side,
    /// Which of the side's streams.
    number: u32,
    error: cpal::Error,
}

/// One side of the devices.
struct OneSide {
    side: Side,
    number: u32,
    state: State,
}

enum State {
    Open {
        _stream: Streaming,
        picked: Box<Picked>,
        calls: Arc<AtomicU32>,
        seen: (u32, Moment),
        default_looked: Moment,
    },
    Lost {
        again: Moment,
        wait_ns: u64,
    },
}

/// A stream, which is closed on a thread of its own: that may hang.
struct Streaming(Option<cpal::Stream>);

impl Drop for Streaming {
    fn drop(&mut self) {
        let stream = self.0.take();
        drop(std::thread::Builder::new().name("device".to_owned()).spawn(move || drop(stream)));
    }
}

struct Watch {
    choice: Choice,
    shape: Shape,
    /// The kind of sound system that was found at first: another one is not what was asked for.
    host: Option<cpal::HostId>,
    /// Who is asked for the default devices.
    asked: Option<cpal::Host>,
    sides: Vec<OneSide>,
    give: Sender<Part>,
    tell: Sender<Notice>,
    broke: Sender<Break>,
    clock: Clock,
}

impl Watch {
    fn open_all(&mut self) -> Result<Vec<InUse>, Vec<Trouble>> {
        let (mut devices, mut wrong) = (Vec::new(), Vec::new());
        for side in [Side::Input, Side::Output] {
            if self.choice.is_null(side) {
                continue;
            }
            match self.open(side, 0) {
                Ok(state) => {
                    if let State::Open { picked, .. } = &state {
                        devices.push(in_use(side, picked));
                    }
                    self.sides.push(OneSide { side, number: 0, state });
                }
                Err(trouble) => wrong.push(trouble),
            }
        }
        // The same server is missing on both sides.
        wrong.dedup_by(|a, b| a.what == b.what);
        if wrong.is_empty() { Ok(devices) } else { Err(wrong) }
    }

    fn run(&mut self, breaks: &Receiver<Break>, stopped: &Receiver<()>, spent: &Receiver<Part>) {
        loop {
            match stopped.recv_timeout(LOOK) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            spent.try_iter().for_each(drop);
            for broken in breaks.try_iter() {
                self.broken(&broken);
            }
            for at in 0..self.sides.len() {
                self.look(at);
            }
        }
    }

    fn broken(&mut self, broken: &Break) {
        use cpal::ErrorKind;
        let at = self.sides.iter().position(|one| one.side == broken.side);
        let Some(one) = at.and_then(|at| self.sides.get_mut(at)) else { return };
        let State::Open { picked, .. } = &one.state else { return };
        if one.number != broken.number {
            return;
        }
        let name = picked.name.clone();
        match broken.error.kind() {
            // A gap is counted where it is heard; a class that was refused is no news.
            ErrorKind::Xrun | ErrorKind::RealtimeDenied => {}
            ErrorKind::DeviceChanged => {
                let noun = broken.side.noun();
                self.notice(Notice::Info(format!("the {noun} is another one now")));
            }
            _ => {
                let told = Trouble::told(broken.side, &name, &broken.error, &[]);
                self.lose(broken.side, &told.what);
            }
        }
    }

    /// A side has no device any more, for this reason.
    fn lose(&mut self, side: Side, why: &str) {
        let now = self.clock.now();
        let Some(one) = self.sides.iter_mut().find(|one| one.side == side) else { return };
        one.state = State::Lost { again: now.after_ns(RETRY_NS), wait_ns: RETRY_NS };
        let noun = side.noun();
        self.hand(match side {
            Side::Input => Part::Input(None),
            Side::Output => Part::Output(None),
        });
        self.notice(Notice::Warning(format!(
            "the {noun} is lost: {why}. The call goes on, and it is tried again"
        )));
    }

    fn look(&mut self, at: usize) {
        let now = self.clock.now();
        let default_only = self.choice.of(self.sides[at].side).is_none();
        let one = &mut self.sides[at];
        let side = one.side;
        match &mut one.state {
            State::Open { calls, seen, default_looked, picked, .. } => {
                let count = calls.load(Ordering::Relaxed);
                if count != seen.0 {
                    *seen = (count, now);
                }
                if now.since_ns(seen.1) > STILL_NS {
                    self.lose(side, "its stream stands still");
                } else if default_only && now.since_ns(*default_looked) > DEFAULT_NS {
                    *default_looked = now;
                    let id = picked.id.clone();
                    self.follow_default(at, &id);
                }
            }
            State::Lost { again, wait_ns } if now >= *again => {
                let wait_ns = (*wait_ns * 2).min(RETRY_MAX_NS);
                let number = one.number + 1;
                one.number = number;
                match self.open(side, number) {
                    Ok(state) => self.opened(at, state, "is back"),
                    Err(_) => {
                        let again = self.clock.now().after_ns(wait_ns);
                        self.sides[at].state = State::Lost { again, wait_ns };
                    }
                }
            }
            State::Lost { .. } => {}
        }
    }

    /// Goes over to another device, if the default is another one now.
    fn follow_default(&mut self, at: usize, id: &str) {
        let side = self.sides[at].side;
        let (asked, host) = (self.asked.take(), self.host);
        let looked = within(PATIENCE, move || {
            let _hushed = choice::hushed();
            let host = asked.or_else(|| cpal::host_from_id(host?).ok());
            let default = host.as_ref().and_then(|host| choice::default(host, side));
            (host, default.map(|device| choice::id(&device)))
        });
        // One that does not answer in time is not asked again. A stream that stands still is found out by itself.
        let Some((host, default)) = looked else { return };
        self.asked = host;
        match default {
            None => {}
            Some(now) if now == id => {}
            Some(_) => {
                let number = self.sides[at].number + 1;
                if let Ok(state) = self.open(side, number) {
                    self.sides[at].number = number;
                    self.opened(at, state, "is now");
                }
            }
        }
    }

    fn opened(&mut self, at: usize, state: State, how: &str) {
        let side = self.sides[at].side;
        if let State::Open { picked, .. } = &state {
            let InUse { name, shape, .. } = in_use(side, picked);
            let noun = side.noun();
            self.notice(Notice::Info(format!("the {noun} {how}: {name} ({shape})")));
        }
        self.sides[at].state = state;
    }

    /// Opens a side's device, and hands its ends to the line.
    fn open(&mut self, side: Side, number: u32) -> Result<State, Trouble> {
        let calls = Arc::new(AtomicU32::new(0));
        let trouble = move |what: String| Trouble { side, what, passes: true };
        let (choice, shape, known) = (self.choice.clone(), self.shape, self.host);
        let (broke, counted) = (self.broke.clone(), Arc::clone(&calls));
        let opened = within(PATIENCE, move || {
            let _hushed = choice::hushed();
            // A connection of its own for each stream: not every server gives one two of a kind, and one that broke off
            // takes its connection with it.
            let host = match known {
                Some(id) => cpal::host_from_id(id).map_err(|error| error.to_string()),
                None => choice::host(&choice),
            };
            let host = host.map_err(trouble)?;
            let picked = choice::pick(&host, &choice, side)?;
            let (stream, part) =
                stream(&picked, side, shape, counted, broke, number).map_err(|error| {
                    let others = choice::all(&host, side);
                    let others: Vec<_> =
                        others.into_iter().filter(|(_, _, id)| *id != picked.id).collect();
                    let names = choice::shown(&others, side);
                    match error {
                        Failed::Device(error) => Trouble::told(side, &picked.name, &error, &names),
                        Failed::Rates(what) => Trouble { side, what, passes: false },
                    }
                })?;
            Ok((host.id(), Streaming(Some(stream)), part, Box::new(picked)))
        });
        let opened = opened.unwrap_or_else(|| {
            Err(trouble(format!(
                "the {} does not answer: restart the sound server, or choose another device with {}",
                side.noun(),
                side.option()
            )))
        });
        let (host, stream, part, picked) = opened?;
        self.host = Some(host);
        let now = self.clock.now();
        self.hand(part);
        Ok(State::Open { _stream: stream, picked, calls, seen: (0, now), default_looked: now })
    }

    /// Gives the line a part. One that takes none has ended.
    fn hand(&self, part: Part) {
        drop(self.give.send_timeout(part, Duration::from_millis(200)));
    }

    fn notice(&self, notice: Notice) {
        drop(self.tell.try_send(notice));
    }
}

enum Failed {
    Device(cpal::Error),
    Rates(String),
}

impl From<cpal::Error> for Failed {
    fn from(error: cpal::Error) -> Self {
        Self::Device(error)
    }
}

/// A running stream of a device, and the ends for the line.
fn stream(
    picked: &Picked,
    side: Side,
    shape: Shape,
    calls: Arc<AtomicU32>,
    broke: Sender<Break>,
    number: u32,
) -> Result<(cpal::Stream, Part), Failed> {
    let tell: streams::Tell =
        Box::new(move |error| drop(broke.try_send(Break { side, number, error })));
    let rate_hz = picked.config.sample_rate;
    let Shape { session_hz, echo_hz, tick_ms } = shape;
    match side {
        Side::Input => {
            let (feed, capture) = capture(rate_hz, echo_hz, tick_ms).map_err(Failed::Rates)?;
            let stream = streams::input(picked, feed, calls, tell)?;
            Ok((stream, Part::Input(Some(Box::new(capture)))))
        }
        Side::Output => {
            let (playback, drain) =
                playback(session_hz, rate_hz, tick_ms).map_err(Failed::Rates)?;
            let (feed, played) = capture(rate_hz, echo_hz, tick_ms).map_err(Failed::Rates)?;
            let stream = streams::output(picked, drain, feed, calls, tell)?;
            Ok((stream, Part::Output(Some(Box::new((playback, played))))))
        }
    }
}

fn in_use(side: Side, picked: &Picked) -> InUse {
    let channels = picked.config.channels;
    let many = match channels {
        1 => "mono".to_owned(),
        2 => "stereo".to_owned(),
        more => format!("{more} channels"),
    };
    let shape = format!("{} Hz, {many}, {}", picked.config.sample_rate, picked.format);
    InUse { side, name: picked.name.clone(), shape }
}
