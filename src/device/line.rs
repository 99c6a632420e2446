//! The line of a session to this machine's microphone and speaker: an edge.
//!
//! **Invariant:** a tick that is given is whole; one that is missing is concealed by the session, as a frame that a
//! network lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::capture::{Capture, Flow, Taken};
use super::echo::{self, Echo, Suppression, Treatment};
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

/// What is set by whoever holds the call, while it lasts.
#[derive(Debug, Default)]
pub struct Controls {
    /// Nothing of the microphone is heard.
    pub muted: AtomicBool,
}

/// What a line shows of itself, for meters; written once a tick, read whenever somebody looks.
#[derive(Debug, Default)]
pub struct Gauges {
    /// The loudest sample of the microphone in the last tick, before echo is taken out: 0 to 32,768.
    pub raw_peak: AtomicU32,
    /// In half duplex: the microphone is closed, since the speaker is heard.
    pub closed: AtomicBool,
    /// Ticks for which the microphone had nothing.
    pub missed: AtomicU32,
    /// Times at which the speaker had nothing in the middle of something.
    pub gaps: AtomicU32,
    /// By how much each clock is off, in millionths, as bits of an `f64`.
    input_ppm: AtomicU64,
    output_ppm: AtomicU64,
    /// What is added to the devices' own delays, in microseconds; 0 if it is not known.
    pub added_us: AtomicU32,
}

impl Gauges {
    /// By how much the clocks of microphone and speaker are off, in millionths.
    #[must_use]
    pub fn off_ppm(&self) -> (f64, f64) {
        let read = |cell: &AtomicU64| f64::from_bits(cell.load(Ordering::Relaxed));
        (read(&self.input_ppm), read(&self.output_ppm))
    }
}

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
    controls: Arc<Controls>,
    gauges: Arc<Gauges>,
    /// Whether the session was told that there is a microphone.
    told: bool,
    account: crossbeam_channel::Sender<Account>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Line({:?}, {:?})", self.input, self.output)
    }
}

/// What belongs to a line, for those outside the session.
#[derive(Debug)]
pub struct Handles {
    /// To be set.
    pub controls: Arc<Controls>,
    /// To be read.
    pub gauges: Arc<Gauges>,
    /// The latest account, once a second.
    pub account: crossbeam_channel::Receiver<Account>,
}

/// What devices have to do for sessions of a plan.
#[must_use]
pub fn shape(plan: &Plan) -> Shape {
    let session_hz = plan.rate.hz();
    Shape { session_hz, echo_hz: echo::rate_hz(session_hz), tick_ms: plan.len.ms() }
}

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
        let (tell, account) = crossbeam_channel::bounded(1);
        let (controls, gauges) = (Arc::new(Controls::default()), Arc::new(Gauges::default()));
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
            controls: Arc::clone(&controls),
            gauges: Arc::clone(&gauges),
            told: true,
            account: tell,
        };
        (line, Handles { controls, gauges, account })
    }

    fn swap(&mut self) {
        while let Ok(part) = self.ends.parts.try_recv() {
            let spent = match part {
                Part::Input(input) => Part::Input(std::mem::replace(&mut self.input, input)),
                Part::Output(output) => Part::Output(std::mem::replace(&mut self.output, output)),
            };
            // Where nobody takes it back, it is freed here.
            drop(self.ends.spent.try_send(spent));
        }
    }

    /// When this tick is due, by the tick that came least late so far.
    fn due(&mut self, now: Tick) -> Moment {
        let since_ns = self.len.span_ms(now.0) * 1_000_000;
        let seems = self.clock.now().before_ns(since_ns);
        let start = self.start.map_or(seems, |start| start.min(seems));
        self.start = Some(start);
        start.after_ns(since_ns)
    }

    fn tell(&mut self, input: &mut Input) {
        let is_there = self.input.is_some();
        if is_there != std::mem::replace(&mut self.told, is_there) {
            let change = if is_there { TrackChange::Published } else { TrackChange::Unpublished };
            input.inbound.push(Inbound::Track { lane: self.lane, change });
        }
    }

    fn show(&self, now: Tick) {
        let gauges = &self.gauges;
        let peak = self.heard.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        gauges.raw_peak.store((peak.min(1.0) * 32_768.0) as u32, Ordering::Relaxed);
        gauges.closed.store(self.echo.is_closed(), Ordering::Relaxed);
        if now.0.is_multiple_of(50) {
            let account = self.account();
            let (input, output) = (account.input, account.output);
            gauges.missed.store(input.map_or(0, |flow| flow.missed), Ordering::Relaxed);
            gauges.gaps.store(output.map_or(0, |flow| flow.missed), Ordering::Relaxed);
            let ppm = |flow: Option<Flow>| flow.map_or(0.0, |flow| flow.off_ppm).to_bits();
            gauges.input_ppm.store(ppm(input), Ordering::Relaxed);
            gauges.output_ppm.store(ppm(output), Ordering::Relaxed);
            let added = account.breakdown.total() * 1e3;
            gauges.added_us.store(added as u32, Ordering::Relaxed);
            let _ = self.account.try_send(account);
        }
    }

    /// How it goes.
    #[must_use]
    pub fn account(&self) -> Account {
        let input = self.input.as_ref().map(|capture| capture.flow());
        let output = self.output.as_ref().map(|both| both.0.flow());
        let spare = |flow: Option<Flow>| flow.map_or(0.0, |flow| flow.held_ms - flow.period_ms);
        let is_off = self.echo.treatment() == Treatment::Off;
        let breakdown = Breakdown {
            capture_spare: spare(input),
            capture_filter: self.input.as_ref().map_or(0.0, |capture| capture.filter_ms()),
            tick: f64::from(self.len.ms()),
            echo: if is_off { 0.0 } else { echo::delay_ms(self.echo_hz) },
            to_session: self.down.as_ref().map_or(0.0, |(table, _)| {
                table.delay_samples() as f64 / f64::from(table.from_hz()) * 1e3
            }),
            playback_filter: self.output.as_ref().map_or(0.0, |both| both.0.filter_ms()),
            playback_spare: spare(output),
        };
        Account { input, output, breakdown, suppression: self.echo.suppression() }
    }
}

impl Edge for Line {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.swap();
        self.tell(input);
        let at = self.due(now);
        let taken =
            self.input.as_mut().map_or(Taken::Nothing, |capture| capture.take(at, &mut self.heard));
        match &mut self.output {
            Some(both) => {
                both.1.take(at, &mut self.played);
            }
            None => self.played.fill(0.0),
        }
        if taken == Taken::Nothing {
            self.heard.fill(0.0);
        }
        self.show(now);
        // In silence, too: what was played is still on its way.
        self.echo.treat(&self.played, &mut self.heard);
        if taken == Taken::Nothing || self.controls.muted.load(Ordering::Relaxed) {
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
        let at = start.after_ns(self.len.span_ms(now.0) * 1_000_000);
        if let Some(both) = &mut self.output {
            self.speech.clear();
            self.speech.extend(out.audio.iter().map(|&sample| f32::from(sample) / 32_768.0));
            both.0.put(at, &self.speech);
        }
    }
}
