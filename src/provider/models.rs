//! The models of a configuration, each with whoever stands in for it.
//!
//! A name is answered by its own model, and, when that fails before anything of its answer has come, by its
//! `fallbacks` in their order. Fallbacks of a fallback are not looked at. Each model is spared by itself, whoever
//! asks it. Who stepped in, and what failed before, is a warning in the answer.
//!
//! **Invariant:** one name is one [`LanguageModel`]; of one answer, all is from one model.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};

use super::breaker::{Permit, Sparing};
use super::chat::{Chat, says};
use super::resilience::{Asked, Resilience};
use super::server::{Clients, Server};
use super::trouble::Trouble;
use crate::config::{Model, Provider};
use crate::generate::{BoxFuture, Deltas, LanguageModel};
use crate::host::pace::wall_ms;
use crate::seed::Seed;
use crate::think::chat::{ErrorKind, ModelDelta, ModelError, ModelRef, ModelRequest};

/// Makes the model that answers for a canned one.
pub type Canned<'a> = &'a dyn Fn(&str, &Model) -> Arc<dyn LanguageModel>;

/// The models of a configuration. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Models(BTreeMap<String, Arc<Named>>);

/// How models are built.
pub struct Build<'a> {
    /// Where keys are found: the name of an environment variable to its value.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Who answers for canned models. Without it, they are complained of.
    pub canned: Option<Canned<'a>>,
    /// When a model is spared.
    pub sparing: Sparing,
    /// The chance in delays.
    pub jitter: Seed,
}

impl fmt::Debug for Build<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Build").field("sparing", &self.sparing).finish_non_exhaustive()
    }
}

impl<'a> Build<'a> {
    /// With keys from `env`, nobody for canned models, and delays that no other process has.
    pub fn new(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let seed = Seed::new(wall_ms()).branch(&std::process::id().to_string());
        Self { env, canned: None, sparing: Sparing::default(), jitter: seed }
    }

    /// Builds the models.
    ///
    /// # Errors
    /// Everything that is wrong with all of them, in words.
    pub fn models(&self, models: &BTreeMap<String, Model>) -> Result<Models, Vec<String>> {
        self.models_over(models, &mut Clients::default())
    }

    /// Builds the models, over connections that others have as well.
    ///
    /// # Errors
    /// As [`Self::models`].
    pub fn models_over(
        &self,
        models: &BTreeMap<String, Model>,
        clients: &mut Clients,
    ) -> Result<Models, Vec<String>> {
        let (mut own, mut complaints) = (BTreeMap::new(), Vec::new());
        for (name, model) in models {
            match self.answerer(name, model, clients) {
                Ok(answerer) => {
                    let jitter = self.jitter.branch(name);
                    let resilience = Resilience::new(model.retries, self.sparing, jitter);
                    let candidate = Candidate { name: name.clone(), answerer, resilience };
                    own.insert(name.clone(), Arc::new(candidate));
                }
                Err(why) => complaints.extend(why),
            }
        }
        if !complaints.is_empty() {
            return Err(complaints);
        }
        let mut named = BTreeMap::new();
        for (name, model) in models {
            let mut candidates = Vec::new();
            for candidate in std::iter::once(name).chain(&model.fallbacks) {
                match own.get(candidate) {
                    Some(candidate) => candidates.push(Arc::clone(candidate)),
                    None => complaints.push(format!(
                        "model `{name}` falls back to `{candidate}`, which there is not; name one of `models`"
                    )),
                }
            }
            named.insert(name.clone(), Arc::new(Named(candidates)));
        }
        if complaints.is_empty() { Ok(Models(named)) } else { Err(complaints) }
    }

    fn answerer(
        &self,
        name: &str,
        model: &Model,
        clients: &mut Clients,
    ) -> Result<Answerer, Vec<String>> {
        match (model.provider, self.canned) {
            (Provider::Openai, _) => {
                let server = Server::new(name, model, self.env, clients)?;
                Ok(Answerer::Chat(Box::new(Chat::new(server, model))))
            }
            (Provider::Canned, Some(canned)) => Ok(Answerer::Given(canned(name, model))),
            (Provider::Canned, None) => Err(vec![format!(
                "model `{name}` is canned, and nobody answers for canned models here; write `provider: openai`"
            )]),
        }
    }
}

impl Models {
    /// The models of a configuration, with keys from `env`.
    ///
    /// # Errors
    /// Everything that is wrong with all of them, in words: a variable that is not set names itself and the model.
    pub fn new(
        models: &BTreeMap<String, Model>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<String>> {
        Build::new(env).models(models)
    }

    /// The model that is called so, with its fallbacks.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<dyn LanguageModel>> {
        self.0.get(name).map(|named| Arc::clone(named) as Arc<dyn LanguageModel>)
    }

    /// What they are called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Opens a connection to the server of each of these models and their fallbacks, all at the same time, so that the
    /// first request finds one. It costs nothing. What did not come about is told, and hinders nobody: a request tries anew.
    pub async fn warm(&self, names: &[&str]) -> Vec<ModelError> {
        let mut seen = BTreeSet::new();
        let named = names.iter().filter_map(|name| self.0.get(*name));
        let candidates = named.flat_map(|named| &named.0);
        let servers = candidates.filter_map(|candidate| match &candidate.answerer {
            Answerer::Chat(chat) if seen.insert(&candidate.name) => Some(chat.server()),
            Answerer::Chat(_) | Answerer::Given(_) => None,
        });
        let warmed = join_all(servers.map(Server::warm)).await;
        warmed.into_iter().filter_map(Result::err).collect()
    }
}

/// Who answers for a model.
enum Answerer {
    /// A server.
    Chat(Box<Chat>),
    /// Somebody in this process: a canned model.
    Given(Arc<dyn LanguageModel>),
}

impl Answerer {
    fn reference(&self) -> ModelRef {
        match self {
            Self::Chat(chat) => chat.reference(),
            Self::Given(model) => model.reference(),
        }
    }

    /// Asks, and waits until something of an answer has come.
    async fn ask(&self, request: &ModelRequest) -> Result<Deltas, Trouble> {
        let model = match self {
            Self::Chat(chat) => return chat.ask(request).await,
            Self::Given(model) => model,
        };
        let mut deltas = model.stream(request.clone()).await?;
        let mut held = Vec::new();
        while let Some(delta) = deltas.next().await {
            let says = says(delta.as_ref().map_err(Clone::clone)?);
            held.push(delta);
            if says {
                break;
            }
        }
        Ok(stream::iter(held).chain(deltas).boxed())
    }
}

/// One model, and how often it is asked.
struct Candidate {
    name: String,
    answerer: Answerer,
    resilience: Resilience,
}

/// A model and its fallbacks, in order.
struct Named(Vec<Arc<Candidate>>);

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|candidate| &candidate.name)).finish()
    }
}

impl Named {
    async fn ask(&self, mut request: ModelRequest) -> Result<Deltas, ModelError> {
        let own = self.reference();
        let mut failed: Vec<ModelError> = Vec::new();
        for (place, candidate) in self.0.iter().enumerate() {
            let reference = candidate.answerer.reference();
            // Another model may have been asked for by name; who stands in for it has its own.
            if place > 0 || request.model == own || request.model.model.is_empty() {
                request.model = reference;
            }
            let asked = candidate
                .resilience
                .ask(&candidate.name, || candidate.answerer.ask(&request))
                .await;
            match asked {
                Ok(asked) => {
                    failed.extend(asked.failed.iter().cloned());
                    return Ok(watched(Arc::clone(candidate), asked, failed, place > 0));
                }
                Err(error) => failed.push(error),
            }
        }
        Err(together(failed))
    }
}

impl LanguageModel for Named {
    fn reference(&self) -> ModelRef {
        self.0.first().map(|first| first.answerer.reference()).unwrap_or_default()
    }

    fn stream(&self, request: ModelRequest) -> BoxFuture<'_, Result<Deltas, ModelError>> {
        Box::pin(self.ask(request))
    }
}

/// The answer, with a word of what failed before it, while its end is told to the breaker.
fn watched(
    candidate: Arc<Candidate>,
    asked: Asked<Deltas>,
    failed: Vec<ModelError>,
    stood_in: bool,
) -> Deltas {
    let warning = (!failed.is_empty()).then(|| {
        let why = failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let what = if stood_in { "answers instead" } else { "was asked again" };
        Ok(ModelDelta::Warning(format!("`{}` {what}: {why}", candidate.name)))
    });
    let Asked { value, permit, .. } = asked;
    let watched = Watched { deltas: value, permit: Some(permit), candidate };
    stream::iter(warning).chain(stream::unfold(watched, Watched::next)).boxed()
}

/// An answer whose end is told to the breaker. Dropped before, it tells nothing.
struct Watched {
    deltas: Deltas,
    /// None once it is told.
    permit: Option<Permit>,
    candidate: Arc<Candidate>,
}

impl Watched {
    async fn next(mut self) -> Option<(Result<ModelDelta, ModelError>, Self)> {
        let delta = self.deltas.next().await;
        let error = match &delta {
            Some(Ok(ModelDelta::Finished { .. })) => {
                if let Some(permit) = self.permit.take() {
                    permit.succeeded();
                }
                None
            }
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(error.clone()),
            None => Some(ModelError::new(ErrorKind::CutOff, "it ended without its end")),
        };
        if let Some(error) = error
            && let Some(permit) = self.permit.take()
        {
            self.candidate.resilience.failed(permit, &error, None);
        }
        Some((delta?, self))
    }
}

/// What all of them have failed of: of the kind of the last, which may still have a remedy.
fn together(failed: Vec<ModelError>) -> ModelError {
    let kind = failed.last().map_or(ErrorKind::Unavailable, |last| last.kind);
    let message = failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    ModelError::new(kind, message)
}
