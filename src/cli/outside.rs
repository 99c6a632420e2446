//! Whoever outside of this process carries out tools: reached before a call, followed while it lasts.
//!
//! **Invariant:** when a call is over, so is every process that was started for its tools.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::failure::Failure;
#[cfg(feature = "remote")]
use super::load;
use crate::clock::Tick;
use crate::config::Config;
use crate::host::tools::Workers;
#[cfg(feature = "remote")]
use crate::remote::Remote;
use crate::session::input::{Inbound, Input};
use crate::session::output::Output;
use crate::slot::Edge;
use crate::tool::Registry;

/// Configurations that wait for a session's tick at most; one that finds no room is followed by the next.
const RELOADS_WAITING: usize = 4;

/// Whoever carries out tools outside of this process.
#[derive(Debug)]
pub(super) struct Outside {
    #[cfg(feature = "remote")]
    remote: Remote,
    /// The program's own tools.
    #[cfg(feature = "remote")]
    own: Registry,
}

/// Whether a configuration has tools that are carried out elsewhere.
fn is_needed(config: &Config) -> bool {
    !config.mcp_servers.is_empty() || config.tools.values().any(crate::config::Tool::is_remote)
}

/// Reaches whoever a configuration needs: the configuration with the tools that were found, all tools, and what
/// has to stay as long as they are used. What could not be taken over is told to `warn`.
#[cfg(feature = "remote")]
pub(super) fn reach(
    config: Config,
    own: Registry,
    warn: &mut dyn FnMut(String),
) -> Result<(Config, Registry, Option<Outside>), Failure> {
    if !is_needed(&config) {
        return Ok((config, own, None));
    }
    let outside = started(&config, own)?;
    let (config, warnings) = outside.remote.resolved();
    warnings.into_iter().for_each(warn);
    let tools = outside.tools(&config)?;
    Ok((config, tools, Some(outside)))
}

/// The tools of a configuration that was resolved once, as a journal holds it: no others are added.
#[cfg(feature = "remote")]
pub(super) fn again(config: &Config, own: Registry) -> Result<Registry, Failure> {
    if !is_needed(config) {
        return Ok(own);
    }
    started(config, own)?.tools(config)
}

#[cfg(feature = "remote")]
fn started(config: &Config, own: Registry) -> Result<Outside, Failure> {
    let remote = Remote::start(config, &|name| std::env::var(name).ok());
    let remote = remote.map_err(|wrong| Failure::input(wrong.join("\n")))?;
    Ok(Outside { remote, own })
}

#[cfg(not(feature = "remote"))]
pub(super) fn reach(
    config: Config,
    own: Registry,
    _warn: &mut dyn FnMut(String),
) -> Result<(Config, Registry, Option<Outside>), Failure> {
    let tools = again(&config, own)?;
    Ok((config, tools, None))
}

#[cfg(not(feature = "remote"))]
pub(super) fn again(config: &Config, own: Registry) -> Result<Registry, Failure> {
    if is_needed(config) {
        return Err(Failure::input(
            "the configuration has tools that are carried out elsewhere, which this program was built without; \
             build it with the feature `remote`",
        ));
    }
    Ok(own)
}

/// Follows the changes of what is outside, until it is dropped.
#[derive(Debug)]
pub(super) struct Following {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[cfg(feature = "remote")]
impl Outside {
    fn tools(&self, config: &Config) -> Result<Registry, Failure> {
        let mut tools = self.own.clone();
        self.remote.add_to(config, &mut tools).map_err(|wrong| Failure::input(wrong.join("\n")))?;
        Ok(tools)
    }

    /// Follows changes: workers get the tools first, and then `changed` the configuration.
    pub(super) fn follow(
        self,
        workers: Workers,
        changed: impl Fn(Config) + Send + 'static,
    ) -> std::io::Result<Following> {
        let (stop, stopped) = bounded::<()>(0);
        let changes = self.remote.changes();
        let follow = move || {
            loop {
                let config = crossbeam_channel::select! {
                    recv(changes) -> config => config,
                    recv(stopped) -> _ => return,
                };
                let Ok(mut config) = config else { return };
                load::described(&mut config, &self.own);
                // One whose tools are wrong changes nothing.
                let Ok(tools) = self.tools(&config) else { continue };
                let Ok((_, tools)) = load::plan(config.clone(), tools) else { continue };
                workers.renew(tools);
                changed(config);
            }
        };
        let thread = std::thread::Builder::new().name("tool changes".to_owned()).spawn(follow)?;
        Ok(Following { stop: Some(stop), thread: Some(thread) })
    }
}

#[cfg(not(feature = "remote"))]
impl Outside {
    pub(super) fn follow(
        self,
        _workers: Workers,
        _changed: impl Fn(Config) + Send + 'static,
    ) -> std::io::Result<Following> {
        Ok(Following { stop: None, thread: None })
    }
}

/// Gives a session the configurations that follow.
#[derive(Debug)]
pub(super) struct Reloads {
    configs: Receiver<String>,
}

impl Reloads {
    /// An edge, and what tells it of a configuration.
    pub(super) fn new() -> (impl Fn(Config) + Send + 'static, Self) {
        let (tell, configs) = bounded(RELOADS_WAITING);
        (move |config: Config| drop(tell.try_send(config.to_json())), Self { configs })
    }
}

impl Edge for Reloads {
    fn give(&mut self, _now: Tick, input: &mut Input) {
        let configs = self.configs.try_iter();
        input.inbound.extend(configs.map(|config| Inbound::Reload { config }));
    }

    fn take(&mut self, _now: Tick, _out: &Output) {}
}
