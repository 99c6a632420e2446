//! A tick allocates nothing: two people talking at once, heard and said in Opus, recognised,
//! written to a journal, measured by meters, and not one call of the allocator on the thread of the tick.
//!
//! What happens now and then does allocate: an event has texts, an item has a name. These ticks are
//! all speech and no events. libopus has its own allocator, which it asks only when a codec is made.

#![cfg(feature = "opus")]
#![expect(unsafe_code, reason = "an allocator is unsafe by nature")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::sync::Arc;

use antiphon::clock::{Rate, Tick};
use antiphon::config;
use antiphon::host::codec::{OpusInlet, OpusOutlet, OutletOptions};
use antiphon::host::ink::Ink;
use antiphon::host::packets::{Trunk, line};
use antiphon::host::tools::{LiveTools, Workers};
use antiphon::id::LaneId;
use antiphon::journal::{Header, Scribe};
use antiphon::model::live::{EarPool, LiveEar, LiveMouth, MouthPool};
use antiphon::model::{Recognised, Recogniser, SpeechError, Synthesiser};
use antiphon::pcm::{resample, wav};
use antiphon::record::{Meters, SessionMeter, Timing};
use antiphon::session::Session;
use antiphon::session::input::Input;
use antiphon::session::output::Output;
use antiphon::session::plan::Plan;
use antiphon::slot::{Edge, Slot, Status};
use antiphon::tool::Registry;

/// Ticks before counting: every buffer has grown to its size, and every thread-local is there.
const WARM_UP: usize = 200;
const COUNTED: usize = 1_000;

// ---- The allocator ------------------------------------------------------------------------------

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static WHERE: Cell<&'static str> = const { Cell::new("the step or the scribe") };
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn note(size: usize) {
    // Only the thread of the tick has this set; while a thread ends there may be none.
    if !WATCHED.try_with(Cell::get).unwrap_or(false) {
        return;
    }
    WATCHED.set(false);
    COUNT.set(COUNT.get() + 1);
    FIRST.with_borrow_mut(|first| {
        first.get_or_insert_with(|| {
            format!("{size} bytes in {}:\n{}", WHERE.get(), Backtrace::force_capture())
        });
    });
    WATCHED.set(true);
}

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Does something while this thread's allocations are counted.
fn watched(act: impl FnOnce()) {
    WATCHED.set(true);
    act();
    WATCHED.set(false);
}

// ---- The call -----------------------------------------------------------------------------------

/// An edge that says when it is at work.
struct Named<E>(E, [&'static str; 2]);

impl<E: Edge> Edge for Named<E> {
    fn give(&mut self, now: Tick, input: &mut Input) {
        WHERE.set(self.1[0]);
        self.0.give(now, input);
        WHERE.set("the step or the scribe");
    }

    fn take(&mut self, now: Tick, out: &Output) {
        WHERE.set(self.1[1]);
        self.0.take(now, out);
        WHERE.set("the step or the scribe");
    }
}

/// Hears everything and makes nothing of it.
struct Listening;

impl Recogniser for Listening {
    fn begin(&mut self) -> Result<(), SpeechError> {
        Ok(())
    }

    fn feed(&mut self, _pcm: &[i16]) -> Result<(), SpeechError> {
        Ok(())
    }

    fn partial(&mut self) -> Option<String> {
        None
    }

    fn end(&mut self) -> Result<Recognised, SpeechError> {
        Ok(Recognised { text: String::new(), confidence: 1.0 })
    }
}

/// Speaks for a minute, whatever the text.
struct Speaking(Vec<i16>);

impl Synthesiser for Speaking {
    fn rate_hz(&self) -> u32 {
        Rate::SPEECH.hz()
    }

    fn speak(
        &mut self,
        _text: &str,
        _voice: &str,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), SpeechError> {
        let mut said = 0;
        while said < 60 * 16_000 && sink(&self.0).is_continue() {
            said += self.0.len();
        }
        Ok(())
    }

    fn voices(&self) -> Vec<String> {
        vec!["rms".to_owned()]
    }
}

/// A voice without pauses, at a rate.
fn voice(hz: u32) -> Vec<i16> {
    let file = include_bytes!("../audio/caller-08-barge-in.wav");
    let wav = wav::read(file).unwrap();
    let mut pcm = resample::convert(&wav.pcm, wav.rate_hz, hz);
    let loud = |pcm: &[i16]| pcm.iter().any(|sample| sample.abs() > 500);
    let frame = hz as usize / 50;
    pcm = pcm.chunks_exact(frame).filter(|frame| loud(frame)).flatten().copied().collect();
    assert!(pcm.len() > frame * 20);
    pcm
}

fn plan(agent: &str) -> Arc<Plan> {
    let text = format!(
        "name: allocations\n\
         speech:\n  recogniser: {{ engine: pocketsphinx, timeout_ms: 600000 }}\n  \
         synthesiser: {{ engine: tone, timeout_ms: 600000 }}\n\
         turn: {{ barge_in: false, end_silence_min_ms: 10000, end_silence_max_ms: 20000, away_ms: 0 }}\n\
         agents:\n  agent: {agent}\n"
    );
    let config =
        config::parse(text.as_bytes(), "allocations").unwrap_or_else(|why| panic!("{why}"));
    Arc::new(Plan::new(config).unwrap())
}

struct Call {
    slot: Slot,
    trunk: Trunk,
    caller: OpusOutlet,
    seq: u16,
    ink: Ink,
    meter: SessionMeter,
}

const LANE: LaneId = LaneId(0);

impl Call {
    fn new(agent: &str, folder: &std::path::Path) -> Self {
        let plan = plan(agent);
        let scribe = Scribe::new(&Header::new(&plan, 1));
        let options = OutletOptions { dtx: false, ..OutletOptions::default() };
        let outlet = || OpusOutlet::new(plan.rate, options).unwrap();
        let (mut trunk, opus) = line(outlet(), plan.len);
        let inlet = OpusInlet::new(plan.rate, plan.reorder).unwrap();
        assert!(trunk.join(LANE, "ada".to_owned(), Box::new(inlet)));
        let ears = EarPool::start(1, || Ok(Box::new(Listening))).unwrap();
        let said = voice(Rate::SPEECH.hz());
        let mouths = MouthPool::start(1, move || Ok(Box::new(Speaking(said.clone())))).unwrap();
        let edges: Vec<Box<dyn Edge>> = vec![
            Box::new(Named(opus, ["opus.give", "opus.take"])),
            Box::new(Named(LiveEar::new(ears), ["ear.give", "ear.take"])),
            Box::new(Named(
                LiveMouth::new(mouths, None, plan.rate, 30_000),
                ["mouth.give", "mouth.take"],
            )),
        ];
        let (overruns, _) = crossbeam_channel::bounded(1);
        let workers = Workers::start(Registry::default(), 1);
        let tools = LiveTools::new(workers, "call".to_owned(), overruns);
        let ink = Ink::create(&folder.join("journal")).unwrap();
        let session = Session::new(&plan, 1);
        let caller = outlet();
        let slot = Slot::new(plan, session, edges, Box::new(tools), Some(scribe));
        let meter = SessionMeter::begin(&Arc::new(Meters::new()));
        Self { slot, trunk, caller, seq: 0, ink, meter }
    }

    /// A tick in which the caller sends this frame.
    fn tick(&mut self, frame: &[i16]) {
        if let Some(packet) = self.caller.encode(frame) {
            assert!(self.trunk.send(LANE, self.seq, packet.packet.bytes()));
        }
        self.seq = self.seq.wrapping_add(1);
        let Self { slot, ink, meter, .. } = self;
        let mut runs = false;
        watched(|| {
            runs = *slot.tick(0) == Status::Running;
            let now = Tick(slot.session().tick().0 - 1);
            let timing = Timing { lateness_ns: Some(50_000), step_ns: 200_000, skipped: 0 };
            meter.tick(slot.plan(), now, slot.output(), timing);
            if let Some(scribe) = slot.scribe() {
                let lost = ink.flow(scribe);
                runs &= lost.is_none();
            }
        });
        assert!(runs, "the session has ended");
        while self.trunk.receive().is_some() {}
        // Ticks come faster here than in life; the disk is given the time that it has there.
        while ink.waiting() > 0 {
            std::thread::yield_now();
        }
    }

    /// Talks for all of it, and says what was allocated once all was warm.
    fn talk(&mut self) -> u64 {
        let pcm = voice(self.slot.plan().rate.hz());
        let frames: Vec<&[i16]> = pcm.chunks_exact(self.slot.plan().rate.frame()).collect();
        let (mut user, mut agent) = (0, 0);
        for tick in 0..WARM_UP + COUNTED {
            if tick == WARM_UP {
                (user, agent) = (0, 0);
                COUNT.set(0);
                FIRST.with_borrow_mut(|first| *first = None);
            }
            self.tick(frames[tick % frames.len()]);
            user += usize::from(self.slot.output().user_speech);
            agent += usize::from(self.slot.output().agent_speech);
        }
        let count = COUNT.get();
        println!(
            "{count} allocations in {COUNTED} ticks; the user spoke in {user}, the agent in {agent}"
        );
        assert!(user > COUNTED * 9 / 10, "the user spoke in {user} ticks only");
        assert!(agent > COUNTED * 9 / 10, "the agent spoke in {agent} ticks only");
        count
    }
}

fn none(count: u64) {
    let first = FIRST.with_borrow(|first| first.clone().unwrap_or_default());
    assert_eq!(count, 0, "{count} allocations in {COUNTED} ticks; the first: {first}");
}

#[test]
fn a_tick_of_two_voices_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut call = Call::new("{ greeting: Listen well. }", folder.path());
    // The agent does not begin while somebody speaks.
    let silence = vec![0; call.slot.plan().rate.frame()];
    let ticks = (0..20_000).take_while(|_| {
        call.tick(&silence);
        std::thread::yield_now();
        !call.slot.output().agent_speech
    });
    assert!(ticks.count() < 20_000, "the agent does not begin to speak");
    none(call.talk());
}

#[test]
fn a_tick_of_an_echo_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    none(Call::new("{ kind: echo, delay_ms: 100 }", folder.path()).talk());
}

#[test]
fn an_allocation_is_noticed_and_traced() {
    watched(|| drop(std::hint::black_box(vec![0_u8; 77])));
    assert_eq!(COUNT.get(), 1);
    let first = FIRST.with_borrow(|first| first.clone().unwrap());
    assert!(first.starts_with("77 bytes in the step or the scribe"), "{first}");
}
