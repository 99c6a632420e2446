//! What a person sees of a call while it runs.
//!
//! In a terminal: a line for each utterance, tool call and hand-over, and a status line that moves.
//! Piped: the lines alone. With `--json`: an object per event, and one of kind `summary` at the end.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use console::{Style, Term};
use indicatif::{ProgressBar, ProgressStyle};

use super::live::Beat;
pub(super) use super::remark::plain;
use super::remark::{Names, Remark, name, remark};
use crate::clock::{Tick, TickLen};
use crate::id::ItemId;
use crate::session::event::{Event, EventKind};
use crate::session::plan::Plan;
use crate::tool::Outcome;

/// Shows a call.
pub(super) struct View {
    len: TickLen,
    /// A model answers for some agent.
    thinks: bool,
    /// What is written is said, since nobody speaks it, but for what a model speaks by itself.
    written: bool,
    json: bool,
    bar: Option<ProgressBar>,
    /// Which call it is, where several are shown.
    label: Option<String>,
    /// The job that the call is, where it is one.
    job: Option<String>,
    names: Names,
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
    pub(super) fn lines(plan: &Plan, json: bool) -> Self {
        let agent = String::new();
        let (len, thinks) = (plan.len, plan.has_models);
        let written = plan.synthesiser.is_none();
        Self {
            len,
            thinks,
            written,
            json,
            bar: None,
            label: None,
            job: None,
            names: Names::new(),
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

    /// What a line says of an event.
    pub(super) fn told(&mut self, event: &Event) -> Option<String> {
        let text = self.line(&event.kind)?;
        let seconds = self.len.start_ms(event.tick) as f64 / 1_000.0;
        let label =
            self.label.as_ref().map_or_else(String::new, |label| format!("{} ", dim(label)));
        Some(format!("{label}{} {text}", dim(&format!("{seconds:7.2}s"))))
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
        if let Some(text) = self.told(event) {
            self.say(&text);
        }
    }

    /// Moves the status line.
    pub(super) fn beat(&self, beat: &Beat) {
        self.status(beat.now, floor(beat.user_speech, beat.agent_speech));
    }

    /// Moves the status line of a call in virtual time.
    pub(super) fn status(&self, now: Tick, state: &str) {
        let Some(bar) = &self.bar else { return };
        let seconds = self.len.start_ms(now) as f64 / 1_000.0;
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

    /// Tells what there is to know of a sound device.
    pub(super) fn notice(&self, warning: bool, text: &str) {
        if self.json {
            line(serde_json::json!({ "type": "notice", "warning": warning, "text": text }));
        } else {
            self.warn(&plain(text));
        }
    }

    /// Takes the status line away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// What is shown of an event.
    fn line(&mut self, kind: &EventKind) -> Option<String> {
        Some(match kind {
            EventKind::UserMessage { lane, text, intent, .. } => {
                // A model understands without intents.
                let meant = intent.as_deref().unwrap_or("nothing known");
                let meant = if intent.is_none() && self.thinks { "" } else { meant };
                let (who, text) = (user(&name(&self.names, *lane)), plain(text));
                let meant =
                    if meant.is_empty() { String::new() } else { dim(&format!("  → {meant}")) };
                format!("{who} {text}{meant}")
            }
            EventKind::UserBackchannel { lane, text } => {
                let told = format!("({}) the agent goes on", plain(text));
                format!("{} {}", user(&name(&self.names, *lane)), dim(&told))
            }
            EventKind::UserDigit { lane, digit } => {
                format!("{} {}", user(&name(&self.names, *lane)), dim(&format!("pressed {digit}")))
            }
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
                format!("{} {}", agent_style(who), plain(text))
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
                let told = plain(&format!("interrupted after “…{heard}”"));
                format!("{} {}", agent_style(who), warn(&told))
            }
            EventKind::ToolCalled { call, name, arguments, .. } => {
                let arguments = plain(&arguments.0.to_string());
                format!("  {} {name}({arguments})  {}", tool("tool"), dim(&call.to_string()))
            }
            EventKind::ToolDeferred { name, .. } => {
                format!("  {} {name} {}", tool("tool"), dim("takes longer than a tick: deferred"))
            }
            EventKind::ToolResult { name, outcome, after_ticks, .. } => {
                let told = match outcome {
                    Outcome::Done(value) => plain(&value.0.to_string()),
                    Outcome::Failed(failure) => warn(&plain(&format!("failed: {failure}"))),
                };
                let after = dim(&format!("after {} ms", self.len.span_ms(*after_ticks)));
                format!("  {} {name} → {told}  {after}", tool("tool"))
            }
            other => {
                if let EventKind::UserJoined { lane, name } = other {
                    self.names.insert(*lane, plain(name));
                }
                match remark(other, &self.names, self.len)? {
                    Remark::Aside(text) => dim(&text),
                    Remark::Warning(text) => warn(&text),
                    Remark::Deed(what, text, beside) if beside.is_empty() => {
                        format!("  {} {text}", tool(what))
                    }
                    Remark::Deed(what, text, beside) => {
                        format!("  {} {text}  {}", tool(what), dim(&beside))
                    }
                }
            }
        })
    }
}

/// Who is heard.
const fn floor(user: bool, agent: bool) -> &'static str {
    match (user, agent) {
        (true, true) => "both speak",
        (true, false) => "the user speaks",
        (false, true) => "speaking",
        (false, false) => "listening",
    }
}

/// Prints a line. Who stops reading (`| head`) misses lines, and stops nothing.
pub(super) fn line(text: impl Display) {
    drop(writeln!(io::stdout(), "{text}"));
}

/// Prints a line apart from what the command says. Where nobody can read it any more, nothing stops.
pub(super) fn complain(text: impl Display) {
    drop(writeln!(io::stderr(), "{text}"));
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
