//! Interruptions: who cut the agent, by what rule, and what became of it.

use super::kept::Kept;
use super::prose::{Prose, QUOTE_MAX, beginning, ending};
use super::stage::{Stage, Words};
use crate::clock::Tick;
use crate::id::{ItemId, LaneId, UtteranceId};
use crate::session::event::CutCause;
use crate::session::plan::Plan;

/// Interruptions that are told one by one.
const CUTS_MAX: usize = 2_000;

/// Items of one cut that are told; a session has 32 under way at most.
const DROPPED_MAX: usize = 4;

/// The agent was cut.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    pub(super) at: Tick,
    pub(super) cause: CutCause,
    /// The first voiced tick of it.
    pub(super) since: Tick,
    voiced_ms: u64,
    pub(super) who: Vec<String>,
    pub(super) agent: String,
    /// When what was cut had begun.
    began: Option<Tick>,
    /// What it was saying, from the beginning.
    saying: String,
    /// The last of it that was heard.
    spoken: String,
    /// The first of it that was not.
    unspoken: String,
    /// What was waiting to be said after it.
    dropped: Vec<String>,
    /// The utterances that were open over the agent when a voice cut it, or the one whose words did.
    by: Vec<(LaneId, UtteranceId)>,
    /// The words of it, once known.
    words: Option<Words>,
    /// They are a sound of attention, as the configuration has it.
    attention: bool,
    /// Its words belong to speech that has cut the agent before, and came too late for that.
    late: bool,
    pub(super) end: End,
}

/// What became of a cut.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    /// It is not known yet.
    Open,
    /// It had words, and they were answered.
    Words { at: Tick, text: String, intent: Option<String> },
    /// It was speech that could not be understood.
    Unclear { at: Tick },
    /// The agent went on.
    Resumed { at: Tick, why: Why },
    /// Somebody else said or typed something, or the same one typed, and that was answered.
    Other { at: Tick, who: String, typed: bool, text: String, intent: Option<String> },
    /// The recogniser failed, on it or on what somebody else said meanwhile.
    Failed { at: Tick, cause: String, other: Option<String> },
    /// The agent was cut again before it was known.
    CutAgain { at: Tick },
}

/// Why a cut was false.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Why {
    /// A sound of attention.
    Attention(String),
    /// No words at all.
    Wordless,
    /// Words that were not believed.
    Doubted { text: String, confidence: f32 },
    /// No words came in time.
    Late,
}

/// The interruptions so far.
#[derive(Debug, Clone)]
pub(super) struct Cuts {
    pub(super) list: Kept<Cut>,
    /// The one that is not decided.
    open: Option<usize>,
    /// The tick of the last cut, of which each item is told by an event of its own.
    last: Option<(Tick, Option<usize>)>,
}

/// An item that was cut, as the event has it.
pub(super) struct CutItem<'a> {
    pub(super) item: ItemId,
    pub(super) cause: CutCause,
    pub(super) since: Tick,
    pub(super) voiced_ms: u64,
    pub(super) spoken: &'a str,
    pub(super) unspoken: &'a str,
}

impl Cuts {
    pub(super) const fn new() -> Self {
        Self { list: Kept::new(CUTS_MAX), open: None, last: None }
    }

    pub(super) fn cut(&mut self, now: Tick, cut: CutItem<'_>, stage: &Stage) {
        if let Some((_, at)) = self.last.filter(|(tick, _)| *tick == now) {
            let first = at.and_then(|at| self.list.get_mut(at));
            if let Some(first) = first.filter(|first| first.dropped.len() < DROPPED_MAX) {
                let text = format!("{}{}", cut.spoken, cut.unspoken);
                first.dropped.push(beginning(&text, QUOTE_MAX));
            }
            return;
        }
        if self.undecided(now).is_some() {
            self.end(End::CutAgain { at: now });
        }
        let cause = cut.cause;
        let words = stage.words.clone().filter(|words| words.at == now);
        let words = words.filter(|_| cause == CutCause::Words);
        let before = self.last.and_then(|(_, at)| self.list.get_mut(at?));
        let late = words.as_ref().is_some_and(|words| {
            before.is_some_and(|before| before.was_false() && before.at >= words.since)
        });
        let since = words.as_ref().map_or(cut.since, |words| words.since);
        let CutItem { item, voiced_ms, spoken, unspoken, .. } = cut;
        let by: Vec<_> = match cause {
            CutCause::Voice => stage.speaking().map(|known| (known.lane, known.id)).collect(),
            CutCause::Words => words.iter().map(|words| (words.lane, words.utterance)).collect(),
            // The turn that comes in the same tick says who.
            CutCause::Text | CutCause::Overtaken | CutCause::Closed | CutCause::Asked => Vec::new(),
        };
        let mut who: Vec<String> = by.iter().map(|(lane, _)| stage.name(*lane)).collect();
        who.dedup();
        let known = stage.item(item);
        let at = self.list.push(Cut {
            at: now,
            cause,
            since,
            voiced_ms,
            who,
            agent: known.map_or_else(|| stage.agent.clone(), |item| item.agent.clone()),
            began: known.and_then(|item| item.started),
            saying: beginning(&format!("{spoken}{unspoken}"), QUOTE_MAX),
            spoken: ending(spoken, QUOTE_MAX),
            unspoken: beginning(unspoken, QUOTE_MAX),
            dropped: Vec::new(),
            by,
            words,
            attention: false,
            late,
            end: End::Open,
        });
        self.last = Some((now, at));
        // Nobody says anything that could decide what was asked for.
        self.open = at.filter(|_| cause != CutCause::Asked);
    }

    /// Somebody takes a lane: who cut the agent from there before is somebody else.
    pub(super) fn join(&mut self, lane: LaneId) {
        if let Some(open) = self.open.and_then(|at| self.list.get_mut(at)) {
            open.by.retain(|(known, _)| *known != lane);
        }
    }

    /// The last words of an utterance are known.
    pub(super) fn words(&mut self, words: &Words) {
        let Some(open) = self.undecided(words.at) else { return };
        if open.by.contains(&(words.lane, words.utterance)) {
            open.words = Some(words.clone());
            open.attention = false;
        }
    }

    /// The words that have just become known on this lane are a sound of attention.
    pub(super) fn attention(&mut self, now: Tick, lane: LaneId) {
        let Some(open) = self.undecided(now) else { return };
        open.attention |= open.words.as_ref().is_some_and(|w| (w.at, w.lane) == (now, lane));
    }

    /// A turn of a user ends, and is answered.
    pub(super) fn turn(
        &mut self,
        now: Tick,
        (lane, who, typed): (LaneId, &str, bool),
        (text, intent): (&str, Option<&str>),
        confidence_min: f32,
    ) {
        let Some(open) = self.undecided(now) else { return };
        let is_text = open.cause == CutCause::Text;
        if is_text && open.who.is_empty() {
            open.who.push(who.to_owned());
        }
        // A typed text ends what was being said as well: both come in turns that count as typed.
        let heard = open.words.as_ref().map(|words| words.text.trim().trim_end_matches('…'));
        let is_spoken = !typed || heard.is_some_and(|all| !all.is_empty() && text.contains(all));
        let is_own = open.by.iter().any(|(known, _)| *known == lane) && is_spoken;
        let (text, intent) = (beginning(text, QUOTE_MAX), intent.map(str::to_owned));
        let words = open.words.as_ref().filter(|words| words.lane == lane);
        let end = match words.filter(|words| !words.text.trim().is_empty()) {
            _ if !is_text && !is_own => {
                // What cut the agent by its words is a turn, and will end as one.
                if open.cause == CutCause::Voice {
                    let who = who.to_owned();
                    open.end = End::Other { at: now, who, typed: !is_spoken, text, intent };
                }
                return;
            }
            Some(words) if words.confidence < confidence_min => End::Unclear { at: words.at },
            Some(words) => End::Words { at: words.at, text, intent },
            None => End::Words { at: now, text, intent },
        };
        self.end(end);
    }

    /// The agent goes on where it was cut.
    pub(super) fn resumed(&mut self, now: Tick, confidence_min: f32) {
        let Some(open) = self.undecided(now) else { return };
        let why = match &open.words {
            Some(Words { text, .. }) if open.attention => Why::Attention(text.clone()),
            Some(Words { text, .. }) if text.trim().is_empty() => Why::Wordless,
            Some(Words { text, confidence, .. }) if *confidence < confidence_min => {
                Why::Doubted { text: text.clone(), confidence: *confidence }
            }
            Some(_) | None => Why::Late,
        };
        self.end(End::Resumed { at: now, why });
    }

    /// The recogniser has failed: on what cut the agent, or on what `who` said.
    pub(super) fn failed(&mut self, now: Tick, by: (LaneId, UtteranceId), who: &str, cause: &str) {
        let Some(open) = self.undecided(now) else { return };
        // Other cuts are decided as they happen.
        if open.cause == CutCause::Voice {
            let other = (!open.by.contains(&by)).then(|| who.to_owned());
            let cause = beginning(cause, QUOTE_MAX);
            self.end(End::Failed { at: now, cause, other });
        }
    }

    /// The cut of which it is not known what became. A turn of somebody else ends it, unless who cut the
    /// agent has a part in that turn.
    fn undecided(&mut self, now: Tick) -> Option<&mut Cut> {
        let at = self.open?;
        let is_over = |cut: &mut Cut| matches!(cut.end, End::Other { at, .. } if at < now);
        if self.list.get_mut(at).is_some_and(is_over) {
            self.open = None;
        }
        self.list.get_mut(self.open?)
    }

    fn end(&mut self, end: End) {
        if let Some(open) = self.open.take().and_then(|at| self.list.get_mut(at)) {
            open.end = end;
        }
    }
}

impl Cut {
    /// How many cuts are told as false.
    pub(super) const fn was_false(&self) -> bool {
        matches!(self.end, End::Resumed { .. })
    }

    /// Who, as a subject.
    pub(super) fn whose(&self) -> String {
        match self.who.as_slice() {
            [] => "somebody".into(),
            [one] => one.clone(),
            [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
        }
    }

    /// What decided it, in a word.
    pub(super) const fn badge(&self) -> &'static str {
        match (&self.end, self.cause) {
            (End::Resumed { .. }, _) => "false: the agent went on",
            (_, CutCause::Voice) => "by voice",
            (_, CutCause::Words) => "by words",
            (_, CutCause::Text) => "by typed text",
            (_, CutCause::Overtaken) => "overtaken",
            (_, CutCause::Closed) => "by the end of the call",
            (_, CutCause::Asked) => "asked to stop",
        }
    }

    /// Why it happened and what came of it, for who has never seen the configuration.
    pub(super) fn told(&self, plan: &Plan) -> Prose {
        let ms = |tick| plan.len.start_ms(tick);
        let mut prose = Prose::new();
        prose = match self.began {
            Some(began) => prose.text("From ").at(ms(began)).text(" ").name(&self.agent),
            None => prose.name(&self.agent),
        };
        prose = match self.began {
            Some(_) => prose.text(" was saying ").glimpse(&self.saying).text(". "),
            None => prose.text(" was about to say ").glimpse(&self.saying).text(". "),
        };
        prose = self.rule(plan, prose);
        prose = prose.text(" ").name(&self.agent).text(" was cut at ").at(ms(self.at));
        prose = match self.spoken.trim() {
            "" => prose.text(" before a word of it was heard."),
            spoken => prose.text(", having said ").quote_end(spoken).text("."),
        };
        let more = self.dropped.len();
        if more > 0 {
            prose =
                prose.text(if more == 1 { " Also waiting was " } else { " Also waiting were " });
            for (n, text) in self.dropped.iter().enumerate() {
                prose = prose.text(if n == 0 { "" } else { ", " }).glimpse(text);
            }
            prose = prose.text(".");
        }
        self.outcome(plan, prose)
    }

    /// The rule that fired.
    fn rule(&self, plan: &Plan, prose: Prose) -> Prose {
        let since = plan.len.start_ms(self.since);
        let turn = &plan.config.turn;
        let whose = self.whose();
        match self.cause {
            CutCause::Voice => {
                prose.name(&whose).text(" spoke over it from ").at(since).text(format!(
                    ". After {} ms of voice over the agent (this configuration interrupts after {} \
                     ms)",
                    self.voiced_ms, turn.barge_in_ms
                ))
            }
            CutCause::Words => {
                let prose = prose.name(&whose).text(" had begun to speak at ").at(since);
                let prose = match self.late {
                    true => prose.text(
                        ", which cut the agent once already, but the words came too late to confirm \
                         that. Now ",
                    ),
                    false => prose.text(format!(
                        ", without reaching the {} ms of unbroken voice over the agent that interrupt \
                         by themselves. But ",
                        turn.barge_in_ms
                    )),
                };
                match &self.words {
                    Some(words) if words.confidence >= plan.confidence => prose
                        .text("the words, ")
                        .quote(&words.text)
                        .text(", are more than a sound of attention, so once they were known"),
                    Some(_) | None => prose.text("it was too long for noise, so once it was over"),
                }
            }
            CutCause::Text => {
                prose.name(&whose).text(" typed a message, and typed text always takes the turn;")
            }
            CutCause::Overtaken => prose
                .name(&whose)
                .text(" had said more before it was heard, so it was out of date;"),
            CutCause::Closed => prose.text("The call was ended from outside;"),
            CutCause::Asked => {
                prose.text("The user wanted it to stop, by a key and without a word;")
            }
        }
    }

    fn outcome(&self, plan: &Plan, prose: Prose) -> Prose {
        let ms = |tick| plan.len.start_ms(tick);
        let rest = |prose: Prose| match self.unspoken.trim() {
            "" => prose,
            unspoken => prose.text(" The rest, ").glimpse(unspoken).text(", was not heard."),
        };
        match &self.end {
            End::Open if self.cause == CutCause::Asked => rest(prose),
            End::Open => rest(prose).text(" The call ended before it was known what was said."),
            End::Words { at, text, intent } => {
                let prose = rest(prose);
                let prose = match self.cause {
                    CutCause::Voice => prose
                        .text(" At ")
                        .at(ms(*at))
                        .text(" the words were known, ")
                        .quote(text)
                        .text(
                            ": that confirmed the interruption, so the rest was dropped and the \
                               words were answered",
                        ),
                    CutCause::Words => prose.text(" ").quote(text).text(" was answered instead"),
                    CutCause::Text => prose.text(" The message was ").quote(text),
                    CutCause::Overtaken => {
                        prose.text(" ").quote(text).text(" was answered instead")
                    }
                    CutCause::Closed | CutCause::Asked => prose,
                };
                match intent {
                    Some(intent) => prose.text(", as the intent ").code(intent).text("."),
                    None if plan.has_models => prose.text("."),
                    None => prose.text("; no intent was understood in it."),
                }
            }
            End::Unclear { at } => rest(prose).text(" At ").at(ms(*at)).text(
                " it was known that something was said, but not what: the interruption stands, \
                       and the agent asked again.",
            ),
            End::Resumed { at, why } => {
                let silence = plan.config.turn.false_interruption_ms;
                let prose = match why {
                    Why::Attention(text) => prose
                        .text(" But it was only ")
                        .quote(text)
                        .text(", a sound of attention that takes no turn"),
                    Why::Wordless => prose.text(" But the recogniser made out no words in it"),
                    Why::Doubted { text, confidence } => prose
                        .text(" But it was short, and the recogniser was so unsure of ")
                        .quote(text)
                        .text(format!(
                            " (confidence {confidence:.2}, {:.2} are needed) that it counts as noise",
                            plan.confidence
                        )),
                    Why::Late => prose.text(format!(
                        " But no words of it were known {silence} ms after the voice had stopped, the \
                         configured patience"
                    )),
                };
                let prose = prose.text(": a false interruption, so at ").at(ms(*at)).text(" ");
                let prose = prose.name(&self.agent).text(" went on where it was cut");
                match self.unspoken.trim() {
                    "" => prose.text("."),
                    unspoken => prose.text(", with ").glimpse(unspoken).text("."),
                }
            }
            End::Other { at, who, typed, text, intent } => {
                let before = match self.words {
                    Some(_) => " No words of it took the turn, but at ",
                    None => " Before its words were known, at ",
                };
                let verb = if *typed { " typed " } else { " had said " };
                let prose = rest(prose).text(before).at(ms(*at)).text(", ").name(who).text(verb);
                let prose = prose.quote(text).text(", and that was answered instead");
                match intent {
                    Some(intent) => prose.text(", as the intent ").code(intent).text("."),
                    None if plan.has_models => prose.text("."),
                    None => prose.text("; no intent was understood in it."),
                }
            }
            End::Failed { at, cause, other } => {
                let prose =
                    rest(prose).text(" At ").at(ms(*at)).text(" the recogniser gave up on what ");
                let prose = match other {
                    Some(who) => prose.name(who).text(" said meanwhile"),
                    None => prose.text("was said"),
                };
                let prose = prose.text(format!(" ({cause}), so ")).name(&self.agent);
                prose.text(" apologised instead of going on.")
            }
            End::CutAgain { at } => rest(prose)
                .text(" Before the words were known, the agent was cut again at ")
                .at(ms(*at))
                .text("."),
        }
    }
}
