//! A stage: a session with scripted callers, engines and tools, played in virtual time.
//!
//! A scene is a configuration and what everybody does; [`Stage::play`] gives back all that came of
//! it. A failed test prints the seed and the timeline of every scene that it still holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use antiphon::clock::{Rate, Tick};
use antiphon::config;
use antiphon::id::{ItemId, LaneId, NativeId};
use antiphon::journal::{Header, Journal, Scribe};
use antiphon::model::clips::Clips;
use antiphon::model::minds::{Oracle as Model, VirtualMinds};
use antiphon::model::natives::{AtOnce, CannedNatives};
use antiphon::model::tone::Tone;
use antiphon::model::virtual_time::{VirtualEar, VirtualMouth};
use antiphon::model::{Recognised, Recogniser, SpeechError, Synthesiser, render};
use antiphon::pcm::{Clip, resample, wav};
use antiphon::seed::Seed;
use antiphon::session::Session;
use antiphon::session::checkpoint::Checkpoint;
use antiphon::session::event::Event;
use antiphon::session::input::{Inbound, Input};
use antiphon::session::output::{Effect, Output};
use antiphon::session::plan::Plan;
use antiphon::sim::caller::{Act, Caller, Cue, Part, When};
use antiphon::sim::network::{Faults, Network};
use antiphon::sim::replay::{Remembering, plan_of};
use antiphon::sim::timeline::Timeline;
use antiphon::sim::tools::{Latency, VirtualTools};
use antiphon::sim::trial::canned;
use antiphon::slot::{Edge, Slot, Status};
use antiphon::think::chat::{self, Message, ModelRequest};
use antiphon::think::native::wish::NativeWish;
use antiphon::tool::{Registry, Tool};
use serde_json::Value;

/// The longest scene: ten minutes of 20 ms ticks. No scene comes near it unless it never ends.
const TICKS_MAX: u64 = 30_000;

/// A shop with one desk; 16 kHz, so that the tones of the agent are played sample by sample.
pub(crate) const SHOP: &str = "
name: shop
audio: { tick_ms: 20, rate_hz: 16000 }
speech:
  recogniser: { engine: pocketsphinx, latency_ms: 20 }
  synthesiser: { engine: tone, latency_ms: 20 }
  apology: Sorry about that.
turn: {}
agents:
  desk:
    fallback: Pardon me?
    idle: Still there?
    intents:
      - { name: hours, phrases: [what are your opening hours], say: From nine to six. }
      - { name: policy, phrases: [what is the return policy], say: You may return anything
          within thirty days as long as it is clean and in its box and please keep the receipt. }
      - { name: order, phrases: ['where is my order {number}'], say: 'Order {number} is on its way.' }
      - { name: stop, phrases: [stop], say: Of course. }
      - { name: goodbye, phrases: [goodbye], say: Goodbye., end_call: true }
slots:
  number: { kind: digits }
";

/// What the desk says about the return policy: about six seconds of tones.
pub(crate) const POLICY: &str = "You may return anything within thirty days as long as it is clean and in its box \
     and please keep the receipt.";

/// What the recogniser makes of an utterance.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hears {
    /// These words, for sure.
    Words(&'static str),
    /// These words, with this confidence.
    Unsure(&'static str, f32),
    /// It fails at the end of the utterance.
    Fails,
    /// It dies at the first audio.
    Dies,
    /// It never answers.
    Hangs,
}

/// What becomes of a text at the synthesiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// It is spoken.
    Speaks,
    /// The synthesiser fails.
    Fails,
    /// The synthesiser never answers.
    Hangs,
}

/// A scene about to be played.
pub(crate) struct Stage {
    pub(crate) plan: Arc<Plan>,
    callers: Vec<(Part, Faults)>,
    hears: Vec<Hears>,
    voice: fn(&str) -> Voice,
    ready_apology: bool,
    tools: Registry,
    minds: VirtualMinds,
    natives: Option<CannedNatives>,
    happens: VecDeque<(u64, Inbound)>,
    clips: BTreeMap<String, Clip>,
    skips: BTreeMap<u64, u32>,
    checkpoints_at: BTreeSet<u64>,
    seed: u64,
    ticks_max: u64,
}

/// A caller without cues, who hangs up two seconds after the last word.
pub(crate) fn caller(name: &str) -> Part {
    Part {
        name: name.to_owned(),
        cues: Vec::new(),
        noise: Arc::from([]),
        patience_ms: 20_000,
        hang_up_ms: 2_000,
        audio: true,
    }
}

/// Plays one of the repository's clips at a cue.
pub(crate) fn plays(when: When, clip: &'static str) -> (When, Line) {
    (when, Line::Clip(clip, None))
}

/// Plays the first milliseconds of a clip at a cue.
pub(crate) fn plays_first(when: When, clip: &'static str, ms: u32) -> (When, Line) {
    (when, Line::Clip(clip, Some(ms)))
}

/// Types a text at a cue.
pub(crate) fn types(when: When, text: &str) -> (When, Line) {
    (when, Line::Text(text.to_owned()))
}

/// What a caller does at a cue.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    Clip(&'static str, Option<u32>),
    Text(String),
}

impl Stage {
    /// A stage for a configuration.
    pub(crate) fn new(yaml: &str) -> Self {
        let config =
            config::parse(yaml.as_bytes(), "scene.yaml").unwrap_or_else(|wrong| panic!("{wrong}"));
        let seed = config.seed;
        let plan = Arc::new(Plan::new(config).unwrap());
        let tools = canned(&plan);
        let minds = VirtualMinds::canned(&plan.config.models, plan.len);
        Self {
            plan,
            callers: Vec::new(),
            hears: Vec::new(),
            voice: |_| Voice::Speaks,
            ready_apology: true,
            tools,
            minds,
            natives: None,
            happens: VecDeque::new(),
            clips: BTreeMap::new(),
            skips: BTreeMap::new(),
            checkpoints_at: BTreeSet::new(),
            seed,
            ticks_max: TICKS_MAX,
        }
    }

    /// Adds a caller with these cues; the first is on lane 0.
    pub(crate) fn caller(self, part: Part, lines: impl IntoIterator<Item = (When, Line)>) -> Self {
        self.caller_over(Faults::NONE, part, lines)
    }

    /// Adds a caller behind a network with faults.
    pub(crate) fn caller_over(
        mut self,
        faults: Faults,
        mut part: Part,
        lines: impl IntoIterator<Item = (When, Line)>,
    ) -> Self {
        let act = |line| match line {
            Line::Clip(name, None) => Act::Play(clip(name, self.plan.rate)),
            Line::Clip(name, Some(ms)) => {
                let pcm = clip(name, self.plan.rate);
                Act::Play(Arc::from(&pcm[..self.plan.rate.samples(ms)]))
            }
            Line::Text(text) => Act::Type(text),
        };
        part.cues.extend(lines.into_iter().map(|(when, line)| Cue { when, act: act(line) }));
        self.callers.push((part, faults));
        self
    }

    /// What the recogniser makes of the utterances, in the order in which they begin; no words of
    /// those beyond.
    pub(crate) fn hears(mut self, hears: impl IntoIterator<Item = Hears>) -> Self {
        self.hears.extend(hears);
        self
    }

    /// What becomes of each text at the synthesiser.
    pub(crate) fn voice(mut self, voice: fn(&str) -> Voice) -> Self {
        self.voice = voice;
        self
    }

    /// No rendering of the apology is at hand.
    pub(crate) fn without_ready_apology(mut self) -> Self {
        self.ready_apology = false;
        self
    }

    /// Puts code behind a tool of the configuration.
    pub(crate) fn tool(mut self, name: &str, tool: impl Tool + 'static) -> Self {
        self.tools.add(self.plan.tools[name].clone(), tool).unwrap();
        self
    }

    /// Puts somebody who answers behind a model of the configuration.
    pub(crate) fn model(mut self, name: &str, model: impl Model + 'static) -> Self {
        let latency_ms = self.plan.config.models[name].latency_ms;
        self.minds.add(name, Box::new(model), latency_ms, self.plan.len);
        self
    }

    /// Puts somebody who answers, in tones, behind a model that hears and speaks by itself.
    pub(crate) fn native(mut self, name: &str, model: impl Model + 'static) -> Self {
        let latency_ms = self.plan.config.models[name].latency_ms;
        let natives = self.natives.get_or_insert_with(|| {
            let voice = AtOnce::new(Box::new(Tone), "tone", self.plan.rate);
            CannedNatives::new(Box::new(voice), self.plan.samples())
        });
        natives.add(name, Box::new(model), latency_ms, self.plan.len);
        self
    }

    /// Puts silence of so many milliseconds behind a clip of the configuration.
    pub(crate) fn clip_of(mut self, name: &str, ms: u32) -> Self {
        let pcm = vec![1_000; self.plan.rate.samples(ms)];
        self.clips.insert(name.to_owned(), Clip::from(pcm));
        self
    }

    /// Makes something arrive at a tick, in the order of these calls.
    pub(crate) fn happens(mut self, tick: u64, values: impl IntoIterator<Item = Inbound>) -> Self {
        self.happens.extend(values.into_iter().map(|value| (tick, value)));
        self
    }

    /// Jumps over `count` ticks before this one would be due.
    pub(crate) fn skips(mut self, tick: u64, count: u32) -> Self {
        self.skips.insert(tick, count);
        self
    }

    /// Takes a checkpoint before this tick.
    pub(crate) fn checkpoint_at(mut self, tick: u64) -> Self {
        self.checkpoints_at.insert(tick);
        self
    }

    /// Sets the seed.
    pub(crate) const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Leaves after so many ticks, if the session has not ended before.
    pub(crate) const fn at_most(mut self, ticks: u64) -> Self {
        self.ticks_max = ticks;
        self
    }

    /// Plays the scene until the session ends.
    pub(crate) fn play(self) -> Scene {
        self.play_before(|_, _| {})
    }

    /// Plays it before somebody who looks at what comes of each tick.
    pub(crate) fn play_before(self, mut look: impl FnMut(Tick, &Output)) -> Scene {
        let Self { plan, seed, ticks_max, skips, checkpoints_at, .. } = &self;
        let (plan, seed, ticks_max, skips) = (Arc::clone(plan), *seed, *ticks_max, skips.clone());
        let checkpoints_at = checkpoints_at.clone();
        let mut slot = self.slot();
        let mut scene = Scene {
            plan: Arc::clone(&plan),
            seed,
            status: Status::Running,
            events: Vec::new(),
            ticks: Vec::new(),
            agent: Vec::new(),
            heard: Vec::new(),
            journal: Vec::new(),
            checkpoints: Vec::new(),
            transcript: Vec::new(),
            context: Value::Null,
            timeline: Timeline::new(&plan),
            requests: Vec::new(),
            wishes: Vec::new(),
        };
        while (scene.ticks.len() as u64) < ticks_max && scene.status == Status::Running {
            let due = slot.session().tick();
            if checkpoints_at.contains(&due.0) {
                scene.checkpoints.push(Checkpoint::take(slot.session(), slot.plan()).to_bytes());
            }
            let skipped = skips.get(&due.0).copied().unwrap_or(0);
            scene.status = slot.tick(skipped).clone();
            let out = slot.output();
            look(due.after(u64::from(skipped)), out);
            scene.timeline.tick(due.after(u64::from(skipped)), out);
            scene.requests.extend(out.effects.iter().filter_map(|effect| match effect {
                Effect::Ask { request, .. } => Some(ModelRequest::clone(request)),
                _ => None,
            }));
            scene.wishes.extend(out.effects.iter().filter_map(|effect| match effect {
                Effect::Native { native, wish } => Some((due.0, *native, wish.clone())),
                _ => None,
            }));
            scene.events.extend(out.events.iter().cloned());
            scene.agent.extend_from_slice(&out.audio);
            scene.heard.extend_from_slice(&out.heard);
            scene.ticks.push(Seen {
                tick: due.after(u64::from(skipped)),
                user_speech: out.user_speech,
                agent_speech: out.agent_speech,
                lens: [out.audio.len(), out.heard.len()],
                digest: out.digest,
            });
            slot.scribe().unwrap().take(&mut scene.journal);
        }
        scene.context = slot.session().context(slot.plan());
        scene.transcript = slot.session().said().iter().map(|said| said.text.clone()).collect();
        scene
    }

    fn slot(self) -> Slot {
        let Self {
            plan,
            callers,
            hears,
            voice,
            ready_apology,
            tools,
            minds,
            natives,
            happens,
            clips,
            seed,
            ..
        } = self;
        let (len, rate) = (plan.len, plan.rate);
        let mut edges: Vec<Box<dyn Edge>> = Vec::new();
        for (lane, (part, faults)) in callers.into_iter().enumerate() {
            let network = Network::new(faults, Seed::new(seed).branch(&part.name));
            edges.push(Box::new(Caller::new(part, LaneId(lane as u16), len, rate, network)));
        }
        edges.push(Box::new(Fate { happens }));
        edges.push(Box::new(Clips::new(clips)));
        let speech = &plan.config.speech;
        let hears = Arc::new(Mutex::new(VecDeque::from(hears)));
        let oracle = move || -> Result<Box<dyn Recogniser>, SpeechError> {
            Ok(Box::new(Oracle { hears: Arc::clone(&hears), now: Hears::Words("") }))
        };
        let ear = VirtualEar::new(Box::new(oracle), speech.recogniser.latency_ms, len);
        edges.push(Box::new(Hanging { edge: ear, voice, mute: BTreeSet::new() }));
        let apology = render(&mut Tone, &speech.apology, "tone", rate).unwrap();
        let apology = ready_apology.then_some(apology);
        let engine = Box::new(Actor { voice });
        let mouth = VirtualMouth::new(engine, apology, speech.synthesiser.latency_ms, len, rate);
        edges.push(Box::new(Hanging { edge: mouth, voice, mute: BTreeSet::new() }));
        edges.push(Box::new(minds));
        edges.extend(natives.map(|natives| Box::new(natives) as Box<dyn Edge>));
        let session = Session::new(&plan, seed);
        let tools = VirtualTools::new(tools, Latency::Declared, len, "scene".to_owned());
        let scribe = Scribe::new(&Header::new(&plan, seed));
        Slot::new(plan, session, edges, Box::new(tools), Some(scribe))
    }
}

/// A clip of the repository, at a rate.
pub(crate) fn clip(name: &str, rate: Rate) -> Arc<[i16]> {
    let path = format!("{}/audio/{name}.wav", env!("CARGO_MANIFEST_DIR"));
    let file = wav::read(&std::fs::read(path).unwrap()).unwrap();
    Arc::from(resample::convert(&file.pcm, file.rate_hz, rate.hz()))
}

/// What was seen of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) tick: Tick,
    pub(crate) user_speech: bool,
    pub(crate) agent_speech: bool,
    /// Samples of the agent and of the users.
    pub(crate) lens: [usize; 2],
    pub(crate) digest: u64,
}

/// A scene that was played.
pub(crate) struct Scene {
    pub(crate) plan: Arc<Plan>,
    pub(crate) seed: u64,
    pub(crate) status: Status,
    pub(crate) events: Vec<Event>,
    pub(crate) ticks: Vec<Seen>,
    pub(crate) agent: Vec<i16>,
    pub(crate) heard: Vec<i16>,
    pub(crate) journal: Vec<u8>,
    pub(crate) checkpoints: Vec<Vec<u8>>,
    /// The session's context at the end.
    pub(crate) context: Value,
    /// What was said, as the transcript has it at the end.
    pub(crate) transcript: Vec<String>,
    /// What models were asked.
    pub(crate) requests: Vec<ModelRequest>,
    /// What was wanted of models that hear and speak, and in which tick.
    pub(crate) wishes: Vec<(u64, NativeId, NativeWish)>,
    timeline: Timeline,
}

impl Scene {
    /// The events of a type, as flat JSON.
    pub(crate) fn all(&self, name: &str) -> Vec<Value> {
        let events = self.events.iter().map(|event| event.to_json(self.plan.len));
        events.filter(|event| event["type"] == name).collect()
    }

    /// The only event of a type.
    pub(crate) fn one(&self, name: &str) -> Value {
        let mut all = self.all(name);
        assert_eq!(all.len(), 1, "there should be one {name}");
        all.remove(0)
    }

    /// One field of all events of a type.
    pub(crate) fn each(&self, name: &str, field: &str) -> Vec<Value> {
        self.all(name).into_iter().map(|mut event| event[field].take()).collect()
    }

    /// The texts that agents set out to say.
    pub(crate) fn messages(&self) -> Vec<String> {
        let texts = self.each("agent.message", "text").into_iter();
        texts.map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// What the models were told with each request: whose, and what, a line each.
    pub(crate) fn told(&self) -> Vec<Vec<String>> {
        let line = |message: &Message| {
            let role = format!("{:?}", message.role).to_lowercase();
            let parts = message.parts.iter().map(|part| match part {
                chat::Part::Text(text) => text.clone(),
                chat::Part::ToolCall(call) => format!("{}({})", call.name, call.text()),
                chat::Part::ToolResult(result) => {
                    format!("{} = {}", result.name, result.output.text())
                }
                other => format!("{other:?}"),
            });
            format!("{role}: {}", parts.collect::<Vec<_>>().join(" | "))
        };
        let lines = |request: &ModelRequest| request.messages.iter().map(line).collect();
        self.requests.iter().map(lines).collect()
    }

    /// The agent's audio of a tick, in a scene without skips.
    pub(crate) fn audio_at(&self, tick: u64) -> &[i16] {
        let samples = self.plan.samples();
        &self.agent[tick as usize * samples..][..samples]
    }

    /// Whether the agent says these words from the first sample to the last.
    pub(crate) fn was_heard(&self, text: &str) -> bool {
        let items: Vec<Value> =
            self.all("agent.message").into_iter().filter(|event| event["text"] == text).collect();
        let finished = self.each("agent.speech_finished", "item");
        !items.is_empty() && items.iter().all(|event| finished.contains(&event["item"]))
    }

    /// The journal, read.
    pub(crate) fn read_journal(&self) -> Journal {
        Journal::read(&self.journal).unwrap()
    }

    /// Everything that happened, a line each.
    pub(crate) fn timeline(&self) -> String {
        format!("seed {}, {:?}\n{}", self.seed, self.status, self.timeline.text())
    }
}

/// Restores a checkpoint and steps what the journal has from there on.
pub(crate) fn goes_on_alike(checkpoint: &[u8], journal: &Journal) {
    let plan = plan_of(journal).unwrap();
    let restored = Checkpoint::from_bytes(checkpoint).unwrap();
    let at = restored.tick;
    let mut session = restored.restore(&plan).unwrap();
    let mut out = Output::default();
    for entry in journal.ticks.iter().filter(|entry| entry.input.tick >= at) {
        let mut hands = Remembering { called: entry.outcomes.called.iter().cloned().collect() };
        session.step(&plan, &mut entry.input.clone(), &mut hands, &mut out);
        assert_eq!(out.digest, entry.outcomes.digest, "restored at {at}, {}", entry.input.tick);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let timeline = self.timeline();
            // A flood is told by its beginning.
            let lines: Vec<&str> = timeline.lines().take(300).collect();
            eprintln!("{}", lines.join("\n"));
        }
    }
}

/// A recogniser that knows beforehand what is said.
struct Oracle {
    hears: Arc<Mutex<VecDeque<Hears>>>,
    now: Hears,
}

/// What an oracle that never answers would have said.
const NEVER: &str = "\u{0}";

impl Recogniser for Oracle {
    fn begin(&mut self) -> Result<(), SpeechError> {
        self.now = self.hears.lock().unwrap().pop_front().unwrap_or(Hears::Words(""));
        Ok(())
    }

    fn feed(&mut self, _pcm: &[i16]) -> Result<(), SpeechError> {
        match self.now {
            Hears::Dies => Err(SpeechError::Failed("the oracle is dead".into())),
            Hears::Words(_) | Hears::Unsure(..) | Hears::Fails | Hears::Hangs => Ok(()),
        }
    }

    fn partial(&mut self) -> Option<String> {
        match self.now {
            Hears::Words(text) => text.split_whitespace().next().map(str::to_owned),
            Hears::Unsure(..) | Hears::Fails | Hears::Dies | Hears::Hangs => None,
        }
    }

    fn end(&mut self) -> Result<Recognised, SpeechError> {
        let (text, confidence) = match self.now {
            Hears::Words(text) => (text, 1.0),
            Hears::Unsure(text, confidence) => (text, confidence),
            Hears::Hangs => (NEVER, 1.0),
            Hears::Fails | Hears::Dies => {
                return Err(SpeechError::Failed("the oracle is dumb".into()));
            }
        };
        Ok(Recognised { text: text.to_owned(), confidence })
    }
}

/// A synthesiser that speaks in tones, if it speaks.
struct Actor {
    voice: fn(&str) -> Voice,
}

impl Synthesiser for Actor {
    fn rate_hz(&self) -> u32 {
        Tone.rate_hz()
    }

    fn speak(
        &mut self,
        text: &str,
        voice: &str,
        sink: &mut dyn FnMut(&[i16]) -> ControlFlow<()>,
    ) -> Result<(), SpeechError> {
        match (self.voice)(text) {
            Voice::Speaks | Voice::Hangs => Tone.speak(text, voice, sink),
            Voice::Fails => Err(SpeechError::Failed("the actor is hoarse".into())),
        }
    }

    fn voices(&self) -> Vec<String> {
        Tone.voices()
    }
}

/// An engine's edge that swallows what should never come.
struct Hanging<E> {
    edge: E,
    voice: fn(&str) -> Voice,
    mute: BTreeSet<ItemId>,
}

impl<E: Edge> Edge for Hanging<E> {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.edge.give(now, input);
        let mute = &self.mute;
        input.inbound.retain(|value| match value {
            Inbound::Transcript { text, .. } => text != NEVER,
            Inbound::Speech { item, .. } => !mute.contains(item),
            _ => true,
        });
    }

    fn take(&mut self, now: Tick, out: &Output) {
        for effect in &out.effects {
            match effect {
                // A ready apology needs no synthesiser.
                Effect::Speak { item, text, .. } if (self.voice)(text) == Voice::Hangs => {
                    self.mute.insert(*item);
                }
                _ => {}
            }
        }
        self.edge.take(now, out);
    }
}

/// What happens to a session from outside, by tick.
struct Fate {
    happens: VecDeque<(u64, Inbound)>,
}

impl Edge for Fate {
    fn give(&mut self, now: Tick, input: &mut Input) {
        while self.happens.front().is_some_and(|(tick, _)| *tick <= now.0) {
            input.inbound.extend(self.happens.pop_front().map(|(_, value)| value));
        }
    }

    fn take(&mut self, _now: Tick, _out: &Output) {}
}
