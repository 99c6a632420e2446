//! What a person sees of a call while it runs.
//!
//! In a terminal: a line for each utterance, tool call and hand-over, and a status line that moves.
//! Piped: the lines alone. With `--json`: an object per event, and one of kind `summary` at the end.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use console::{Style, Term};
use indicatif::{ProgressBar, ProgressStyle};

use crate::clock::TickLen;
use crate::id::{ItemId, LaneId};
use crate::session::event::{Event, EventKind};
use crate::session::plan::Plan;
use crate::tool::Outcome;

/// Shows a call.
pub(super) struct View {
    len: TickLen,
    /// A model answers for some agent.
    thinks: bool,
    /// What is written is said, but for what a model speaks by itself.
    written: bool,
    json: bool,
    bar: Option<ProgressBar>,
    /// Which call it is, where several are shown.
    label: Option<String>,
    /// The job that the call is, where it is one.
    job: Option<String>,
    names: BTreeMap<LaneId, String>,
    /// Who says what, of the items that are announced.
    items: BTreeMap<ItemId, (String, String)>,
    agent: String,
}

impl View {
    /// A view for a call with these ticks.
    pub(super) fn new(plan: &Plan, json: bool) -> Self {
        let bar = (!json && Term::stdout().is_term()).then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        Self { bar, ..Self::lines(plan, json) }
    }

    /// A view without a bar.
    fn lines(plan: &Plan, json: bool) -> Self {
        let agent = String::new();
        let (len, thinks) = (plan.len, plan.has_models);
        let written = plan.has_natives && plan.synthesiser.is_none();
        Self {
            len,
            thinks,
            written,
            json,
            bar: None,
            label: None,
            job: None,
            names: BTreeMap::new(),
            items: BTreeMap::new(),
            agent,
        }
    }

    /// A view of one call among several: lines alone.
    #[cfg(feature = "livekit")]
    pub(super) fn labelled(plan: &Plan, json: bool, job: &str) -> Self {
        Self { job: Some(job.to_owned()), ..Self::lines(plan, json) }
    }

    /// Says from now on which call it is, or no longer.
    #[cfg(feature = "livekit")]
    pub(super) fn label(&mut self, label: Option<&str>) {
        self.label = label.map(plain);
    }

    /// Shows an event.
    pub(super) fn event(&mut self, event: &Event) {
        if self.json {
            let mut object = event.to_json(self.len);
            if let Some(job) = &self.job {
                object["job"] = job.as_str().into();
            }
            line(object);
            return;
        }
        if let Some(text) = self.line(&event.kind) {
            let seconds = self.len.start_ms(event.tick) as f64 / 1_000.0;
            let label =
                self.label.as_ref().map_or_else(String::new, |label| format!("{} ", dim(label)));
            self.say(&format!("{label}{} {text}", dim(&format!("{seconds:7.2}s"))));
        }
    }

    /// Moves the status line.
    pub(super) fn status(&self, tick: u64, state: &str) {
        let Some(bar) = &self.bar else { return };
        let seconds = (tick * u64::from(self.len.ms())) as f64 / 1_000.0;
        bar.set_message(format!("{seconds:6.1}s  {:<11} {state}", self.agent));
        bar.tick();
    }

    /// Shows a line of the program's own.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => line(text),
        }
    }

    /// Shows a warning, apart from what the command says.
    pub(super) fn warn(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Takes the status line away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&mut self, kind: &EventKind) -> Option<String> {
        let name = |names: &BTreeMap<LaneId, String>, lane: &LaneId| {
            names.get(lane).cloned().unwrap_or_else(|| lane.to_string())
        };
        Some(match kind {
            EventKind::UserJoined { lane, name } => {
                let name = plain(name);
                let joined = dim(&format!("{name} joined"));
                self.names.insert(*lane, name);
                joined
            }
            EventKind::UserMessage { lane, text, intent, .. } => {
                // A model understands without intents.
                let meant = intent.as_deref().unwrap_or("nothing known");
                let meant = if intent.is_none() && self.thinks { "" } else { meant };
                let (who, text) = (user(&name(&self.names, lane)), plain(text));
                let meant =
                    if meant.is_empty() { String::new() } else { dim(&format!("  → {meant}")) };
                format!("{who} {text}{meant}")
            }
            EventKind::UserBackchannel { lane, text } => {
                let told = format!("({}) the agent goes on", plain(text));
                format!("{} {}", user(&name(&self.names, lane)), dim(&told))
            }
            EventKind::UserAway => dim("the user is away"),
            EventKind::AgentStarted { agent } => {
                self.agent.clone_from(agent);
                return None;
            }
            EventKind::AgentBegan { item, agent, .. } => {
                self.items.insert(*item, (agent.clone(), String::new()));
                return None;
            }
            // All words of an item that has begun without them.
            EventKind::AgentMessage { item, agent, text } if self.items.contains_key(item) => {
                format!("{} {}", agent_style(agent), plain(text))
            }
            // Without a voice, what is written is said.
            EventKind::AgentMessage { agent, text, .. } if self.written => {
                format!("{} {}", agent_style(agent), plain(text))
            }
            EventKind::AgentMessage { item, agent, text } => {
                self.items.insert(*item, (agent.clone(), text.clone()));
                return None;
            }
            EventKind::AgentSpeechStarted { item } => {
                let (who, text) = self.items.get(item)?;
                if text.is_empty() {
                    return None;
                }
                format!("{} {text}", agent_style(who))
            }
            EventKind::AgentSpeechFinished { item } => {
                self.items.remove(item);
                return None;
            }
            EventKind::AgentInterrupted { item, played_ms, spoken, .. } => {
                let (who, _) = self.items.get(item)?;
                if *played_ms == 0 {
                    return None;
                }
                let heard = spoken.rsplit(' ').take(4).collect::<Vec<_>>();
                let heard = heard.into_iter().rev().collect::<Vec<_>>().join(" ");
                format!("{} {}", agent_style(who), warn(&format!("interrupted after “…{heard}”")))
            }
            EventKind::AgentResumed => warn("that was no interruption: the agent goes on"),
            EventKind::ModelAnswered { warnings, .. } if !warnings.is_empty() => {
                warn(&plain(&format!("model: {}", warnings.join("; "))))
            }
            EventKind::AgentWords { .. } | EventKind::ModelConnected { .. } => return None,
            // What becomes of it is told by what the agent cannot do.
            EventKind::ModelDisconnected { last: true, .. } => return None,
            EventKind::ModelDisconnected { cause, .. } => {
                warn(&plain(&format!("model: {cause}; it is tried again")))
            }
            EventKind::ModelFailed { cause, .. } => warn(&plain(&format!("model: {cause}"))),
            EventKind::ApprovalAsked { name, arguments, .. } => {
                format!("  {} may {name}({}) be called?", tool("tool"), arguments.0)
            }
            EventKind::ApprovalGiven { name, approved, .. } => {
                let how = if *approved { "approved" } else { "denied" };
                format!("  {} {name} is {how}", tool("tool"))
            }
            EventKind::ToolCalled { call, name, arguments, .. } => {
                format!("  {} {name}({})  {}", tool("tool"), arguments.0, dim(&call.to_string()))
            }
            EventKind::ToolDeferred { name, .. } => {
                format!("  {} {name} {}", tool("tool"), dim("takes longer than a tick: deferred"))
            }
            EventKind::ToolResult { name, outcome, after_ticks, .. } => {
                let told = match outcome {
                    Outcome::Done(value) => value.0.to_string(),
                    Outcome::Failed(failure) => warn(&plain(&format!("failed: {failure}"))),
                };
                let after = dim(&format!("after {} ms", self.len.span_ms(*after_ticks)));
                format!("  {} {name} → {told}  {after}", tool("tool"))
            }
            EventKind::TransitionExecuted { from, to, cause, .. } => {
                format!(
                    "  {} {from} → {to}  {}",
                    tool("hand-over"),
                    dim(&format!("because of {cause}"))
                )
            }
            EventKind::TransitionRefused { to, reason, .. } => {
                warn(&format!("no hand-over to {to}: {reason}"))
            }
            EventKind::RecogniserFailed { cause, .. } => warn(&format!("recogniser: {cause}")),
            EventKind::SynthesiserFailed { cause, .. } => warn(&format!("synthesiser: {cause}")),
            EventKind::TickSkipped { count } => warn(&format!("{count} ticks skipped")),
            EventKind::JournalLost { cause } => warn(&format!("the journal is lost: {cause}")),
            EventKind::LimitReached { limit } => warn(&format!("limit reached: {limit}")),
            EventKind::SessionStrained { every } => {
                warn(&format!("overload: what is no audio is done in one of {every} ticks"))
            }
            EventKind::SessionRelieved { after_ticks } => {
                let ms = self.len.span_ms(*after_ticks);
                warn(&format!("all is done in every tick again, after {ms} ms"))
            }
            EventKind::SessionEnded { reason } => dim(&plain(&format!("ended: {reason}"))),
            EventKind::UserUnheard { lane, cause } => {
                warn(&plain(&format!("{} is not heard: {cause}", name(&self.names, lane))))
            }
            EventKind::ConnectionLost { cause } => {
                warn(&plain(&format!("the connection is lost: {cause}")))
            }
            EventKind::ConnectionRestored => warn("the connection is back"),
            EventKind::UserDigit { lane, digit } => {
                format!("{} {}", user(&name(&self.names, lane)), dim(&format!("pressed {digit}")))
            }
            EventKind::RpcCalled { request, lane, method } => {
                let who = lane
                    .as_ref()
                    .map_or_else(|| "somebody".to_owned(), |lane| name(&self.names, lane));
                let told = format!("called by {who}");
                format!(
                    "  {} {} {}  {}",
                    tool("method"),
                    plain(method),
                    dim(&told),
                    dim(&request.to_string())
                )
            }
            EventKind::AgentError { agent, cause } => {
                warn(&plain(&format!("{agent} cannot answer: {cause}")))
            }
            EventKind::AgentCalled { agent, by, .. } => {
                format!("  {} {by} calls {agent}", tool("hand-over"))
            }
            EventKind::AgentReturned { agent, to, .. } => {
                format!("  {} {agent} returns to {to}", tool("hand-over"))
            }
            EventKind::ToolOrphaned { name, .. } => {
                warn(&format!("nobody learns the outcome of {name}"))
            }
            EventKind::RuleFailed { transition, cause } => {
                warn(&plain(&format!("the rules of transition {transition}: {cause}")))
            }
            EventKind::CallTransferred { to, warm } => {
                let how = if *warm { "with the agent" } else { "without the agent" };
                format!("  {} passed on to {}  {}", tool("call"), plain(to), dim(how))
            }
            EventKind::CallHeld => format!("  {} on hold", tool("call")),
            EventKind::CallResumed { after_ticks } => {
                let after = dim(&format!("after {} ms", self.len.span_ms(*after_ticks)));
                format!("  {} off hold  {after}", tool("call"))
            }
            EventKind::DigitsSent { digits } => format!("  {} keys {digits}", tool("call")),
            EventKind::ClipPlayed { clip, .. } => format!("  {} plays {clip}", tool("call")),
            EventKind::PolicyWarned { policy, percent } => {
                warn(&format!("{percent} % of the policy {policy} is used"))
            }
            EventKind::PolicyReached { policy } => warn(&format!("policy reached: {policy}")),
            EventKind::ConfigReloaded { config } => {
                dim(&format!("configuration {config} from here on"))
            }
            EventKind::ConfigRefused { cause } => {
                warn(&plain(&format!("the other configuration is refused: {cause}")))
            }
            EventKind::Custom { name, .. } => dim(&plain(&format!("event {name}"))),
            EventKind::ModelAsked { .. }
            | EventKind::ModelAnswered { .. }
            | EventKind::ModelDropped { .. }
            | EventKind::SessionCreated { .. }
            | EventKind::AgentStopped { .. }
            | EventKind::AgentDecided { .. }
            | EventKind::FactSet { .. }
            | EventKind::FactExpired { .. }
            | EventKind::UserPublished { .. }
            | EventKind::UserUnpublished { .. }
            | EventKind::UserMuted { .. }
            | EventKind::UserUnmuted { .. }
            | EventKind::UserSpeaking { .. }
            | EventKind::UserAttributes { .. }
            | EventKind::UserMetadata { .. }
            | EventKind::RoomMetadata { .. }
            | EventKind::DataReceived { .. }
            | EventKind::ConnectionQuality { .. }
            | EventKind::RpcAnswered { .. }
            | EventKind::UserLeft { .. }
            | EventKind::UserReturned
            | EventKind::UserSpeechStarted { .. }
            | EventKind::UserSpeechStopped { .. }
            | EventKind::UserTranscript { .. }
            | EventKind::ToolUnexpected { .. } => return None,
        })
    }
}

/// What somebody else has said or written, on one line and without commands to the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Prints a line. Who stops reading (`| head`) misses lines, and stops nothing.
pub(super) fn line(text: impl Display) {
    drop(writeln!(io::stdout(), "{text}"));
}

fn dim(text: &str) -> String {
    Style::new().dim().apply_to(text).to_string()
}

fn warn(text: &str) -> String {
    Style::new().yellow().apply_to(text).to_string()
}

fn user(name: &str) -> String {
    Style::new().cyan().bold().apply_to(format!("{name}:")).to_string()
}

fn agent_style(name: &str) -> String {
    Style::new().green().bold().apply_to(format!("{name}:")).to_string()
}

fn tool(name: &str) -> String {
    Style::new().magenta().apply_to(name).to_string()
}
