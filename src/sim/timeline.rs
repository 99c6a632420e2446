//! A call as text: one rendering of ticks, for terminals, failing tests, comparisons and documents.
//!
//! ```text
//! shop, 20 ms ticks, 0.00 s to 9.98 s
//!
//!         0.00 s    1.40 s
//!   ann   ..##+...........
//!   agent .....####+......
//!
//!      0.00 s      0  --  session.created         desk begins
//!      0.20 s     10  u-  user.speech_started     ann  utterance-0
//!      0.70 s     35  -a  agent.speech_started    desk  item-0
//! ```
//!
//! First comes who is heard when: a character a column, `#` for at least half of it, `+` for some, `.`
//! for none. Then each event has a line: when, in which tick, who is heard in it (`u` a participant, `a`
//! the agent), its name, and what it says. From the tick on in which a fork went another way, lines begin
//! with `~`.
//!
//! **Invariant:** equal outputs give equal text; nothing measured is in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use crate::clock::{Tick, TickLen};
use crate::graph::facts::Scope;
use crate::id::{ItemId, LaneId};
use crate::session::event::{CutCause, Event, EventKind};
use crate::session::output::Output;
use crate::session::plan::Plan;
use crate::tool::Outcome;

/// Columns of the strip at most: with the names before them they fit a terminal of 100.
const COLUMNS: u64 = 80;

/// Characters of a text in a line at most: with the columns before it two lines of a terminal.
const TEXT_MAX: usize = 90;

/// The column in which what an event says begins, after its name.
const NAME: usize = 24;

/// A call, tick by tick, as it can be told.
#[derive(Debug, Clone)]
pub struct Timeline {
    name: String,
    len: TickLen,
    thinks: bool,
    ticks: Vec<TimelineTick>,
    names: BTreeMap<LaneId, String>,
    /// Who says what, of all items.
    items: BTreeMap<ItemId, (String, String)>,
    diverged: Option<Tick>,
    /// Nothing is known of who was heard.
    unheard: bool,
}

/// A tick.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TimelineTick {
    /// Which.
    pub tick: Tick,
    /// Whether a participant is heard in it.
    pub user: bool,
    /// Whether the agent is heard in it.
    pub agent: bool,
    /// The lanes that are voiced in it, a bit each: lane 0 is the lowest.
    pub lanes: u64,
    /// What happened in it, a line each.
    pub lines: Vec<Line>,
}

/// An event, told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Numbers of things, which differ from call to call.
    pub ids: String,
    /// What it says.
    pub text: String,
}

impl Timeline {
    /// A call of this plan, of which nothing is known yet.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            name: plan.config.name.clone(),
            len: plan.len,
            thinks: plan.has_models,
            ticks: Vec::new(),
            names: BTreeMap::new(),
            items: BTreeMap::new(),
            diverged: None,
            unheard: false,
        }
    }

    /// Nothing is known of who was heard: there are events alone.
    pub const fn unheard(&mut self) {
        self.unheard = true;
    }

    /// Whether it is known who was heard.
    #[must_use]
    pub const fn is_heard(&self) -> bool {
        !self.unheard
    }

    /// Takes what came of one tick.
    pub fn tick(&mut self, now: Tick, out: &Output) {
        let voiced = out.levels.iter().filter(|level| level.voiced && level.lane.0 < 64);
        let lanes = voiced.fold(0, |lanes, level| lanes | 1 << level.lane.0);
        let mut lines = Vec::with_capacity(out.events.len());
        for event in &out.events {
            self.note(event);
            lines.push(self.line(&event.kind));
        }
        self.ticks.push(TimelineTick {
            tick: now,
            user: out.user_speech,
            agent: out.agent_speech,
            lanes,
            lines,
        });
    }

    /// From this tick on, the call went another way than the one that it was forked from.
    pub fn diverge(&mut self, now: Tick) {
        self.diverged.get_or_insert(now);
    }

    /// The ticks, in order.
    #[must_use]
    pub fn ticks(&self) -> &[TimelineTick] {
        &self.ticks
    }

    /// The length of a tick.
    #[must_use]
    pub const fn tick_len(&self) -> TickLen {
        self.len
    }

    /// The name of the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this tick is after a fork has gone another way.
    #[must_use]
    pub fn is_counterfactual(&self, tick: Tick) -> bool {
        self.diverged.is_some_and(|diverged| tick >= diverged)
    }

    /// The text of these ticks.
    #[must_use]
    pub fn render(&self, ticks: Range<u64>) -> String {
        let shown: Vec<&TimelineTick> =
            self.ticks.iter().filter(|moment| ticks.contains(&moment.tick.0)).collect();
        let (Some(first), Some(last)) = (shown.first(), shown.last()) else {
            return format!("{}: there are no ticks there\n", self.name);
        };
        let mut text = format!(
            "{}, {} ms ticks, {} s to {} s\n",
            self.name,
            self.len.ms(),
            seconds(self.len, first.tick),
            seconds(self.len, last.tick.after(1)),
        );
        if let Some(diverged) = self.diverged {
            let at = seconds(self.len, diverged);
            let _ = writeln!(text, "~ counterfactual from {at} s (tick {diverged}) on");
        }
        text.push('\n');
        if self.is_heard() {
            self.strip(&shown, &mut text);
            text.push('\n');
        }
        for moment in shown {
            for line in &moment.lines {
                self.put(moment, line, &mut text);
            }
        }
        text
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        self.render(0..u64::MAX)
    }

    fn put(&self, moment: &TimelineTick, line: &Line, text: &mut String) {
        let mark = if self.is_counterfactual(moment.tick) { '~' } else { ' ' };
        let at = seconds(self.len, moment.tick);
        let (user, agent) = heard(moment);
        let Line { name, ids, text: says } = line;
        let gap = if ids.is_empty() || says.is_empty() { "" } else { "  " };
        let row = format!(
            "{mark}{at:>8} s {:>6}  {user}{agent}  {name:<NAME$}{says}{gap}{ids}",
            moment.tick
        );
        text.push_str(row.trim_end());
        text.push('\n');
    }

    /// Who is heard when, in at most [`COLUMNS`] columns.
    fn strip(&self, shown: &[&TimelineTick], text: &mut String) {
        let (Some(first), Some(last)) = (shown.first(), shown.last()) else { return };
        let (from, to) = (first.tick.0, last.tick.0 + 1);
        let span = (to - from).div_ceil(COLUMNS).max(1);
        let columns = (to - from).div_ceil(span) as usize;
        let width = self.names.values().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
        // A mark of time every ten columns, where there is room for it.
        let mut scale = String::new();
        for column in (0..columns).step_by(10) {
            let at = format!("{} s", seconds(self.len, Tick(from + column as u64 * span)));
            while scale.chars().count() < column {
                scale.push(' ');
            }
            if scale.chars().count() == column {
                scale.push_str(&at);
                scale.push(' ');
            }
        }
        let _ = writeln!(text, "  {:<width$} {}", "", scale.trim_end());
        let mut row = |name: &str, is_heard: &dyn Fn(&TimelineTick) -> bool| {
            let mut counts = vec![0; columns];
            for moment in shown {
                counts[((moment.tick.0 - from) / span) as usize] += u64::from(is_heard(moment));
            }
            let marks = counts.iter().map(|&count| match count {
                0 => '.',
                count if count * 2 >= span => '#',
                _ => '+',
            });
            let _ = writeln!(text, "  {name:<width$} {}", marks.collect::<String>());
        };
        if self.names.is_empty() {
            row("users", &|moment| moment.user);
        }
        for (lane, name) in &self.names {
            row(name, &|moment| lane.0 < 64 && moment.lanes >> lane.0 & 1 == 1);
        }
        row("agent", &|moment| moment.agent);
    }

    fn note(&mut self, event: &Event) {
        match &event.kind {
            EventKind::UserJoined { lane, name } => {
                let name = if name.is_empty() { lane.to_string() } else { cut(name) };
                self.names.insert(*lane, name);
            }
            EventKind::AgentMessage { item, agent, text } => {
                self.items.insert(*item, (agent.clone(), text.clone()));
            }
            EventKind::AgentBegan { item, agent, .. } => {
                self.items.insert(*item, (agent.clone(), String::new()));
            }
            _ => {}
        }
    }

    fn who(&self, lane: LaneId) -> String {
        self.names.get(&lane).cloned().unwrap_or_else(|| lane.to_string())
    }

    fn whose(&self, lane: Option<LaneId>, nobody: &str) -> String {
        lane.map_or_else(|| nobody.to_owned(), |lane| self.who(lane))
    }

    fn agent(&self, item: ItemId) -> &str {
        self.items.get(&item).map_or("the agent", |(agent, _)| agent)
    }

    fn line(&self, kind: &EventKind) -> Line {
        let (ids, text) = self.told(kind);
        Line { name: kind.name().to_string(), ids, text }
    }

    /// The numbers of an event, and what it says without them.
    fn told(&self, kind: &EventKind) -> (String, String) {
        let none = String::new;
        match kind {
            EventKind::SessionCreated { agent } => (none(), format!("{agent} begins")),
            EventKind::SessionEnded { reason } => (none(), cut(&reason.to_string())),
            EventKind::UserJoined { lane, name } => (lane.to_string(), cut(name)),
            EventKind::UserLeft { lane } => (lane.to_string(), self.who(*lane)),
            EventKind::UserSpeechStarted { lane, utterance, over_agent } => {
                let over = if *over_agent { " over the agent" } else { "" };
                (utterance.to_string(), format!("{}{over}", self.who(*lane)))
            }
            EventKind::UserSpeechStopped { lane, utterance, voiced_ms } => {
                (utterance.to_string(), format!("{}, {voiced_ms} ms of voice", self.who(*lane)))
            }
            EventKind::UserTranscript { lane, utterance, text, confidence, last } => {
                let who = self.who(*lane);
                let sure =
                    if *last { format!(", {confidence:.2} sure") } else { " …".to_owned() };
                (utterance.to_string(), format!("{who}: {}{sure}", quoted(text)))
            }
            EventKind::UserMessage { turn, lane, text, intent, typed, .. } => {
                // A model understands without intents.
                let unknown = if self.thinks { "" } else { " → nothing known" };
                let meant = intent.as_ref().map(|intent| format!(" → {intent}"));
                let meant = meant.as_deref().unwrap_or(unknown);
                let typed = if *typed { " typed" } else { "" };
                let who = self.who(*lane);
                (turn.to_string(), format!("{who}{typed}: {}{meant}", quoted(text)))
            }
            EventKind::UserBackchannel { lane, text } => {
                (none(), format!("{}: {}, the agent goes on", self.who(*lane), quoted(text)))
            }
            EventKind::UserAway | EventKind::UserReturned => (none(), none()),
            EventKind::AgentStarted { agent } | EventKind::AgentStopped { agent } => {
                (none(), agent.clone())
            }
            EventKind::AgentError { agent, cause } => (none(), format!("{agent}: {}", cut(cause))),
            EventKind::AgentDecided { agent, key, value } => {
                (none(), format!("{agent}: {} = {}", cut(key), cut(&value.0.to_string())))
            }
            EventKind::AgentCalled { agent, by, call } => {
                (call.to_string(), format!("{by} calls {agent}"))
            }
            EventKind::AgentReturned { agent, to, call } => {
                (call.to_string(), format!("{agent} returns to {to}"))
            }
            EventKind::ToolOrphaned { call, name } => (call.to_string(), name.clone()),
            EventKind::RuleFailed { transition, cause } => {
                (format!("transition {transition}"), cut(cause))
            }
            EventKind::FactSet { name, scope, value } => {
                let scope = match scope {
                    Scope::Session => String::new(),
                    scope => format!(", of the {scope:?}").to_lowercase(),
                };
                (none(), format!("{name} = {}{scope}", cut(&value.0.to_string())))
            }
            EventKind::FactExpired { name } => (none(), name.clone()),
            EventKind::CallTransferred { to, warm } => {
                let how = if *warm { ", with the agent" } else { "" };
                (none(), format!("to {}{how}", cut(to)))
            }
            EventKind::CallHeld => (none(), none()),
            EventKind::CallResumed { after_ticks } => {
                (none(), format!("after {} ms", self.len.span_ms(*after_ticks)))
            }
            EventKind::DigitsSent { digits } => (none(), digits.clone()),
            EventKind::ClipPlayed { item, clip } => (item.to_string(), clip.clone()),
            EventKind::PolicyWarned { policy, percent } => {
                (none(), format!("{policy}: {percent} % is used"))
            }
            EventKind::PolicyReached { policy } => (none(), policy.clone()),
            EventKind::ConfigReloaded { config } => (none(), config.clone()),
            EventKind::ConfigRefused { cause } => (none(), cut(cause)),
            EventKind::Custom { name, data, .. } => {
                (none(), format!("{}: {}", cut(name), cut(&data.0.to_string())))
            }
            EventKind::AgentBegan { item, agent, source } => {
                (item.to_string(), format!("{agent}, {}", cut(source)))
            }
            EventKind::AgentWords { item, text } => (item.to_string(), quoted(text)),
            EventKind::ModelConnected { native, again } => {
                let again = if *again { "again" } else { "for the first time" };
                (native.to_string(), again.to_owned())
            }
            EventKind::ModelDisconnected { native, cause, last } => {
                let last = if *last { "for good: " } else { "" };
                (native.to_string(), format!("{last}{}", cut(cause)))
            }
            EventKind::AgentMessage { item, agent, text } => {
                (item.to_string(), format!("{agent}: {}", quoted(text)))
            }
            EventKind::AgentSpeechStarted { item } | EventKind::AgentSpeechFinished { item } => {
                (item.to_string(), self.agent(*item).to_owned())
            }
            EventKind::AgentInterrupted {
                item,
                cause,
                since,
                voiced_ms,
                played_ms,
                spoken,
                ..
            } => {
                let agent = self.agent(*item);
                let at = seconds(self.len, *since);
                let why = match cause {
                    CutCause::Voice => format!("by {voiced_ms} ms of voice since {at} s"),
                    CutCause::Words => format!("by words, voice until {at} s"),
                    CutCause::Text => "by typed text".to_owned(),
                    CutCause::Overtaken => "by more that the user said".to_owned(),
                    CutCause::Closed => "by the end of the call".to_owned(),
                    CutCause::Asked => "because the user wanted it to stop".to_owned(),
                };
                let heard = if *played_ms == 0 {
                    "before a sound of it".to_owned()
                } else {
                    format!("after {played_ms} ms: {}", quoted_end(spoken))
                };
                (item.to_string(), format!("{agent} is cut {why}, {heard}"))
            }
            EventKind::AgentResumed => (none(), "that was no interruption".to_owned()),
            EventKind::ModelAsked { ask, agent, model, step, messages } => {
                let step = if *step > 0 { format!(", step {}", step + 1) } else { none() };
                let told = match messages {
                    // One that hears by itself is told nothing.
                    0 => none(),
                    1 => ": 1 message".to_owned(),
                    count => format!(": {count} messages"),
                };
                (ask.to_string(), format!("{agent} asks {model}{step}{told}"))
            }
            EventKind::ModelAnswered {
                ask,
                first_after_ticks,
                after_ticks,
                usage,
                warnings,
                ..
            } => {
                let first = first_after_ticks.map_or_else(none, |ticks| {
                    format!("began after {} ms, ", self.len.span_ms(ticks))
                });
                let tokens = usage.and_then(|usage| usage.total);
                let tokens = tokens.map_or_else(none, |total| format!(", {total} tokens"));
                let after = self.len.span_ms(*after_ticks);
                let warned: String = warnings.iter().map(|it| format!("; {}", cut(it))).collect();
                (ask.to_string(), format!("{first}done after {after} ms{tokens}{warned}"))
            }
            EventKind::ModelFailed { ask, kind, cause } => {
                (ask.to_string(), format!("{}: {}", kind.as_str(), cut(cause)))
            }
            EventKind::ModelDropped { ask } => (ask.to_string(), none()),
            EventKind::ApprovalAsked { approval, agent, name, arguments } => (
                format!("approval-{approval}"),
                format!("{agent}: {name}({})", cut(&arguments.0.to_string())),
            ),
            EventKind::ApprovalGiven { approval, name, approved, reason } => {
                let how = if *approved { "approved" } else { "denied" };
                let why = reason.as_deref().map_or_else(none, |why| format!(": {}", cut(why)));
                (format!("approval-{approval}"), format!("{name} is {how}{why}"))
            }
            EventKind::ToolCalled { call, name, arguments, .. } => {
                (call.to_string(), format!("{name}({})", cut(&arguments.0.to_string())))
            }
            EventKind::ToolDeferred { call, name } => (call.to_string(), name.clone()),
            EventKind::ToolResult { call, name, outcome, after_ticks } => {
                let came = match outcome {
                    Outcome::Done(value) => cut(&value.0.to_string()),
                    Outcome::Failed(failure) => cut(&format!("failed: {failure}")),
                };
                let after = self.len.span_ms(*after_ticks);
                (call.to_string(), format!("{name} → {came} after {after} ms"))
            }
            EventKind::ToolUnexpected { call } => (call.to_string(), none()),
            EventKind::TransitionExecuted { from, to, transition, cause } => {
                (format!("transition {transition}"), format!("{from} → {to} because of {cause}"))
            }
            EventKind::TransitionRefused { from, to, cause, reason } => {
                (none(), format!("{from} → {to} because of {cause}: {reason}"))
            }
            EventKind::RecogniserFailed { lane, utterance, cause } => {
                (utterance.to_string(), format!("{}: {}", self.who(*lane), cut(cause)))
            }
            EventKind::SynthesiserFailed { item, cause } => (item.to_string(), cut(cause)),
            EventKind::TickSkipped { count } => (none(), format!("{count} ticks")),
            EventKind::JournalLost { cause } => (none(), cut(cause)),
            EventKind::LimitReached { limit } => (none(), limit.clone()),
            EventKind::SessionStrained { every } => {
                (none(), format!("what is no audio is done in one of {every} ticks"))
            }
            EventKind::SessionRelieved { after_ticks } => {
                (none(), format!("after {} ms", self.len.span_ms(*after_ticks)))
            }
            EventKind::UserPublished { lane }
            | EventKind::UserUnpublished { lane }
            | EventKind::UserMuted { lane }
            | EventKind::UserUnmuted { lane } => (none(), self.who(*lane)),
            EventKind::UserUnheard { lane, cause } => {
                (none(), format!("{}: {}", self.who(*lane), cut(cause)))
            }
            EventKind::UserSpeaking { lane, speaking } => {
                let speaks = if *speaking { "speaks" } else { "is silent" };
                (none(), format!("{} {speaks}", self.who(*lane)))
            }
            EventKind::UserAttributes { lane, changed } => {
                let changed: Vec<String> =
                    changed.iter().map(|(name, value)| format!("{name}={value}")).collect();
                (none(), format!("{}: {}", self.who(*lane), cut(&changed.join(" "))))
            }
            EventKind::UserMetadata { lane, text } => {
                (none(), format!("{}: {}", self.who(*lane), quoted(text)))
            }
            EventKind::RoomMetadata { text } => (none(), quoted(text)),
            EventKind::DataReceived { lane, topic, text, bytes, .. } => {
                let what = text.as_deref().map_or_else(|| format!("{bytes} bytes"), quoted);
                let topic = if topic.is_empty() { String::new() } else { cut(topic) + " " };
                (none(), format!("{}: {topic}{what}", self.whose(*lane, "the server")))
            }
            EventKind::ConnectionQuality { lane, quality } => {
                (none(), format!("{}: {}", self.whose(*lane, "the agent"), quality.as_str()))
            }
            EventKind::UserDigit { lane, digit } => {
                (none(), format!("{} pressed {digit}", self.who(*lane)))
            }
            EventKind::RpcCalled { request, lane, method } => {
                let who = self.whose(*lane, "somebody");
                (request.to_string(), format!("{who} calls {}", cut(method)))
            }
            EventKind::RpcAnswered { request, error, after_ticks } => {
                let came = error.as_ref().map_or_else(
                    || "answered".to_owned(),
                    |error| cut(&format!("failed: {error}")),
                );
                let after = self.len.span_ms(*after_ticks);
                (request.to_string(), format!("{came} after {after} ms"))
            }
            EventKind::ConnectionLost { cause } => (none(), cut(cause)),
            EventKind::ConnectionRestored => (none(), none()),
        }
    }
}

/// Who is heard in a tick.
#[must_use]
pub const fn heard(moment: &TimelineTick) -> (char, char) {
    (if moment.user { 'u' } else { '-' }, if moment.agent { 'a' } else { '-' })
}

/// When a tick begins, in seconds.
#[must_use]
pub fn seconds(len: TickLen, tick: Tick) -> String {
    let ms = len.start_ms(tick);
    format!("{}.{:02}", ms / 1_000, ms % 1_000 / 10)
}

/// A text on one line and not too long.
fn cut(text: &str) -> String {
    let mut shown: String =
        text.chars().take(TEXT_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(TEXT_MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn quoted(text: &str) -> String {
    format!("“{}”", cut(text))
}

/// The end of a text that was cut off there.
fn quoted_end(text: &str) -> String {
    let count = text.chars().count();
    if count <= 40 {
        return quoted(text);
    }
    let end: String = text.chars().skip(count - 40).collect();
    format!("“…{}”", cut(&end))
}
