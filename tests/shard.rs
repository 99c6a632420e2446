//! Shards in real time: what one session, its tools and its engines do is nobody else's trouble.
//!
//! No native library is needed: the engines here are oracles, and some of them hang on purpose.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once, PoisonError, RwLock, RwLockReadGuard};
use std::thread::ThreadId;
use std::time::Duration;

use antiphon::clock::{Rate, Tick};
use antiphon::config;
use antiphon::host::budget::Excess;
use antiphon::host::pace::{Class, Clock, Moment, pause};
use antiphon::host::shard::{Measured, Shard, Watch};
use antiphon::host::tools::{LiveTools, WORKERS, Workers};
use antiphon::id::LaneId;
use antiphon::model::live::{EarPool, LiveEar, LiveMouth, MouthPool};
use antiphon::model::{Recognised, Recogniser, SpeechError, Synthesiser};
use antiphon::pcm::{Clip, resample, wav};
use antiphon::seed::Seed;
use antiphon::session::Session;
use antiphon::session::event::{EndReason, Event, EventKind};
use antiphon::session::input::{Inbound, Input};
use antiphon::session::output::Output;
use antiphon::session::plan::{Plan, tool_spec};
use antiphon::sim::caller::{Act, Caller, Cue, Part, When};
use antiphon::sim::network::{Faults, Network};
use antiphon::slot::{Edge, Slot, Status};
use antiphon::tool::{Called, FailureKind, Hands, Json, Outcome, Registry, ToolCall, ToolContext};
use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::{Value, json};

/// How long the slow tool blocks, in milliseconds.
const BLOCKS_MS: u32 = 2_000;

/// What a session is heard of at most: longer than any test.
const TICKS_MAX: usize = 1_000;

/// How long a sign of life may take: a hundred times what it should.
const PATIENCE: Duration = Duration::from_secs(5);

// ---- Looking on ---------------------------------------------------------------------------------

/// What was seen of a tick.
struct Glance {
    /// When the tick was over.
    over: Moment,
    measured: Measured,
    samples: usize,
    agent_speech: bool,
    gap: bool,
    events: Vec<Event>,
    thread: ThreadId,
}

enum Seen {
    Tick(Glance),
    Ended(Status),
}

struct Looking {
    clock: Clock,
    tell: Sender<Seen>,
}

impl Watch for Looking {
    fn ticked(&mut self, slot: &mut Slot, measured: Measured) -> bool {
        let out = slot.output();
        let glance = Glance {
            over: self.clock.now(),
            measured,
            samples: out.audio.len(),
            agent_speech: out.agent_speech,
            gap: out.audio.contains(&0),
            events: out.events.clone(),
            thread: std::thread::current().id(),
        };
        // A test that has seen enough is gone.
        self.tell.try_send(Seen::Tick(glance)).is_ok()
    }

    fn ended(&mut self, _slot: Slot, status: Status) {
        drop(self.tell.try_send(Seen::Ended(status)));
    }
}

/// What a test sees of a session.
struct Sight {
    seen: Receiver<Seen>,
    ticks: Vec<Glance>,
}

impl Sight {
    /// Waits for a tick in which this is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&Glance) -> bool) {
        while self.ticks.len() < TICKS_MAX {
            match self.seen.recv_timeout(PATIENCE) {
                Ok(Seen::Tick(glance)) => {
                    let found = is_so(&glance);
                    self.ticks.push(glance);
                    if found {
                        return;
                    }
                }
                Ok(Seen::Ended(status)) => panic!("{status:?} before {what}:\n{}", self.told()),
                Err(_) => panic!("the shard does not tick before {what}:\n{}", self.told()),
            }
        }
        panic!("{TICKS_MAX} ticks without {what}:\n{}", self.told());
    }

    fn until_event(&mut self, what: &str, is_so: impl Fn(&EventKind) -> bool) {
        self.until(what, |glance| glance.events.iter().any(|event| is_so(&event.kind)));
    }

    fn until_ended(&mut self) -> Status {
        loop {
            match self.seen.recv_timeout(PATIENCE).expect("the shard ticks") {
                Seen::Tick(glance) => self.ticks.push(glance),
                Seen::Ended(status) => return status,
            }
        }
    }

    /// So many more ticks.
    fn go_on(&mut self, ticks: usize) {
        let enough = self.ticks.len() + ticks;
        while self.ticks.len() < enough {
            self.until("another tick", |_| true);
        }
    }

    fn told(&self) -> String {
        let events = self.ticks.iter().flat_map(|glance| &glance.events);
        events.map(|event| format!("{:4} {:?}\n", event.tick.0, event.kind)).collect()
    }

    /// The position of the tick with this event.
    fn at(&self, is_so: impl Fn(&EventKind) -> bool) -> usize {
        let has = |glance: &Glance| glance.events.iter().any(|event| is_so(&event.kind));
        self.ticks.iter().position(has).unwrap_or_else(|| panic!("not seen:\n{}", self.told()))
    }

    fn assert_in_time(&self) {
        let skipped: u32 = self.ticks.iter().map(|glance| glance.measured.skipped).sum();
        let mut late: Vec<u64> =
            self.ticks.iter().map(|glance| glance.measured.lateness_ns).collect();
        late.sort_unstable();
        let us = |ns: u64| ns / 1_000;
        println!(
            "late by µs: median {}, most {}",
            us(late[late.len() / 2]),
            us(late[late.len() - 1])
        );
        assert_eq!(skipped, 0, "ticks were skipped");
        assert!(
            late[late.len() / 2] < 20_000_000,
            "half of the ticks were late by more than a tick"
        );
    }
}

// ---- Sessions -----------------------------------------------------------------------------------

const AGENT: &str = "
name: shard
turn: { away_ms: 0 }
speech:
  recogniser: { engine: pocketsphinx, timeout_ms: 300 }
  synthesiser: { engine: tone, timeout_ms: 300 }
  apology: Sorry.
tools:
  slow: { description: Blocks., run: worker }
  wild: { description: Panics., run: inline }
agents:
  desk:
    tools: [slow, wild]
    intents:
      - { name: slow, phrases: [slow], say: Listen to this., call: { tool: slow }, then: Done. }
      - { name: wild, phrases: [wild], say: Listen., call: { tool: wild }, then: Done., failed: Failed. }
      - { name: hello, phrases: [hello], say: Hello. }
";

fn plan() -> Arc<Plan> {
    let config = config::parse(AGENT.as_bytes(), "shard").unwrap_or_else(|why| panic!("{why}"));
    Arc::new(Plan::new(config).unwrap())
}

/// The tools of the configuration; each does `act`.
fn tools(
    plan: &Plan,
    act: impl Fn(&ToolContext) -> Result<Value, String> + Send + Sync + Clone + 'static,
) -> Registry {
    let mut tools = Registry::default();
    for (name, tool) in &plan.config.tools {
        let act = act.clone();
        let act = move |context: &ToolContext, _: &Value| act(context);
        tools.add(tool_spec(name, tool), act).unwrap();
    }
    tools
}

fn types(after_ms: u32, text: &str) -> Cue {
    Cue { when: When::Previous(after_ms), act: Act::Type(text.to_owned()) }
}

fn caller(plan: &Plan, cues: Vec<Cue>) -> Box<dyn Edge> {
    let audio = cues.iter().any(|cue| matches!(cue.act, Act::Play(_)));
    let part = Part {
        name: "ada".to_owned(),
        cues,
        noise: Arc::default(),
        patience_ms: 20_000,
        hang_up_ms: 600_000,
        audio,
    };
    let network = Network::new(Faults::NONE, Seed::new(1));
    Box::new(Caller::new(part, LaneId(0), plan.len, plan.rate, network))
}

/// Puts a session on a shard.
fn admit(shard: &Shard, plan: &Arc<Plan>, edges: Vec<Box<dyn Edge>>, tools: Registry) -> Sight {
    let workers = Workers::start(tools, WORKERS);
    let hands = LiveTools::new(workers, "test".to_owned(), bounded(1).0);
    let session = Session::new(plan, 1);
    admit_slot(shard, Slot::new(Arc::clone(plan), session, edges, Box::new(hands), None))
}

fn admit_slot(shard: &Shard, slot: Slot) -> Sight {
    let (tell, seen) = bounded(2 * TICKS_MAX);
    assert!(shard.admit(slot, Box::new(Looking { clock: Clock::default(), tell })));
    Sight { seen, ticks: Vec::new() }
}

/// A test that takes the machine's time has it alone.
static MACHINE: RwLock<()> = RwLock::new(());

fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

fn shard() -> Shard {
    // Where backtraces are wanted, printing the first takes 100 ms: on a shard's thread that is late
    // ticks for everyone, and here these panics are meant.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() != Some("shard") {
                print(panic);
            }
        }));
    });
    Shard::start(Class::RealTime).unwrap()
}

/// Speaks every text for ten seconds, without a zero in it; the first so often as it is told to, it
/// hangs instead, until the test is over.
struct Droning {
    hang: Arc<AtomicUsize>,
    release: Receiver<()>,
}

impl Synthesiser for Droning {
    fn rate_hz(&self) -> u32 {
        Rate::SPEECH.hz()
    }

    fn speak(
        &mut self,
        _text: &str,
        _voice: &str,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), SpeechError> {
        hang(&self.hang, &self.release);
        let _ = sink(&[1_000; 160_000]);
        Ok(())
    }

    fn voices(&self) -> Vec<String> {
        vec!["rms".to_owned()]
    }
}

/// Hears "hello" in everything; hangs like the other.
struct Nodding {
    hang: Arc<AtomicUsize>,
    release: Receiver<()>,
}

impl Recogniser for Nodding {
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
        hang(&self.hang, &self.release);
        Ok(Recognised { text: "hello".to_owned(), confidence: 1.0 })
    }
}

fn hang(times: &AtomicUsize, release: &Receiver<()>) {
    let take = |left: usize| left.checked_sub(1);
    if times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        // Ends when the test drops its end.
        let _ = release.recv();
    }
}

fn mouths(times: usize, release: &Receiver<()>) -> MouthPool {
    let (hang, release) = (Arc::new(AtomicUsize::new(times)), release.clone());
    let new = move || -> Result<Box<dyn Synthesiser>, SpeechError> {
        Ok(Box::new(Droning { hang: Arc::clone(&hang), release: release.clone() }))
    };
    MouthPool::start(1, new).unwrap()
}

fn mouth(plan: &Plan, pool: &MouthPool) -> Box<dyn Edge> {
    let apology = Clip::from(vec![1_000; plan.rate.samples(500)]);
    let patience = plan.synthesiser.unwrap();
    Box::new(LiveMouth::new(pool.clone(), Some(apology), plan.rate, patience))
}

/// A second of voice, at the session's rate.
fn voice(plan: &Plan) -> Cue {
    let wav = wav::read(include_bytes!("../audio/caller-08-barge-in.wav")).unwrap();
    let pcm = resample::convert(&wav.pcm, wav.rate_hz, plan.rate.hz());
    let begin = pcm.iter().position(|sample| sample.abs() > 500).unwrap();
    let second = &pcm[begin..begin + plan.rate.samples(1_000)];
    Cue { when: When::Previous(1_500), act: Act::Play(second.into()) }
}

// ---- What must be so ----------------------------------------------------------------------------

#[test]
fn a_blocking_tool_stops_neither_its_agents_voice_nor_another_session() {
    let _shared = shared();
    let (shard, plan) = (shard(), plan());
    let (keep, release) = bounded(0);
    let pool = mouths(0, &release);
    let (tell, on) = bounded(1);
    let slow = tools(&plan, move |context| {
        let _ = tell.try_send(std::thread::current().id());
        (context.pause)(BLOCKS_MS);
        Ok(json!({}))
    });
    let edges = vec![caller(&plan, vec![types(200, "slow")]), mouth(&plan, &pool)];
    let mut speaking = admit(&shard, &plan, edges, slow.clone());
    let mut other = admit(&shard, &plan, vec![caller(&plan, Vec::new())], slow);
    speaking.until_event("the tool's result", |kind| matches!(kind, EventKind::ToolResult { .. }));

    let began = speaking.at(|kind| matches!(kind, EventKind::AgentSpeechStarted { .. }));
    let called = speaking.at(|kind| matches!(kind, EventKind::ToolCalled { .. }));
    let blocked = speaking.ticks.len() - called;
    assert!(blocked >= BLOCKS_MS as usize / 20 - 5, "the tool blocked for {blocked} ticks only");
    assert!(speaking.ticks.len() - began > blocked * 3 / 4, "the agent spoke through most of it");
    for glance in &speaking.ticks[began + 1..] {
        assert_eq!(glance.samples, plan.samples());
        assert!(glance.agent_speech && !glance.gap, "a gap in the agent's voice");
    }
    let tool = on.recv_timeout(PATIENCE).unwrap();
    assert!(speaking.ticks.iter().all(|glance| glance.thread != tool), "the tool ran on the shard");
    other.go_on(speaking.ticks.len());
    assert_eq!(other.ticks[0].thread, speaking.ticks[0].thread, "both are on one shard");
    speaking.assert_in_time();
    other.assert_in_time();
    shard.stop();
    drop(keep);
}

#[test]
fn a_recogniser_that_hangs_is_apologised_for_and_replaced() {
    let _shared = shared();
    let (shard, plan) = (shard(), plan());
    let (keep, release) = bounded(0);
    let hanging = Arc::new(AtomicUsize::new(1));
    let (made, makes) = bounded(8);
    let stuck = release.clone();
    let ears = EarPool::start(1, move || {
        let _ = made.try_send(());
        Ok(Box::new(Nodding { hang: Arc::clone(&hanging), release: stuck.clone() }))
    })
    .unwrap();
    makes.recv_timeout(PATIENCE).unwrap();
    let pool = mouths(0, &release);
    let edges = vec![
        caller(&plan, vec![voice(&plan), voice(&plan)]),
        Box::new(LiveEar::new(ears.clone())),
        mouth(&plan, &pool),
    ];
    let mut sight = admit(&shard, &plan, edges, tools(&plan, |_| Ok(json!({}))));
    sight.until_event("giving up", |kind| matches!(kind, EventKind::RecogniserFailed { .. }));
    sight.until_event("the apology", |kind| matches!(kind, EventKind::AgentSpeechStarted { .. }));
    let said =
        |kind: &EventKind| matches!(kind, EventKind::AgentMessage { text, .. } if text == "Sorry.");
    sight.at(said);
    makes.recv_timeout(PATIENCE).expect("another recogniser is made");
    sight.until_event("words of the other", |kind| {
        matches!(kind, EventKind::UserTranscript { text, last: true, .. } if text == "hello")
    });
    assert_eq!(ears.abandoned(), 1);
    sight.assert_in_time();
    shard.stop();
    drop(keep);
}

#[test]
fn a_synthesiser_that_hangs_is_apologised_for_and_replaced() {
    let _shared = shared();
    let (shard, plan) = (shard(), plan());
    let (keep, release) = bounded(0);
    let pool = mouths(1, &release);
    let cues = vec![types(100, "hello"), types(2_000, "hello")];
    let edges = vec![caller(&plan, cues), mouth(&plan, &pool)];
    let mut sight = admit(&shard, &plan, edges, tools(&plan, |_| Ok(json!({}))));
    sight.until_event("giving up", |kind| matches!(kind, EventKind::SynthesiserFailed { .. }));
    sight.until_event("the apology", |kind| matches!(kind, EventKind::AgentSpeechFinished { .. }));
    sight.at(|kind| matches!(kind, EventKind::AgentMessage { text, .. } if text == "Sorry."));
    sight.until_event("the second answer", |kind| {
        matches!(kind, EventKind::AgentSpeechStarted { .. })
    });
    assert_eq!(pool.abandoned(), 1);
    sight.assert_in_time();
    shard.stop();
    drop(keep);
}

#[test]
fn a_tool_that_panics_inline_has_failed_and_the_call_goes_on() {
    let _shared = shared();
    let (shard, plan) = (shard(), plan());
    let (keep, release) = bounded(0);
    let pool = mouths(0, &release);
    let edges =
        vec![caller(&plan, vec![types(100, "wild"), types(100, "hello")]), mouth(&plan, &pool)];
    let mut sight = admit(&shard, &plan, edges, tools(&plan, |_| panic!("the tool is wild")));
    sight.until_event("the failure", |kind| {
        matches!(kind, EventKind::ToolResult { outcome: Outcome::Failed(failure), .. }
            if failure.kind == FailureKind::Panicked && failure.message.contains("the tool is wild"))
    });
    sight.until_event(
        "what comes after",
        |kind| matches!(kind, EventKind::UserMessage { text, .. } if text == "hello"),
    );
    sight.assert_in_time();
    shard.stop();
    drop(keep);
}

/// Panics at its tenth tick.
struct Fragile;

impl Edge for Fragile {
    fn give(&mut self, now: Tick, _input: &mut Input) {
        assert!(now.0 < 10, "the edge broke");
    }

    fn take(&mut self, _now: Tick, _out: &Output) {}
}

/// Breaks within the session's step.
struct Butter;

impl Edge for Butter {
    fn give(&mut self, _now: Tick, _input: &mut Input) {}

    fn take(&mut self, _now: Tick, _out: &Output) {}
}

impl Hands for Butter {
    fn call(&mut self, _call: &ToolCall) -> Called {
        panic!("the hands broke")
    }
}

#[test]
fn a_session_that_panics_ends_alone() {
    let _shared = shared();
    let (shard, plan) = (shard(), plan());
    let none = || tools(&plan, |_| Ok(json!({})));
    let mut whole = admit(&shard, &plan, vec![caller(&plan, Vec::new())], none());
    let mut fragile = admit(&shard, &plan, vec![Box::new(Fragile)], none());
    let cue = vec![types(100, "wild")];
    let edges = vec![caller(&plan, cue)];
    let slot = Slot::new(Arc::clone(&plan), Session::new(&plan, 1), edges, Box::new(Butter), None);
    let mut butter = admit_slot(&shard, slot);
    assert_eq!(fragile.until_ended(), Status::Panicked("the edge broke".to_owned()));
    assert_eq!(butter.until_ended(), Status::Panicked("the hands broke".to_owned()));
    let before = whole.ticks.len();
    whole.go_on(before + 50);
    assert_eq!(whole.ticks[0].thread, butter.ticks[0].thread, "they were on one shard");
    whole.assert_in_time();
    shard.stop();
}

#[test]
fn sessions_begin_at_once_and_spread_over_the_tick() {
    let _shared = shared();
    let (shard, plan) = (shard(), plan());
    let clock = Clock::default();
    let admitted = clock.now();
    let none = tools(&plan, |_| Ok(json!({})));
    let sights: Vec<Sight> = (0..8)
        .map(|_| admit(&shard, &plan, vec![caller(&plan, Vec::new())], none.clone()))
        .collect();
    let mut phases = Vec::new();
    for mut sight in sights {
        sight.until("the first tick", |_| true);
        let Glance { over, measured, .. } = &sight.ticks[0];
        let waited_ns = over.since_ns(admitted) - measured.lateness_ns - measured.step_ns;
        // A tick's phase, and as long as eight sessions take to be made.
        assert!(waited_ns < 500_000_000, "the first tick was due after {waited_ns} ns");
        phases.push(waited_ns % 20_000_000 / 1_250_000);
    }
    phases.sort_unstable();
    phases.dedup();
    println!("sixteenths of a tick: {phases:?}");
    assert!(phases.len() >= 4, "eight sessions share {} phases", phases.len());
    shard.stop();
}

/// Takes so much of each tick's time, computing or waiting, or tells so many events.
enum Greedy {
    Computes(u32),
    Waits(u32),
    Tells(usize),
}

impl Edge for Greedy {
    fn give(&mut self, _now: Tick, input: &mut Input) {
        let clock = Clock::default();
        let begun = clock.now();
        match *self {
            Self::Computes(ms) => while clock.now().since_ns(begun) < u64::from(ms) * 1_000_000 {},
            Self::Waits(ms) => pause(ms),
            Self::Tells(count) => input.inbound.extend((0..count).map(|_| Inbound::Custom {
                lane: None,
                name: "drip".to_owned(),
                data: Json::default(),
            })),
        }
    }

    fn take(&mut self, _now: Tick, _out: &Output) {}
}

#[test]
fn a_session_that_takes_more_than_its_share_is_shed_and_the_others_do_not_notice() {
    let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    let shard = shard();
    let plan = plan();
    let none = || Registry::default();
    let mut others: Vec<Sight> =
        (0..4).map(|_| admit(&shard, &plan, vec![caller(&plan, vec![])], none())).collect();
    let greedy = [
        (Greedy::Computes(15), Excess::Time),
        (Greedy::Waits(15), Excess::Time),
        (Greedy::Tells(500), Excess::Events),
    ];
    for (edge, excess) in greedy {
        let mut sight = admit(&shard, &plan, vec![Box::new(edge)], none());
        assert_eq!(sight.until_ended(), Status::Ended);
        let told = sight.ticks.iter().find_map(|glance| glance.measured.excess);
        assert_eq!(told, Some(excess));
        let reason = EndReason::HungUp(excess.to_string());
        let at = sight.at(|event| *event == EventKind::SessionEnded { reason: reason.clone() });
        assert_eq!(at + 1, sight.ticks.len(), "it ends with that");
        assert!(at < 50, "within a second: {at} ticks");
    }
    for other in &mut others {
        other.go_on(20);
        other.assert_in_time();
    }
}

#[test]
fn all_sessions_of_a_shard_are_told_of_strain_at_once_and_of_its_end_within_a_second() {
    let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    let plan = plan();
    let shard = Shard::start(Class::Normal).unwrap();
    let mut sights: Vec<Sight> = (0..6)
        .map(|_| admit(&shard, &plan, vec![caller(&plan, Vec::new())], Registry::default()))
        .collect();
    sights.iter_mut().for_each(|sight| sight.go_on(5));
    shard.beat().strain(true);
    let strained = |event: &EventKind| matches!(event, EventKind::SessionStrained { every: 5 });
    sights.iter_mut().for_each(|sight| sight.until_event("strain", strained));
    sights.iter_mut().for_each(|sight| sight.go_on(20));
    shard.beat().strain(false);
    let mut spans = Vec::new();
    for sight in &mut sights {
        let relieved = |event: &EventKind| matches!(event, EventKind::SessionRelieved { .. });
        sight.until_event("relief", relieved);
        let events = sight.ticks.iter().flat_map(|glance| &glance.events);
        spans.extend(events.filter_map(|event| match event.kind {
            EventKind::SessionRelieved { after_ticks } => Some(after_ticks),
            _ => None,
        }));
    }
    let (least, most) = (spans.iter().min().unwrap(), spans.iter().max().unwrap());
    assert!(most - least <= 60, "{spans:?}");
    assert!(most - least >= 20, "relief is spread: {spans:?}");
    shard.stop();
}
