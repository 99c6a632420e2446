//! The engines that a configuration asks for, behind edges of either kind of time.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::load;
use super::minds::Minds;
use crate::config::{Agent, Provider, RecogniserEngine, Slot, SynthesiserEngine};
use crate::host::tools::WORKERS;
use crate::model::clips::Clips;
use crate::model::lexicon::{Lexicon, SlotWords};
use crate::model::live::{EarPool, LiveEar, LiveMouth, MouthPool};
use crate::model::natives::{Aside, AtOnce, CannedNatives, Voice};
use crate::model::tone::Tone;
use crate::model::virtual_time::{VirtualEar, VirtualMouth};
use crate::model::{Recogniser, SpeechError, Synthesiser, offline, render};
use crate::pcm::Clip;
use crate::session::plan::Plan;
use crate::slot::Edge;

/// Recognisers of a pool: two callers speak at once without waiting.
const EARS: usize = 2;

/// Synthesisers of a pool: one is many times faster than speech, the second is for when it hangs.
const MOUTHS: usize = 2;

/// How many engines there are at most, for all sessions that share them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Recognisers.
    pub(super) ears: usize,
    /// Synthesisers.
    pub(super) mouths: usize,
    /// The same where models hear and speak: each waits for the network, and takes no processor's time.
    pub(super) model_ears: usize,
    pub(super) model_mouths: usize,
    /// Texts that wait for a synthesiser.
    pub(super) texts: usize,
    /// Threads for tools.
    pub(super) workers: usize,
}

/// Those of one call.
pub(super) const OF_ONE: Sizes = Sizes {
    ears: EARS,
    mouths: MOUTHS,
    model_ears: 4,
    model_mouths: 4,
    texts: 64,
    workers: WORKERS,
};

/// What the engines need of a configuration, checked by making one of each.
pub(super) struct Engines {
    lexicon: Option<Lexicon>,
    synthesiser: SynthesiserEngine,
    apology: Option<Clip>,
    clips: Clips,
    minds: Minds,
}

impl Engines {
    /// Prepares the engines of a plan and renders the apology. What is not installed is named, with
    /// the package that has it.
    pub(super) fn new(plan: &Plan, warn: &mut dyn FnMut(String)) -> Result<Self, Failure> {
        let speech = &plan.config.speech;
        let mut wrong = Vec::new();
        let lexicon = match speech.recogniser.engine {
            RecogniserEngine::None | RecogniserEngine::Model => None,
            RecogniserEngine::Pocketsphinx => match lexicon(plan) {
                Ok(lexicon) => {
                    match offline::recogniser(&lexicon) {
                        Ok((_, missing)) if missing.is_empty() => {}
                        Ok((_, missing)) => warn(format!(
                            "the recogniser's dictionary has no pronunciation of {}: typed text is \
                             understood, speech with these words may not be",
                            missing.join(", ")
                        )),
                        Err(error) => wrong.push(format!("speech.recogniser: {error}")),
                    }
                    Some(lexicon)
                }
                Err(error) => {
                    wrong.push(format!("speech.recogniser: {error}"));
                    None
                }
            },
        };
        let synthesiser = speech.synthesiser.engine;
        let mut apology = None;
        let minds = Minds::new(plan, &mut wrong);
        if synthesiser == SynthesiserEngine::Model {
            // Rendering it now would cost a request of each call; it is asked for when it is needed.
        } else if synthesiser != SynthesiserEngine::None {
            match new_synthesiser(synthesiser) {
                Err(error) => wrong.push(format!("speech.synthesiser: {error}")),
                Ok(mut engine) => {
                    check_voices(plan, engine.as_ref(), &mut wrong);
                    let voice = &speech.synthesiser.voice;
                    match render(engine.as_mut(), &speech.apology, voice, plan.rate) {
                        Ok(clip) => apology = Some(clip),
                        Err(error) => wrong.push(format!("speech.apology: {error}")),
                    }
                }
            }
        }
        let clips = load::clips(plan, warn).unwrap_or_else(|failure| {
            wrong.push(failure.to_string());
            Clips::default()
        });
        if wrong.is_empty() {
            Ok(Self { lexicon, synthesiser, apology, clips, minds })
        } else {
            Err(Failure::input(wrong.join("\n")))
        }
    }

    /// The edge that plays clips, where there are any.
    fn clip_edges(&self, plan: &Plan) -> Vec<Box<dyn Edge>> {
        if plan.config.clips.is_empty() {
            return Vec::new();
        }
        vec![Box::new(self.clips.clone())]
    }

    fn new_synthesiser(&self) -> Result<Box<dyn Synthesiser>, Failure> {
        match self.minds.voice()? {
            Some(new) => Ok(new()),
            None => new_synthesiser(self.synthesiser).map_err(broken),
        }
    }

    /// Edges for virtual time.
    pub(super) fn virtual_edges(&self, plan: &Plan) -> Result<Vec<Box<dyn Edge>>, Failure> {
        let speech = &plan.config.speech;
        let mut edges: Vec<Box<dyn Edge>> = self.clip_edges(plan);
        if let Some(lexicon) = self.lexicon.clone() {
            let new = Box::new(move || recogniser(&lexicon));
            edges.push(Box::new(VirtualEar::new(new, speech.recogniser.latency_ms, plan.len)));
        }
        if let Some(new) = self.minds.ear()? {
            let new = Box::new(move || Ok(new()));
            edges.push(Box::new(VirtualEar::new(new, speech.recogniser.latency_ms, plan.len)));
        }
        if self.synthesiser != SynthesiserEngine::None {
            let engine = self.new_synthesiser()?;
            let latency_ms = speech.synthesiser.latency_ms;
            let apology = self.apology.clone();
            edges.push(Box::new(VirtualMouth::new(
                engine, apology, latency_ms, plan.len, plan.rate,
            )));
        }
        edges.extend(self.minds.virtual_edge(plan)?);
        edges.extend(self.canned_natives(plan, false)?);
        Ok(edges)
    }

    /// Starts the pools for real time, from which any number of sessions take their engines.
    pub(super) fn live(self, sizes: Sizes) -> Result<LiveEngines, Failure> {
        let ears = match (self.lexicon.clone(), self.minds.ear()?) {
            (Some(lexicon), _) => {
                Some(EarPool::start(sizes.ears, move || recogniser(&lexicon)).map_err(broken)?)
            }
            (None, Some(new)) => {
                Some(EarPool::start(sizes.model_ears, move || Ok(new())).map_err(broken)?)
            }
            (None, None) => None,
        };
        let kind = self.synthesiser;
        let mouths = match (kind, self.minds.voice()?) {
            (SynthesiserEngine::None, _) => None,
            (_, Some(new)) => {
                Some(MouthPool::with_queue(sizes.model_mouths, sizes.texts, move || Ok(new())))
            }
            (_, None) => Some(MouthPool::with_queue(sizes.mouths, sizes.texts, move || {
                new_synthesiser(kind)
            })),
        };
        Ok(LiveEngines { ears, mouths: mouths.transpose().map_err(broken)?, engines: self })
    }

    /// The edge of canned models that hear and speak, with the synthesiser's voice; a soft tone where it is none.
    fn canned_natives(&self, plan: &Plan, live: bool) -> Result<Option<Box<dyn Edge>>, Failure> {
        let models = &plan.config.models;
        let is_canned = |agent: &Agent| match agent {
            // In virtual time, others are not there, and say so.
            Agent::Native(native) => {
                let of = models.get(&native.model).map(|model| model.provider);
                !live || of == Some(Provider::Canned)
            }
            Agent::Scripted(_) | Agent::Model(_) | Agent::Echo(_) => false,
        };
        if !plan.config.agents.values().any(is_canned) {
            return Ok(None);
        }
        let engine = new_synthesiser(self.synthesiser).map_err(broken)?;
        let name = &plan.config.speech.synthesiser.voice;
        let voice: Box<dyn Voice> = if live {
            let aside = Aside::start(engine, name, plan.rate);
            Box::new(aside.map_err(|error| Failure::broken(format!("no thread: {error}")))?)
        } else {
            Box::new(AtOnce::new(engine, name, plan.rate))
        };
        let ticks = (plan.len, plan.samples());
        let natives = CannedNatives::canned(models, voice, ticks);
        let natives = if live {
            natives
        } else {
            natives.alone(
                "a model that hears and speaks is reached in real time only: leave out `--fast`",
            )
        };
        Ok(Some(Box::new(natives)))
    }
}

/// Engines for real time.
pub(super) struct LiveEngines {
    engines: Engines,
    ears: Option<EarPool>,
    mouths: Option<MouthPool>,
}

impl LiveEngines {
    /// The edges of one session.
    pub(super) fn edges(&self, plan: &Plan) -> Result<Vec<Box<dyn Edge>>, Failure> {
        let Self { engines, ears, mouths } = self;
        let mut edges: Vec<Box<dyn Edge>> = engines.clip_edges(plan);
        if let Some(pool) = ears {
            edges.push(Box::new(LiveEar::new(pool.clone())));
        }
        if let Some(pool) = mouths {
            let patience = plan.synthesiser.unwrap_or(1);
            let apology = engines.apology.clone();
            edges.push(Box::new(LiveMouth::new(pool.clone(), apology, plan.rate, patience)));
        }
        edges.extend(engines.minds.live_edge()?);
        edges.extend(engines.minds.live_natives()?);
        edges.extend(engines.canned_natives(plan, true)?);
        Ok(edges)
    }
}

fn broken(error: SpeechError) -> Failure {
    Failure::broken(error.to_string())
}

fn recogniser(lexicon: &Lexicon) -> Result<Box<dyn Recogniser>, SpeechError> {
    offline::recogniser(lexicon).map(|(engine, _)| engine)
}

fn new_synthesiser(kind: SynthesiserEngine) -> Result<Box<dyn Synthesiser>, SpeechError> {
    match kind {
        SynthesiserEngine::Flite => offline::synthesiser(),
        // A model has voices of its own.
        SynthesiserEngine::Tone | SynthesiserEngine::Model | SynthesiserEngine::None => {
            Ok(Box::new(Tone))
        }
    }
}

pub(super) fn check_voices(plan: &Plan, engine: &dyn Synthesiser, wrong: &mut Vec<String>) {
    if plan.config.speech.synthesiser.engine == SynthesiserEngine::Tone {
        return;
    }
    let known = engine.voices();
    for agent in &plan.agents {
        if !known.contains(&agent.voice) {
            wrong.push(format!(
                "agents.{}: the synthesiser has no voice `{}`; it has {}",
                agent.name,
                agent.voice,
                known.join(", ")
            ));
        }
    }
}

/// Everything that callers are expected to say, to whichever agent.
pub(super) fn lexicon(plan: &Plan) -> Result<Lexicon, SpeechError> {
    let config = &plan.config;
    let mut phrases: Vec<String> = config.speech.vocabulary.clone();
    phrases.extend(config.turn.backchannels.iter().cloned());
    if config.tools.values().any(|tool| tool.approval.is_some()) {
        phrases.extend(config.speech.yes.iter().chain(&config.speech.no).cloned());
    }
    // What a canned model answers to is what can be said to it.
    let replies = config.models.values().flat_map(|model| &model.replies);
    phrases
        .extend(replies.filter_map(|reply| reply.hears.clone().filter(|_| reply.after.is_none())));
    for agent in config.agents.values() {
        let Agent::Scripted(agent) = agent else { continue };
        phrases.extend(agent.intents.iter().flat_map(|intent| intent.phrases.iter().cloned()));
    }
    let mut slots = BTreeMap::new();
    for (name, slot) in &config.slots {
        match slot {
            Slot::Digits => drop(slots.insert(name.clone(), SlotWords::Digits)),
            Slot::OneOf { values } => {
                drop(slots.insert(name.clone(), SlotWords::OneOf(values.clone())));
            }
            // A recogniser cannot expect everything: such phrases are for typed text.
            Slot::Any => phrases.retain(|phrase| !phrase.contains(&format!("{{{name}}}"))),
        }
    }
    Lexicon::new(&phrases, &slots)
}
