//! A configuration that is served: everything that its sessions share.
//!
//! **Invariant:** a configuration that is served is whole; one that cannot be made takes nobody's place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cli::engines::{Engines, LiveEngines, Sizes};
use crate::cli::failure::Failure;
use crate::cli::load;
use crate::cli::outside::{self, Following};
use crate::config::{Config, JobKind, Livekit};
use crate::host::tools::Workers;
use crate::session::plan::Plan;
use crate::tool::Registry;

/// Which of a configuration's conversations; none where it is not asked for.
pub(super) type Conversation = Option<String>;

/// How many times a configuration was read.
static READINGS: AtomicU64 = AtomicU64::new(0);

/// A configuration, with its engines and tools.
pub(super) struct Served {
    pub(super) path: PathBuf,
    /// Which reading of the file it is.
    pub(super) reading: u64,
    pub(super) agent_name: String,
    pub(super) kind: JobKind,
    pub(super) engines: LiveEngines,
    pub(super) workers: Workers,
    current: Mutex<Current>,
    _following: Option<Following>,
}

/// What changes when a server of its tools has others.
struct Current {
    config: Config,
    plans: BTreeMap<Conversation, Arc<Plan>>,
}

impl Served {
    /// Reads a configuration, and makes everything that its sessions need. `changed` is told of the configuration when
    /// its tools are others, of which whoever carries them out tells.
    pub(super) fn load(
        path: &Path,
        tools: &Registry,
        agent_name: Option<&str>,
        sizes: Sizes,
        changed: impl Fn(u64, Config) + Send + 'static,
    ) -> Result<Self, Failure> {
        let mut warn = |text: String| eprintln!("{}: {text}", path.display());
        let about = |failure: Failure| failure.about(path);
        let config = load::config(path)?;
        let reached = outside::reach(config, tools.clone(), &mut warn);
        let (config, tools, outside) = reached.map_err(about)?;
        let (plans, all) = plans(&config, &tools).map_err(about)?;
        let plan = &plans[&None];
        let engines = Engines::new(plan, &mut warn).map_err(about)?;
        let engines = engines.live(sizes).map_err(about)?;
        let workers = Workers::start(all, sizes.workers);
        let reading = READINGS.fetch_add(1, Ordering::Relaxed);
        let changed = move |config| changed(reading, config);
        let following = match outside {
            Some(outside) => Some(outside.follow(workers.clone(), changed).map_err(|error| {
                Failure::broken(format!("no thread for changes of tools: {error}"))
            })?),
            None => None,
        };
        let agent_name = agent_name.unwrap_or(&config.livekit.agent_name).to_owned();
        Ok(Self {
            path: path.to_owned(),
            reading,
            agent_name,
            kind: config.livekit.job,
            engines,
            workers,
            current: Mutex::new(Current { config, plans }),
            _following: following,
        })
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        self.current().config.name.clone()
    }

    /// How it is in rooms.
    pub(super) fn livekit(&self) -> Livekit {
        self.current().config.livekit.clone()
    }

    /// The conversation of a room, and its plan.
    pub(super) fn plan(
        &self,
        room: &str,
        metadata: &str,
    ) -> Result<(Conversation, Arc<Plan>), String> {
        let current = self.current();
        let conversation =
            current.config.conversation_of(room, metadata).map_err(|wrong| wrong.to_string())?;
        let plan = current.plans.get(&conversation).cloned();
        Ok((conversation, plan.ok_or("its plan is not there")?))
    }

    /// The plans of new sessions, by conversation.
    pub(super) fn plans(&self) -> BTreeMap<Conversation, Arc<Plan>> {
        self.current().plans.clone()
    }

    /// Goes on with a configuration that differs in its tools; what is wrong with it, if it cannot be used.
    pub(super) fn renew(&self, config: Config) -> Result<(), String> {
        let mut plans = self.plans();
        for (conversation, plan) in &mut plans {
            let config = config.clone();
            let config = match conversation {
                Some(name) => config.of_conversation(name).map_err(|wrong| wrong.to_string())?,
                None => config,
            };
            let renewed = Plan::new(config).map_err(|wrong| wrong.to_string())?;
            *plan = Arc::new(renewed.with_tools_of(plan));
        }
        *self.current() = Current { config, plans };
        Ok(())
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The plan of each conversation, and of none; and all tools.
fn plans(
    config: &Config,
    tools: &Registry,
) -> Result<(BTreeMap<Conversation, Arc<Plan>>, Registry), Failure> {
    let (plan, all) = load::plan(config.clone(), tools.clone())?;
    let mut plans = BTreeMap::from([(None, plan)]);
    for name in config.conversations.keys() {
        let of_one = config.clone().of_conversation(name);
        let of_one = of_one.map_err(|wrong| Failure::input(wrong.to_string()))?;
        plans.insert(Some(name.clone()), load::plan(of_one, tools.clone())?.0);
    }
    Ok((plans, all))
}
