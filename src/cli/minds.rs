//! The models of a configuration, for the calls of a command.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;

use super::failure::Failure;
use crate::config::{Agent, Model, Provider, RecogniserEngine, SynthesiserEngine};
use crate::generate::LanguageModel;
use crate::generate::canned::Canned;
use crate::generate::live::{LiveMinds, Models};
use crate::generate::network::Network;
use crate::model::minds::{Answer, Oracle, VirtualMinds};
use crate::model::{Recogniser, Synthesiser};
use crate::session::plan::Plan;
use crate::slot::Edge;
use crate::think::chat::{ErrorKind, ModelDelta, ModelError, ModelRequest};

/// Models, and the thread on which they are asked.
pub(super) struct Minds {
    reached: Reached,
    /// From when it is needed on: canned models in virtual time need none.
    network: OnceLock<Network>,
}

/// The models of a configuration.
#[derive(Default)]
struct Reached {
    models: Arc<Models>,
    /// Opens connections before they are needed.
    warm: Option<Warm>,
    /// The model that speaks, and the one that hears.
    voice: Option<Make<dyn Synthesiser>>,
    natives: Option<MakeNatives>,
    ear: Option<Make<dyn Recogniser>>,
}

type Warm = Box<dyn Fn(&Handle) + Send + Sync>;

/// Makes an engine that is asked on this runtime.
type Make<T> = Arc<dyn Fn(&Handle) -> Box<T> + Send + Sync>;

/// Makes the edge of models that hear and speak, on this runtime.
type MakeNatives = Box<dyn Fn(&Handle) -> Box<dyn Edge> + Send + Sync>;

/// Makes an engine.
pub(super) type New<T> = Arc<dyn Fn() -> Box<T> + Send + Sync>;

impl Minds {
    /// The models of a plan; all that is wrong with them is told at once.
    pub(super) fn new(plan: &Plan, wrong: &mut Vec<String>) -> Self {
        Self { reached: network::reach(plan, wrong), network: OnceLock::new() }
    }

    fn runtime(&self) -> Result<&Handle, Failure> {
        if self.network.get().is_none() {
            let network = Network::start("models").map_err(|error| {
                Failure::broken(format!("no thread for questions to models: {error}"))
            })?;
            // Where another was quicker, this one ends.
            drop(self.network.set(network));
        }
        let network = self.network.get().map(Network::handle);
        network.ok_or_else(|| Failure::broken("no thread for questions to models"))
    }

    /// The edge for real time, where agents have models.
    pub(super) fn live_edge(&self) -> Result<Option<Box<dyn Edge>>, Failure> {
        let Reached { models, warm, .. } = &self.reached;
        if models.is_empty() {
            return Ok(None);
        }
        let runtime = self.runtime()?;
        if let Some(warm) = warm {
            warm(runtime);
        }
        Ok(Some(Box::new(LiveMinds::new(Arc::clone(models), runtime.clone()))))
    }

    /// The edge for virtual time, where agents have models.
    pub(super) fn virtual_edge(&self, plan: &Plan) -> Result<Option<Box<dyn Edge>>, Failure> {
        let models = &self.reached.models;
        if models.is_empty() {
            return Ok(None);
        }
        let configured = &plan.config.models;
        let mut minds = VirtualMinds::canned(configured, plan.len);
        for (name, model) in configured.iter().filter(|(_, it)| it.provider != Provider::Canned) {
            if let Some(known) = models.get(name) {
                let (model_of, handle) = (Arc::clone(known), self.runtime()?.clone());
                let asked = Waited { model: model_of, handle };
                minds.add(name, Box::new(asked), model.latency_ms, plan.len);
            }
        }
        Ok(Some(Box::new(minds)))
    }

    /// The edge for models that hear and speak by themselves, in real time.
    pub(super) fn live_natives(&self) -> Result<Option<Box<dyn Edge>>, Failure> {
        let Some(make) = &self.reached.natives else { return Ok(None) };
        Ok(Some(make(self.runtime()?)))
    }

    /// What makes synthesisers, where a model speaks.
    pub(super) fn voice(&self) -> Result<Option<New<dyn Synthesiser>>, Failure> {
        self.made(self.reached.voice.as_ref())
    }

    /// What makes recognisers, where a model hears.
    pub(super) fn ear(&self) -> Result<Option<New<dyn Recogniser>>, Failure> {
        self.made(self.reached.ear.as_ref())
    }

    fn made<T: ?Sized + 'static>(&self, make: Option<&Make<T>>) -> Result<Option<New<T>>, Failure> {
        let Some(make) = make.cloned() else { return Ok(None) };
        let runtime = self.runtime()?.clone();
        Ok(Some(Arc::new(move || make(&runtime))))
    }
}

fn canned(name: &str, model: &Model) -> Arc<dyn LanguageModel> {
    Arc::new(Canned::new(name, model.replies.clone()))
}

#[cfg(feature = "providers")]
mod network {
    use std::sync::Arc;

    use super::{Models, Reached, canned, of_agents, of_natives};
    use crate::config::{RecogniserEngine, SynthesiserEngine};
    use crate::host::pace::wall_ms;
    use crate::provider::models::Build;
    use crate::provider::natives::{LiveNatives, Talkers};
    use crate::provider::{
        Clients, Server, Sparing, Speech, Talker, Transcription, engines, speech, transcription,
    };
    use crate::seed::Seed;
    use crate::session::plan::Plan;

    fn env(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    /// The models that agents have, and those that these fall back to; those that hear and speak by themselves; one that
    /// speaks, and one that hears.
    pub(super) fn reach(plan: &Plan, wrong: &mut Vec<String>) -> Reached {
        let mut clients = Clients::default();
        let mut reached = Reached::default();
        let build = Build { canned: Some(&canned), ..Build::new(&env) };
        match build.models_over(&of_agents(plan), &mut clients) {
            Ok(models) => {
                let named = |name: &str| Some((name.to_owned(), models.get(name)?));
                reached.models = Arc::new(models.names().filter_map(named).collect::<Models>());
                reached.warm = Some(Box::new(move |runtime| {
                    let models = models.clone();
                    // What does not come about is tried anew with the first question.
                    drop(runtime.spawn(async move {
                        let names: Vec<&str> = models.names().collect();
                        models.warm(&names).await
                    }));
                }));
            }
            Err(complaints) => wrong.extend(complaints),
        }
        let mut talkers = Talkers::new();
        for (name, model) in of_natives(plan) {
            match Talker::new(&name, &model, &env, &mut clients) {
                Ok(talker) => drop(talkers.insert(name, talker)),
                Err(complaints) => wrong.extend(complaints),
            }
        }
        if !talkers.is_empty() {
            let (talkers, rate) = (Arc::new(talkers), plan.rate);
            reached.natives = Some(Box::new(move |runtime| {
                let (talkers, jitter) = (Arc::clone(&talkers), Seed::new(wall_ms()));
                Box::new(LiveNatives::new(talkers, runtime.clone(), rate, jitter))
            }));
        }
        let mut at = |name: &Option<String>| {
            let name = name.as_ref()?;
            let model = plan.config.models.get(name)?;
            match Server::new(name, model, &env, &mut clients) {
                Ok(server) => Some((server, model, Sparing::default(), Seed::new(wall_ms()))),
                Err(complaints) => {
                    for complaint in complaints {
                        // Told already, if an agent has the same model.
                        if !wrong.contains(&complaint) {
                            wrong.push(complaint);
                        }
                    }
                    None
                }
            }
        };
        let spoken = &plan.config.speech.synthesiser;
        if spoken.engine == SynthesiserEngine::Model
            && let Some((server, model, sparing, jitter)) = at(&spoken.model)
        {
            let speech = Speech::new(server, model, speech::Format::Pcm, sparing, jitter);
            let speech = Arc::new(speech);
            reached.voice = Some(Arc::new(move |runtime| {
                Box::new(engines::Voice::new(Arc::clone(&speech), runtime.clone()))
            }));
        }
        let heard = &plan.config.speech.recogniser;
        if heard.engine == RecogniserEngine::Model
            && let Some((server, model, sparing, jitter)) = at(&heard.model)
        {
            let detail = transcription::Detail::default();
            let ear = Arc::new(Transcription::new(server, model, detail, sparing, jitter));
            let language = heard.language.clone();
            reached.ear = Some(Arc::new(move |runtime| {
                let (ear, runtime) = (Arc::clone(&ear), runtime.clone());
                Box::new(engines::Ear::new(ear, runtime, language.clone()))
            }));
        }
        reached
    }
}

#[cfg(not(feature = "providers"))]
mod network {
    use std::sync::Arc;

    use super::{Models, Reached, canned, of_agents};
    use crate::config::Provider;
    use crate::session::plan::Plan;

    /// Canned models: there is no network in this program.
    pub(super) fn reach(plan: &Plan, wrong: &mut Vec<String>) -> Reached {
        let mut models = Models::new();
        for (name, model) in of_agents(plan).into_iter().chain(super::of_natives(plan)) {
            match model.provider {
                Provider::Canned => drop(models.insert(name.clone(), canned(&name, &model))),
                Provider::Openai => wrong.push(format!(
                    "models.{name}: this program is built without the feature `providers`, which has the network"
                )),
            }
        }
        Reached { models: Arc::new(models), ..Reached::default() }
    }
}

/// Every model that calls of this plan ask: those that answer, those that hear and speak by themselves, and those of
/// speech.
pub(super) fn used(plan: &Plan) -> BTreeMap<String, Model> {
    let speech = &plan.config.speech;
    let of_speech = [
        speech
            .synthesiser
            .model
            .as_ref()
            .filter(|_| speech.synthesiser.engine == SynthesiserEngine::Model),
        speech
            .recogniser
            .model
            .as_ref()
            .filter(|_| speech.recogniser.engine == RecogniserEngine::Model),
    ];
    let named = |name: &String| Some((name.clone(), plan.config.models.get(name)?.clone()));
    let of_speech = of_speech.into_iter().flatten().filter_map(named);
    of_agents(plan).into_iter().chain(of_natives(plan)).chain(of_speech).collect()
}

/// The models that agents have, and those that these fall back to: others need no key.
fn of_agents(plan: &Plan) -> BTreeMap<String, Model> {
    let all = &plan.config.models;
    let thinkers = plan.config.agents.values().filter_map(|agent| match agent {
        Agent::Model(thinker) => Some(thinker.model.as_str()),
        Agent::Scripted(_) | Agent::Native(_) | Agent::Echo(_) => None,
    });
    let mut names: Vec<&str> = thinkers.collect();
    let mut used = BTreeMap::new();
    while let Some(name) = names.pop() {
        let Some(model) = all.get(name).filter(|_| !used.contains_key(name)) else { continue };
        names.extend(model.fallbacks.iter().map(String::as_str));
        used.insert(name.to_owned(), model.clone());
    }
    used
}

/// The models of a provider that hear and speak for agents.
fn of_natives(plan: &Plan) -> BTreeMap<String, Model> {
    let named = plan.config.agents.values().filter_map(|agent| match agent {
        Agent::Native(native) => Some(native.model.as_str()),
        Agent::Model(_) | Agent::Scripted(_) | Agent::Echo(_) => None,
    });
    let all = &plan.config.models;
    let reached = named.filter_map(|name| Some((name.to_owned(), all.get(name)?.clone())));
    reached.filter(|(_, model)| model.provider != Provider::Canned).collect()
}

/// Refuses models that hear and speak where time is virtual: those of a provider take their own.
pub(super) fn not_in_virtual_time(plan: &Plan) -> Result<(), Failure> {
    let models = of_natives(plan);
    let Some(name) = models.keys().next() else { return Ok(()) };
    Err(Failure::input(format!(
        "models.{name}: a model that hears and speaks by itself is reached in real time only; leave out `--fast`, or try \
         it with `provider: canned`"
    )))
}

/// A model that is waited for, as virtual time does.
struct Waited {
    model: Arc<dyn LanguageModel>,
    handle: Handle,
}

impl Oracle for Waited {
    fn ask(&mut self, request: &ModelRequest) -> Answer {
        let (model, request) = (Arc::clone(&self.model), request.clone());
        let task = self.handle.spawn(async move { collect(model, request).await });
        self.handle.block_on(task).unwrap_or_else(|_| {
            let why = "the model's thread is gone";
            (Vec::new(), Some(ModelError::new(ErrorKind::Unavailable, why)))
        })
    }
}

async fn collect(model: Arc<dyn LanguageModel>, request: ModelRequest) -> Answer {
    use futures_util::StreamExt;

    let mut deltas: Vec<ModelDelta> = Vec::new();
    let mut stream = match model.stream(request).await {
        Ok(stream) => stream,
        Err(error) => return (deltas, Some(error)),
    };
    while let Some(delta) = stream.next().await {
        match delta {
            Ok(delta) => deltas.push(delta),
            Err(error) => return (deltas, Some(error)),
        }
    }
    (deltas, None)
}
