//! The models of a configuration, for the calls of a command.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::failure::Failure;
use crate::config::{Agent, Model, Provider};
use crate::generate::LanguageModel;
use crate::generate::canned::Canned;
use crate::generate::live::{LiveMinds, Models};
use crate::model::minds::{Answer, Oracle, VirtualMinds};
use crate::model::{Recogniser, Synthesiser};
use crate::session::plan::Plan;
use crate::slot::Edge;
use crate::think::chat::{ErrorKind, ModelDelta, ModelError, ModelRequest};

/// Models, and the thread on which they are asked.
pub(super) struct Minds {
    models: Arc<Models>,
    runtime: Option<Network>,
    /// Opens connections before they are needed.
    warm: Option<Warm>,
}

type Warm = Box<dyn Fn(&Handle) + Send + Sync>;

/// A thread with a runtime, as long as somebody holds this.
struct Network {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Network {
    fn start() -> Result<Self, Failure> {
        let broken = |error: std::io::Error| {
            Failure::broken(format!("no thread for questions to models: {error}"))
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(broken)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("models".to_owned());
        // Whether it is stopped or its owner is gone is the same.
        thread.spawn(move || drop(runtime.block_on(stopped))).map_err(broken)?;
        Ok(Self { handle, _stop: stop })
    }
}

impl Minds {
    /// The models of a plan; all that is wrong with them is told at once.
    pub(super) fn new(plan: &Plan, wrong: &mut Vec<String>) -> Result<Self, Failure> {
        let configured = &plan.config.models;
        if configured.is_empty() {
            return Ok(Self { models: Arc::default(), runtime: None, warm: None });
        }
        let runtime = Network::start()?;
        let (models, warm) = network::models(plan, wrong);
        Ok(Self { models: Arc::new(models), runtime: Some(runtime), warm })
    }

    /// The edge for real time, where there are models.
    pub(super) fn live_edge(&self) -> Option<Box<dyn Edge>> {
        let network = self.runtime.as_ref()?;
        if let Some(warm) = &self.warm {
            warm(&network.handle);
        }
        Some(Box::new(LiveMinds::new(Arc::clone(&self.models), network.handle.clone())))
    }

    /// The edge for virtual time, where there are models.
    pub(super) fn virtual_edge(&self, plan: &Plan) -> Option<Box<dyn Edge>> {
        let network = self.runtime.as_ref()?;
        let configured = &plan.config.models;
        let mut minds = VirtualMinds::canned(configured, plan.len);
        for (name, model) in configured.iter().filter(|(_, it)| it.provider != Provider::Canned) {
            if let Some(known) = self.models.get(name) {
                let asked = Waited { model: Arc::clone(known), handle: network.handle.clone() };
                minds.add(name, Box::new(asked), model.latency_ms, plan.len);
            }
        }
        Some(Box::new(minds))
    }
}

/// Makes a synthesiser of a model.
pub(super) type NewVoice = Arc<dyn Fn() -> Box<dyn Synthesiser> + Send + Sync>;

/// Makes a recogniser of a model.
pub(super) type NewEar = Arc<dyn Fn() -> Box<dyn Recogniser> + Send + Sync>;

#[cfg(feature = "providers")]
mod network {
    use std::sync::Arc;

    use super::{Canned, Minds, Models, NewEar, NewVoice, Warm};
    use crate::config::{RecogniserEngine, SynthesiserEngine};
    use crate::generate::LanguageModel;
    use crate::host::pace::wall_ms;
    use crate::provider::models::Build;
    use crate::provider::{
        Clients, Server, Sparing, Speech, Transcription, engines, speech, transcription,
    };
    use crate::seed::Seed;
    use crate::session::plan::Plan;

    fn env(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    /// The models that agents have, and those that these fall back to.
    pub(super) fn models(plan: &Plan, wrong: &mut Vec<String>) -> (Models, Option<Warm>) {
        let build = Build {
            canned: Some(&|name, model| -> Arc<dyn LanguageModel> {
                Arc::new(Canned::new(name, model.replies.clone()))
            }),
            ..Build::new(&env)
        };
        match build.models(&super::of_agents(plan)) {
            Ok(models) => {
                let named = |name: &str| Some((name.to_owned(), models.get(name)?));
                let known = models.names().filter_map(named).collect();
                let warm: Warm = Box::new(move |runtime| {
                    let models = models.clone();
                    // What does not come about is tried anew with the first question.
                    drop(runtime.spawn(async move {
                        let names: Vec<&str> = models.names().collect();
                        models.warm(&names).await
                    }));
                });
                (known, Some(warm))
            }
            Err(complaints) => {
                wrong.extend(complaints);
                (Models::new(), None)
            }
        }
    }

    impl Minds {
        /// The model that speaks, if one does.
        pub(in super::super) fn voice(
            &self,
            plan: &Plan,
            wrong: &mut Vec<String>,
        ) -> Option<NewVoice> {
            let spoken = &plan.config.speech.synthesiser;
            let name =
                spoken.model.as_ref().filter(|_| spoken.engine == SynthesiserEngine::Model)?;
            let (server, model) = server(plan, name, wrong)?;
            let (sparing, jitter) = (Sparing::default(), Seed::new(wall_ms()));
            let speech = Speech::new(server, model, speech::Format::Pcm, sparing, jitter);
            let (speech, handle) = (Arc::new(speech), self.runtime.as_ref()?.handle.clone());
            Some(Arc::new(move || {
                Box::new(engines::Voice::new(Arc::clone(&speech), handle.clone()))
            }))
        }

        /// The model that hears, if one does.
        pub(in super::super) fn ear(&self, plan: &Plan, wrong: &mut Vec<String>) -> Option<NewEar> {
            let heard = &plan.config.speech.recogniser;
            let name = heard.model.as_ref().filter(|_| heard.engine == RecogniserEngine::Model)?;
            let (server, model) = server(plan, name, wrong)?;
            let (sparing, jitter) = (Sparing::default(), Seed::new(wall_ms()));
            let detail = transcription::Detail::default();
            let ear = Transcription::new(server, model, detail, sparing, jitter);
            let (ear, handle) = (Arc::new(ear), self.runtime.as_ref()?.handle.clone());
            let language = heard.language.clone();
            Some(Arc::new(move || {
                Box::new(engines::Ear::new(Arc::clone(&ear), handle.clone(), language.clone()))
            }))
        }
    }

    fn server<'p>(
        plan: &'p Plan,
        name: &str,
        wrong: &mut Vec<String>,
    ) -> Option<(Server, &'p crate::config::Model)> {
        let model = plan.config.models.get(name)?;
        match Server::new(name, model, &env, &mut Clients::default()) {
            Ok(server) => Some((server, model)),
            Err(complaints) => {
                // Told already, if an agent has the same model.
                wrong.extend(
                    complaints.into_iter().filter(|it| !wrong.contains(it)).collect::<Vec<_>>(),
                );
                None
            }
        }
    }
}

#[cfg(not(feature = "providers"))]
mod network {
    use std::sync::Arc;

    use super::{Canned, Minds, Models, NewEar, NewVoice, Warm};
    use crate::config::Provider;
    use crate::generate::LanguageModel;
    use crate::session::plan::Plan;

    /// Canned models: there is no network in this program.
    pub(super) fn models(plan: &Plan, wrong: &mut Vec<String>) -> (Models, Option<Warm>) {
        let mut models = Models::new();
        for (name, model) in super::of_agents(plan) {
            match model.provider {
                Provider::Canned => {
                    let canned: Arc<dyn LanguageModel> =
                        Arc::new(Canned::new(&name, model.replies.clone()));
                    models.insert(name.clone(), canned);
                }
                Provider::Openai => wrong.push(format!(
                    "models.{name}: this program is built without the feature `providers`, which has the network"
                )),
            }
        }
        (models, None)
    }

    impl Minds {
        #[expect(clippy::unused_self, reason = "the other one has a runtime")]
        pub(in super::super) fn voice(&self, _: &Plan, _: &mut Vec<String>) -> Option<NewVoice> {
            None
        }

        #[expect(clippy::unused_self, reason = "the other one has a runtime")]
        pub(in super::super) fn ear(&self, _: &Plan, _: &mut Vec<String>) -> Option<NewEar> {
            None
        }
    }
}

/// The models that agents have, and those that these fall back to: others need no key.
fn of_agents(plan: &Plan) -> BTreeMap<String, Model> {
    let all = &plan.config.models;
    let thinkers = plan.config.agents.values().filter_map(|agent| match agent {
        Agent::Model(thinker) => Some(thinker.model.as_str()),
        Agent::Scripted(_) | Agent::Echo(_) => None,
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
