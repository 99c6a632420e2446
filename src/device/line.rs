//! The line of a session to this machine's microphone and speaker: an edge.
//!
//! **Invariant:** a tick that is given is whole; one that is missing is concealed by the session, as a frame that a
//! network lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::capture::{Capture, Taken};
use super::echo::{self, Echo, Suppression, Treatment};
use super::follow::Flow;
use super::keeper::{Ends, Part, Shape};
use super::playback::Playback;
use crate::clock::{Rate, Tick, TickLen};
use crate::host::pace::{Clock, Moment};
use crate::id::LaneId;
use crate::pcm::resample::{Resampler, ResamplerTable};
use crate::session::input::{Inbound, Input, TrackChange};
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::slot::Edge;

/// The delay that is added between a sample of the microphone and one of the speaker, beyond the devices' own
/// buffers, by what adds it, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Breakdown {
    /// Kept ready so that a late thread of the microphone is not heard.
    pub capture_spare: f64,
    /// The filter that brings the microphone's clock to ours.
    pub capture_filter: f64,
    /// A sample waits until its tick is whole.
    pub tick: f64,
    /// Echo cancellation and noise suppression.
    pub echo: f64,
    /// From its rate to the session's.
    pub to_session: f64,
    /// The filter that brings the session's clock and rate to the speaker's.
    pub playback_filter: f64,
    /// Kept ready so that a late tick is not heard.
    pub playback_spare: f64,
}

impl Breakdown {
    /// What the ends of devices add, with ticks of this length; nothing else is done with what they carry.
    #[must_use]
    pub fn of(input: Option<&Capture>, output: Option<&Playback>, tick_ms: u32) -> Self {
        Self {
            capture_spare: input.map_or(0.0, |capture| capture.flow().spare_ms()),
            capture_filter: input.map_or(0.0, Capture::filter_ms),
            tick: f64::from(tick_ms),
            playback_filter: output.map_or(0.0, Playback::filter_ms),
            playback_spare: output.map_or(0.0, |playback| playback.flow().spare_ms()),
            ..Self::default()
        }
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.named().iter().map(|(_, ms)| ms).sum()
    }

    /// Each part by its name.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, f64); 7] {
        [
            ("kept ready for the microphone", self.capture_spare),
            ("microphone to our clock", self.capture_filter),
            ("until the tick is whole", self.tick),
            ("echo and noise", self.echo),
            ("to the session's rate", self.to_session),
            ("to the speaker's clock", self.playback_filter),
            ("kept ready for the speaker", self.playback_spare),
        ]
    }
}

/// What a line was like, at the end of a call or in the middle.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Account {
    /// The microphone.
    pub input: Option<Flow>,
    /// The speaker.
    pub output: Option<Flow>,
    /// The delay that was added.
    pub breakdown: Breakdown,
    /// How echo was taken out.
    pub suppression: Suppression,
}

/// Microphone and speaker as one participant of a session.
pub struct Line {
    lane: LaneId,
    rate: Rate,
    len: TickLen,
    ends: Ends,
    input: Option<Box<Capture>>,
    output: Option<Box<(Playback, Capture)>>,
    echo: Echo,
    echo_hz: u32,
    /// From the rate of echo cancellation to the session's.
    down: Option<(ResamplerTable, Resampler)>,
    clock: Clock,
    /// The moment of tick 0, as far as is known: the earliest that ticks suggest.
    start: Option<Moment>,
    seq: u16,
    heard: Vec<f32>,
    played: Vec<f32>,
    wide: Vec<i16>,
    pcm: Vec<i16>,
    speech: Vec<f32>,
    muted: Arc<AtomicBool>,
    /// Whether the session was told that there is a microphone.
    told: bool,
    account: Arc<Mutex<Account>>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Line({:?}, {:?})", self.input, self.output)
    }
}

/// What belongs to a line, for those outside the session.
#[derive(Debug)]
pub struct Handles {
    /// Nothing of the microphone is passed on.
    pub muted: Arc<AtomicBool>,
    /// The latest account, of a second ago at most.
    pub account: Arc<Mutex<Account>>,
}

/// What devices have to do for sessions of a plan.
#[must_use]
pub fn shape(plan: &Plan) -> Shape {
    let session_hz = plan.rate.hz();
    Shape { session_hz, echo_hz: echo::rate_hz(session_hz), tick_ms: plan.len.ms() }
}

/// Ticks from one look at the figures to the next: a second.
const TICKS_A_LOOK: u64 = 50;

/// Ticks that turn out to be due by so much earlier than was thought are other ticks, in nanoseconds: bending would take
/// a minute. The first one of a call may have been late.
const MOVED_NS: u64 = 1_000_000;

impl Line {
    /// A line of a session of this plan, for the participant of a lane.
    #[must_use]
    pub fn new(plan: &Plan, lane: LaneId, ends: Ends, treatment: Treatment) -> (Self, Handles) {
        let shape = shape(plan);
        let ticks = (shape.echo_hz * shape.tick_ms / 1_000) as usize;
        let down = (shape.echo_hz != shape.session_hz).then(|| {
            let table = ResamplerTable::new(shape.echo_hz, shape.session_hz);
            let resampler = Resampler::new(&table);
            (table, resampler)
        });
        let account: Arc<Mutex<Account>> = Arc::default();
        let muted = Arc::new(AtomicBool::new(false));
        let line = Self {
            lane,
            rate: plan.rate,
            len: plan.len,
            ends,
            input: None,
            output: None,
            echo: Echo::new(treatment, shape.echo_hz),
            echo_hz: shape.echo_hz,
            down,
            clock: Clock::default(),
            start: None,
            seq: 0,
            heard: vec![0.0; ticks],
            played: vec![0.0; ticks],
            wide: Vec::with_capacity(ticks),
            pcm: Vec::with_capacity(2 * plan.samples()),
            speech: Vec::with_capacity(plan.samples()),
            muted: Arc::clone(&muted),
            told: true,
            account: Arc::clone(&account),
        };
        (line, Handles { muted, account })
    }

    fn swap(&mut self) {
        while let Ok(part) = self.ends.parts.try_recv() {
            if !matches!(part, Part::Input(None) | Part::Output(None)) {
                // Another device is another way.
                self.echo.forget();
            }
            let spent = match part {
                Part::Input(input) => Part::Input(std::mem::replace(&mut self.input, input)),
                Part::Output(output) => Part::Output(std::mem::replace(&mut self.output, output)),
            };
            // Where nobody takes it back, it is freed here.
            drop(self.ends.spent.try_send(spent));
        }
    }

    /// Waits until the devices run steadily, at most so long: what an agent says before that would be heard with gaps.
    pub fn settle(&mut self, most_ms: u32) {
        let begin = self.clock.now();
        let tick_ns = u64::from(self.len.ms()) * 1_000_000;
        for tick in 0..u64::from(most_ms / self.len.ms()) {
            let at = begin.after_ns(tick * tick_ns);
            self.clock.sleep_until(at);
            self.swap();
            let (mut input, mut output) = (true, true);
            if let Some(capture) = &mut self.input {
                capture.take(at, &mut self.heard);
                input = capture.is_running();
            }
            if let Some(both) = &mut self.output {
                both.1.take(at, &mut self.played);
                self.speech.clear();
                self.speech.resize(self.rate.frame() * self.len.frames() as usize, 0.0);
                both.0.put(at, &self.speech);
                output = both.0.is_running() && both.1.is_running();
            }
            if input && output {
                break;
            }
        }
        // The first tick of the session is not the one after these.
        self.anew();
    }

    fn anew(&mut self) {
        let played = self.output.as_mut().map(|both| &mut both.1);
        for capture in self.input.as_deref_mut().into_iter().chain(played) {
            capture.anew();
        }
    }

    /// When this tick is due, by the tick that came least late so far.
    fn due(&mut self, now: Tick) -> Moment {
        let since_ns = self.since_ns(now);
        let seems = self.clock.now().before_ns(since_ns);
        let start = self.start.map_or(seems, |start| start.min(seems));
        if self.start.is_some_and(|before| before.since_ns(start) > MOVED_NS) {
            self.anew();
        }
        self.start = Some(start);
        start.after_ns(since_ns)
    }

    /// From tick 0 to this one.
    fn since_ns(&self, tick: Tick) -> u64 {
        self.len.span_ms(tick.0) * 1_000_000
    }

    fn tell(&mut self, input: &mut Input) {
        let is_there = self.input.is_some();
        if is_there != std::mem::replace(&mut self.told, is_there) {
            let change = if is_there { TrackChange::Published } else { TrackChange::Unpublished };
            input.inbound.push(Inbound::Track { lane: self.lane, change });
        }
    }

    fn show(&self, now: Tick) {
        if !now.0.is_multiple_of(TICKS_A_LOOK) {
            return;
        }
        let account = self.account();
        // Whoever is reading the last one has the next one a second later.
        if let Ok(mut latest) = self.account.try_lock() {
            *latest = account;
        }
    }

    /// How it goes.
    #[must_use]
    pub fn account(&self) -> Account {
        let (input, output) = (self.input.as_deref(), self.output.as_deref().map(|both| &both.0));
        let is_off = self.echo.treatment() == Treatment::Off;
        let breakdown = Breakdown {
            echo: if is_off { 0.0 } else { echo::delay_ms(self.echo_hz) },
            to_session: self.down.as_ref().map_or(0.0, |(table, _)| {
                table.delay_samples() as f64 / f64::from(table.from_hz()) * 1e3
            }),
            ..Breakdown::of(input, output, self.len.ms())
        };
        Account {
            input: input.map(Capture::flow),
            output: output.map(Playback::flow),
            breakdown,
            suppression: self.echo.suppression(),
        }
    }
}

impl Edge for Line {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.swap();
        self.tell(input);
        let at = self.due(now);
        let taken = match &mut self.input {
            Some(capture) => capture.take(at, &mut self.heard),
            None => {
                self.heard.fill(0.0);
                Taken::Nothing
            }
        };
        match &mut self.output {
            Some(both) => {
                both.1.take(at, &mut self.played);
            }
            None => self.played.fill(0.0),
        }
        self.show(now);
        // In silence, too: what was played is still on its way.
        self.echo.treat(&self.played, &mut self.heard);
        if taken == Taken::Nothing || self.muted.load(Ordering::Relaxed) {
            return;
        }
        self.wide.clear();
        self.wide.extend(self.heard.iter().map(|sample| (sample * 32_767.0) as i16));
        let pcm = match &mut self.down {
            Some((table, resampler)) => {
                self.pcm.clear();
                resampler.push(table, &self.wide, &mut self.pcm);
                &self.pcm
            }
            None => &self.wide,
        };
        for frame in pcm.chunks_exact(self.rate.frame()) {
            input.audio(self.lane, self.seq, frame);
            self.seq = self.seq.wrapping_add(1);
        }
    }

    fn take(&mut self, now: Tick, out: &Output) {
        let Some(start) = self.start else { return };
        let at = start.after_ns(self.since_ns(now));
        if let Some(both) = &mut self.output {
            self.speech.clear();
            self.speech.extend(out.audio.iter().map(|&sample| f32::from(sample) / 32_768.0));
            both.0.put(at, &self.speech);
        }
    }
}
