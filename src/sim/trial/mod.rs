//! A trial: a random call in bad weather, watched.
//!
//! Everything about a [`Trial`] follows from its seed: who calls, what they say and when, what of it
//! is lost, which results come late or never, where the pacer jumps. [`Trial::of`] tries the agents of
//! a plan, [`Trial::any`] draws the configuration as well. A trial that fails says in which tick which
//! [invariant](super::invariants) was broken, and what happened around it.
//!
//! ```
//! # use std::sync::Arc;
//! # use antiphon::{config, session::plan::Plan};
//! use antiphon::sim::trial::{Cast, Trial, canned};
//! # let yaml = b"name: shop\naudio: { rate_hz: 8000 }\nagents:\n  desk:\n    intents:\n      - { name: hours, phrases: [when are you open], say: From nine to six. }\n";
//! # let plan = Arc::new(Plan::new(config::parse(yaml, "shop.yaml").unwrap()).unwrap());
//! for seed in 0..10 {
//!     let trial = Trial::of(Arc::clone(&plan), canned(&plan), seed, &Cast::default());
//!     trial.run().unwrap_or_else(|failed| panic!("seed {seed}: {failed}"));
//! }
//! ```
//!
//! **Invariant:** equal seeds give equal trials, journal and all.

mod drawn;
mod engines;
mod minds;
mod natives;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::clock::Rate;
use crate::clock::Tick;
use crate::config::{self, Agent};
use crate::graph::verb::Verb;
use crate::id::LaneId;
use crate::journal::{Header, Scribe};
use crate::pcm::resample;
use crate::seed::Seed;
use crate::session::Session;
use crate::session::event::{Event, EventKind};
use crate::session::input::{Inbound, Input};
use crate::session::output::Output;
use crate::session::plan::{Plan, tool_spec};
use crate::sim::caller::{Act, Caller, Cue, Part, When};
use crate::sim::invariants::{Broken, Observer};
use crate::sim::network::{Faults, Network};
use crate::sim::timeline::Timeline;
use crate::sim::tools::{Latency, VirtualTools};
use crate::sim::weather::{Fate, Fault, Haunted, Tally, Weather, Weathered};
use crate::slot::{Edge, Slot, Status};
use crate::tool::{NoHands, Registry};
use engines::{Ear, Mouth};
use minds::Minds;
use natives::Natives;

pub(crate) use minds::refused;

/// The sounds that callers can make, at every rate of a session.
#[derive(Debug, Clone, Default)]
pub struct Cast {
    clips: BTreeMap<u32, Vec<Arc<[i16]>>>,
}

impl Cast {
    /// Callers who play these clips, 16 kHz, besides typing. Without clips they only type.
    #[must_use]
    pub fn new(clips: &[Vec<i16>]) -> Self {
        let at = |hz| {
            let clips = clips.iter().map(|pcm| Arc::from(resample::convert(pcm, 16_000, hz)));
            (hz, clips.collect())
        };
        Self { clips: [8_000, 16_000, 24_000, 48_000].map(at).into() }
    }

    fn at(&self, rate: Rate) -> &[Arc<[i16]>] {
        self.clips.get(&rate.hz()).map_or(&[], Vec::as_slice)
    }
}

/// Draws from a seed.
#[derive(Debug, Clone)]
struct Draw(Seed);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    fn ms(&mut self, from: u64, to: u64) -> u32 {
        (from + self.below(to - from)) as u32
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// Up to `max` percent, and often nothing.
    fn percent(&mut self, max: u64) -> f64 {
        if self.below(3) == 0 { 0.0 } else { self.below(max * 10) as f64 / 10.0 }
    }
}

/// A random call that is about to be made.
#[derive(Debug)]
pub struct Trial {
    /// What the session runs on.
    pub plan: Arc<Plan>,
    /// What everything was drawn from.
    pub seed: u64,
    tools: Registry,
    callers: Vec<(Part, Faults)>,
    words: Vec<String>,
    weather: Weather,
    haunted_percent: f64,
    skips: BTreeMap<u64, u32>,
    ticks_max: u64,
}

/// What came of a trial in which everything held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Ticks stepped.
    pub ticks: u64,
    /// Simulated time in milliseconds, skipped ticks included.
    pub ms: u64,
    /// The digest of the last tick.
    pub digest: u64,
    /// Events by name.
    pub events: BTreeMap<String, u64>,
    /// Faults by kind.
    pub faults: BTreeMap<Fault, u64>,
}

/// A trial in which something did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The trial's seed.
    pub seed: u64,
    /// What did not hold, or how the session panicked.
    pub why: String,
    /// What happened around it.
    pub timeline: String,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}: {}\n{}", self.seed, self.why, self.timeline)
    }
}

impl std::error::Error for Failed {}

/// Time that is shown from before a failure, in milliseconds.
const MS_BEFORE: u32 = 4_000;

/// Time that is shown from after it, in milliseconds.
const MS_AFTER: u32 = 500;

impl Trial {
    /// A trial of a drawn configuration.
    ///
    /// # Panics
    /// Never: every configuration that is drawn can be used.
    #[must_use]
    pub fn any(seed: u64, cast: &Cast) -> Self {
        let yaml = Draw(Seed::new(seed).branch("config")).config();
        let config = config::parse(yaml.as_bytes(), "drawn.yaml").unwrap_or_else(|wrong| {
            panic!("seed {seed} draws what cannot be used: {wrong}\n{yaml}")
        });
        let plan = Arc::new(Plan::new(config).expect("what is parsed can be planned"));
        let tools = canned(&plan);
        Self::of(plan, tools, seed, cast)
    }

    /// A trial of a plan and its tools.
    #[must_use]
    pub fn of(plan: Arc<Plan>, tools: Registry, seed: u64, cast: &Cast) -> Self {
        let mut draw = Draw(Seed::new(seed).branch("trial"));
        let (len, words) = (u64::from(plan.len.ms()), words_of(&plan));
        let clips = cast.at(plan.rate);
        // Mostly short, for many beginnings and ends; now and then long.
        let ms_max = if draw.below(12) == 0 { 120_000 } else { 5_000 + draw.below(40_000) };
        let ticks_max = ms_max / len;
        let count = 1 + draw.of(&[0, 0, 0, 1, 1, 2, 3]);
        let callers = (0..count).map(|n| draw.caller(n, &words, clips)).collect();
        let weather = Weather {
            late_percent: draw.percent(40),
            late_ticks_max: draw.below(3_000) / len,
            lost_percent: draw.percent(10),
            doubled_percent: draw.percent(10),
            failed_percent: draw.percent(15),
        };
        let haunted_percent = draw.percent(15);
        let skips = (0..draw.below(4))
            .map(|_| (draw.below(ticks_max), 1 + draw.of(&[1, 2, 3, 8, 60])))
            .collect();
        Self { plan, seed, tools, callers, words, weather, haunted_percent, skips, ticks_max }
    }

    /// At most so many ticks.
    #[must_use]
    pub const fn at_most(mut self, ticks: u64) -> Self {
        self.ticks_max = ticks;
        self
    }

    /// The session with everything around it, its journal if it is `written`, and where faults are
    /// counted.
    #[must_use]
    pub fn slot(&self, written: bool) -> (Slot, Tally) {
        let Self { plan, seed, .. } = self;
        let (tally, seed) = (Tally::default(), Seed::new(*seed));
        let (len, rate, speech) = (plan.len, plan.rate, &plan.config.speech);
        let mut edges: Vec<Box<dyn Edge>> = Vec::new();
        let company = Arc::new(AtomicUsize::new(self.callers.len()));
        for (lane, (part, faults)) in self.callers.iter().enumerate() {
            let network = Network::new(*faults, seed.branch(&part.name)).counted(tally.clone());
            let caller = Caller::new(part.clone(), LaneId(lane as u16), len, rate, network);
            edges.push(Box::new(caller.among(Arc::clone(&company))));
        }
        let (lanes, mut fate) = (self.callers.len() as u16, seed.branch("fate"));
        edges.push(Box::new(Fate::draw(&mut fate, lanes, self.ticks_max.max(1), &tally)));
        let ear = speech.recogniser.latency_ms;
        let ear = Ear::new(self.words.clone(), ear, len, seed.branch("ear"));
        let weather = |name| (self.weather, seed.branch(name), tally.clone());
        let (sky, drawn, counted) = weather("recogniser");
        edges.push(Box::new(Weathered::new(ear, sky, drawn, counted)));
        let mouth = speech.synthesiser.latency_ms;
        let mouth = Mouth::new(mouth, len, rate, seed.branch("mouth"), tally.clone());
        let (sky, drawn, counted) = weather("synthesiser");
        edges.push(Box::new(Weathered::new(mouth, sky, drawn, counted)));
        let (sky, drawn, counted) = weather("models");
        edges.push(Box::new(Weathered::new(Minds::new(seed.branch("minds")), sky, drawn, counted)));
        // Between it and its edge nothing is lost: that is the edge's promise.
        edges.push(Box::new(Natives::new(seed.branch("natives"), plan.samples())));
        let tools = self.tools.wrapped(|tool| Haunted {
            tool,
            fails_percent: self.haunted_percent,
            panics_percent: self.haunted_percent / 4.0,
            seed: seed.branch("tools"),
            tally: tally.clone(),
        });
        let tools = VirtualTools::new(tools, Latency::Declared, len, "trial".to_owned());
        let (sky, drawn, counted) = weather("results");
        let tools = Weathered::new(tools, sky, drawn, counted);
        let session = Session::new(plan, self.seed);
        let scribe = written.then(|| self.scribe());
        (Slot::new(Arc::clone(plan), session, edges, Box::new(tools), scribe), tally)
    }

    fn scribe(&self) -> Scribe {
        Scribe::new(&Header::new(&self.plan, self.seed))
    }

    /// Makes the call, and watches it.
    ///
    /// # Errors
    /// What did not hold first.
    pub fn run(&self) -> Result<Passed, Box<Failed>> {
        self.watched(self.slot(false), |_| ())
    }

    /// The same, with a journal; `each` sees the slot after each tick in which everything held, and
    /// takes what was written.
    ///
    /// # Errors
    /// What did not hold first.
    pub fn watch(&self, each: impl FnMut(&mut Slot)) -> Result<Passed, Box<Failed>> {
        self.watched(self.slot(true), each)
    }

    fn watched(
        &self,
        (mut slot, tally): (Slot, Tally),
        mut each: impl FnMut(&mut Slot),
    ) -> Result<Passed, Box<Failed>> {
        let mut observer = Observer::default();
        let mut log = Log::default();
        let mut ticks = 0;
        while ticks < self.ticks_max {
            let status = self.tick(&mut slot, &tally, |input| observer.arrived(input));
            ticks += 1;
            log.note(&slot.output().events);
            let held = match status {
                Status::Panicked(why) => Err(why),
                Status::Running | Status::Ended => observer
                    .ticked(&self.plan, slot.session(), slot.output())
                    .map_err(|broken| broken.to_string()),
            };
            if let Err(why) = held {
                return Err(self.failed(why, slot.session().tick()));
            }
            each(&mut slot);
            if slot.output().ended {
                break;
            }
        }
        if slot.output().ended
            && let Err(broken) = after_the_end(&self.plan, slot.session().clone(), &mut observer)
        {
            return Err(self.failed(broken.to_string(), slot.session().tick()));
        }
        let faults = Fault::ALL.map(|fault| (fault, tally.count(fault)));
        Ok(Passed {
            ticks,
            ms: self.plan.len.start_ms(slot.session().tick()),
            digest: slot.session().digest(),
            events: log.counts.into_iter().map(|(_, name, count)| (name, count)).collect(),
            faults: faults.into_iter().filter(|(_, count)| *count > 0).collect(),
        })
    }

    /// Does one tick, or jumps and does the next.
    fn tick(&self, slot: &mut Slot, tally: &Tally, see: impl FnOnce(&Input)) -> Status {
        let skipped = self.skips.get(&slot.session().tick().0).copied().unwrap_or(0);
        if skipped > 0 {
            tally.add(Fault::TicksSkipped);
        }
        slot.tick_seen(skipped, see).clone()
    }

    /// Makes the call once more, a little beyond what did not hold, and tells it.
    fn failed(&self, why: String, at: Tick) -> Box<Failed> {
        let (mut slot, tally) = self.slot(false);
        let mut timeline = Timeline::new(&self.plan);
        let len = self.plan.len;
        let to = at.after(len.ticks_min_one(MS_AFTER));
        while slot.session().tick() < to && self.tick(&mut slot, &tally, |_| ()) == Status::Running
        {
            timeline.tick(Tick(slot.session().tick().0 - 1), slot.output());
        }
        let from = at.0.saturating_sub(len.ticks(MS_BEFORE));
        Box::new(Failed { seed: self.seed, why, timeline: timeline.render(from..to.0) })
    }
}

/// How many events of each kind.
#[derive(Debug, Default)]
struct Log {
    counts: Vec<(std::mem::Discriminant<EventKind>, String, u64)>,
}

impl Log {
    fn note(&mut self, events: &[Event]) {
        for event in events {
            let kind = std::mem::discriminant(&event.kind);
            match self.counts.iter_mut().find(|(known, ..)| *known == kind) {
                Some((_, _, count)) => *count += 1,
                None => self.counts.push((kind, event.kind.name().to_string(), 1)),
            }
        }
    }
}

/// Steps a session that has ended, whatever arrives.
fn after_the_end(plan: &Plan, mut session: Session, observer: &mut Observer) -> Result<(), Broken> {
    let (mut input, mut out) = (Input::default(), Output::default());
    for _ in 0..3 {
        input.clear(session.tick(), 0);
        let name = "late".to_owned();
        input.inbound.push(Inbound::Joined { lane: LaneId(0), name });
        input.inbound.push(Inbound::UserText { lane: LaneId(0), text: "hello".to_owned() });
        observer.arrived(&input);
        session.step(plan, &mut input, &mut NoHands, &mut out);
        observer.ticked(plan, &session, &out)?;
    }
    Ok(())
}

/// What callers can say to be understood: the phrases of all agents, their slots filled.
fn words_of(plan: &Plan) -> Vec<String> {
    let mut words = vec!["hello".to_owned()];
    for agent in plan.config.agents.values() {
        let Agent::Scripted(scripted) = agent else { continue };
        for phrase in scripted.intents.iter().flat_map(|intent| &intent.phrases) {
            let mut text = phrase.clone();
            while let (Some(from), Some(to)) = (text.find('{'), text.find('}')) {
                if from > to {
                    break;
                }
                let slot = plan.config.slots.get(&text[from + 1..to]);
                let value = match slot {
                    Some(config::Slot::OneOf { values }) => {
                        values.first().map_or("", String::as_str)
                    }
                    Some(config::Slot::Digits | config::Slot::Any) | None => "four two",
                };
                let value = value.to_owned();
                text.replace_range(from..=to, &value);
            }
            words.push(text);
        }
    }
    words
}

/// The tools of a plan that need no code: those that answer from its configuration, and those of a room,
/// which say that there is none.
#[must_use]
pub fn canned(plan: &Plan) -> Registry {
    let mut tools = Registry::default();
    for (name, tool) in &plan.config.tools {
        let spec = tool_spec(name, tool);
        let added = match (tool.canned.clone(), tool.room()) {
            (Some(canned), _) => tools.add(spec, canned),
            (None, Some(room)) => tools.add(spec, room),
            (None, None) => continue,
        };
        debug_assert!(added.is_ok(), "a configuration's schemas are checked: {added:?}");
    }
    Verb::add_to(&mut tools);
    tools
}

impl Draw {
    /// A caller and the network in between.
    fn caller(&mut self, n: u64, words: &[String], clips: &[Arc<[i16]>]) -> (Part, Faults) {
        let lines = 1 + self.below(14);
        let cues = (0..lines).map(|_| self.cue(words, clips)).collect();
        let part = Part {
            name: format!("caller {n}"),
            cues,
            noise: Arc::from([]),
            patience_ms: 3_000,
            hang_up_ms: 1_500,
            audio: !clips.is_empty() && self.below(6) > 0,
        };
        if self.below(3) == 0 {
            return (part, Faults::NONE);
        }
        let faults = Faults {
            loss_percent: self.percent(20),
            duplicate_percent: self.percent(20),
            delay_percent: self.percent(20),
            delay_frames_max: self.below(40),
        };
        (part, faults)
    }

    fn cue(&mut self, words: &[String], clips: &[Arc<[i16]>]) -> Cue {
        let ms = self.ms(0, 1_200);
        let when = self.of(&[
            When::Start(4 * ms),
            When::Previous(ms),
            When::AgentSpoke(ms / 2),
            When::AgentSpoke(ms),
            When::AgentSilent(ms),
        ]);
        let speaks = !clips.is_empty() && self.below(5) < 3;
        let act = if speaks {
            Act::Play(Arc::clone(&clips[self.below(clips.len() as u64) as usize]))
        } else if self.below(8) == 0 {
            Act::Type("nonsense, and a little more of it".to_owned())
        } else {
            Act::Type(words[self.below(words.len() as u64) as usize].clone())
        };
        Cue { when, act }
    }
}
