//! The models of a configuration, for the calls of a command.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::failure::Failure;
use crate::config::{Model, Provider};
use crate::generate::LanguageModel;
use crate::generate::canned::Canned;
use crate::generate::live::{LiveMinds, Models};
use crate::model::minds::{Answer, Oracle, VirtualMinds};
use crate::session::plan::Plan;
use crate::slot::Edge;
use crate::think::chat::{ErrorKind, ModelDelta, ModelError, ModelRequest};

/// Models, and the thread on which they are asked.
pub(super) struct Minds {
    models: Arc<Models>,
    runtime: Option<Network>,
}

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
            return Ok(Self { models: Arc::default(), runtime: None });
        }
        let runtime = Network::start()?;
        let models = models(configured, wrong);
        Ok(Self { models: Arc::new(models), runtime: Some(runtime) })
    }

    /// The edge for real time, where there are models.
    pub(super) fn live_edge(&self) -> Option<Box<dyn Edge>> {
        let network = self.runtime.as_ref()?;
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

fn models(configured: &BTreeMap<String, Model>, wrong: &mut Vec<String>) -> Models {
    let mut models = Models::new();
    for (name, model) in configured {
        match model.provider {
            Provider::Canned => {
                let canned: Arc<dyn LanguageModel> =
                    Arc::new(Canned::new(name, model.replies.clone()));
                models.insert(name.clone(), canned);
            }
            Provider::Openai => wrong.push(format!("models.{name}: this program has no network")),
        }
    }
    models
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
