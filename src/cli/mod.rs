//! The command line: arguments, commands, and what they show.
//!
//! A program with tools of its own builds an [`App`], adds them, and runs it: it then has every
//! command of `antiphon`, and its tools can be named in configurations.
//!
//! **Invariant:** a command that fails has said what, where and what to do, and leaves nothing
//! half-written.

mod args;
mod bench;
mod call;
mod check;
mod completions;
#[cfg(feature = "livekit")]
mod connect;
mod console;
mod demo;
#[cfg(feature = "device")]
mod devices;
mod diff;
mod doctor;
mod engines;
mod failure;
mod fork;
mod graph;
mod help;
mod init;
mod journal;
mod journalled;
mod junit;
mod live;
#[cfg(feature = "livekit")]
mod livekit;
mod load;
#[cfg(feature = "livekit")]
mod local_server;
mod metrics;
mod minds;
mod moment;
mod outside;
mod remark;
mod replay;
mod report;
mod run;
mod scenario;
mod schema;
#[cfg(feature = "livekit")]
mod secret;
mod summary;
mod test;
mod tested;
mod timeline;
mod view;
mod watch;
#[cfg(feature = "livekit")]
mod worker;

use std::process::ExitCode;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::host::shard::SHARD;
use crate::tool::{Registry, Tool, ToolContext, ToolSpec};
use args::Command;
use failure::Failure;

/// The command line, with tools.
#[derive(Debug, Default)]
pub struct App {
    tools: Registry,
    wrong: Vec<String>,
}

impl App {
    /// Adds a tool. One that is wrong is complained about when the app runs.
    #[must_use]
    pub fn tool(mut self, spec: ToolSpec, tool: impl Tool + 'static) -> Self {
        if let Err(wrong) = self.tools.add(spec, tool) {
            self.wrong.push(wrong.to_string());
        }
        self
    }

    /// Adds a function as a tool; see [`Registry::add_fn`]. One that is wrong is complained about when the app
    /// runs.
    #[must_use]
    pub fn function<A, O, F>(mut self, spec: ToolSpec, function: F) -> Self
    where
        A: DeserializeOwned + JsonSchema + 'static,
        O: Serialize + 'static,
        F: Fn(&ToolContext, A) -> Result<O, String> + Send + Sync + 'static,
    {
        if let Err(wrong) = self.tools.add_fn(spec, function) {
            self.wrong.push(wrong.to_string());
        }
        self
    }

    /// Runs the command that the program's arguments name.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let args = help::parse();
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A session's panic ends that session, and is told as its end. Printing it here, with a
            // backtrace, would stop every other session of the shard for a tenth of a second.
            if std::thread::current().name() != Some(SHARD) {
                print(panic);
            }
        }));
        match self.command(args.command) {
            Ok(code) => code,
            Err(failure) => {
                view::complain(&failure);
                failure.exit_code()
            }
        }
    }

    fn command(self, command: Command) -> Result<ExitCode, Failure> {
        if !self.wrong.is_empty() {
            return Err(Failure::input(self.wrong.join("\n")));
        }
        match command {
            Command::Demo(args) => demo::demo(&args, self.tools),
            Command::Init(args) => init::init(&args),
            Command::Schema(args) => schema::schema(&args),
            Command::Completions(args) => Ok(completions::completions(&args)),
            Command::Test(args) => test::test(&args, &self.tools),
            Command::Run(args) => run::run(&args, self.tools),
            Command::Console(args) => console::console(&args, self.tools),
            #[cfg(feature = "livekit")]
            Command::Connect(args) => connect::connect(&args, self.tools),
            #[cfg(feature = "livekit")]
            Command::Start(args) => worker::start(&args, self.tools),
            #[cfg(feature = "livekit")]
            Command::Dev(args) => worker::dev(&args, self.tools),
            #[cfg(feature = "device")]
            Command::Devices(args) => devices::devices(&args),
            Command::Doctor(args) => doctor::doctor(&args, self.tools),
            Command::Replay(args) => replay::replay(&args),
            Command::Fork(args) => fork::fork(&args, self.tools),
            Command::Diff(args) => diff::diff(&args),
            Command::Timeline(args) => timeline::timeline(&args),
            Command::Report(args) => report::report(&args),
            Command::Scenario(args) => scenario::scenario(&args),
            Command::Journal(args) => journal::journal(&args.command),
            Command::Check(args) => check::check(&args, self.tools),
            Command::Graph(args) => graph::graph(&args, self.tools),
            Command::Bench(args) => bench::bench(&args),
        }
    }
}
