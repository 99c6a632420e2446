//! Voices over the agent that did not interrupt it, and why not.

use super::kept::Kept;
use super::prose::Prose;
use super::stage::{Stage, Utterance, Words};
use crate::clock::Tick;
use crate::id::{LaneId, UtteranceId};
use crate::session::event::CutCause;
use crate::session::plan::Plan;

/// Overlaps that are told one by one.
const OVERLAPS_MAX: usize = 2_000;

/// Overlaps that are not decided; a lane has eight utterances under way at most.
const OPEN_MAX: usize = 64;

/// Somebody was heard over the agent, and the agent was not cut for it.
#[derive(Debug, Clone)]
pub(super) struct Overlap {
    lane: LaneId,
    utterance: UtteranceId,
    pub(super) since: Tick,
    /// When it was over, and how long it was voiced.
    pub(super) stopped: Option<(Tick, u64)>,
    pub(super) who: String,
    pub(super) agent: String,
    /// What the agent was saying.
    saying: String,
    end: End,
}

/// Why it did not interrupt.
#[derive(Debug, Clone, PartialEq)]
enum End {
    /// It is not known yet.
    Open,
    /// A sound of attention.
    Attention(String),
    /// No words.
    Wordless,
    /// Words that were not believed.
    Doubted { text: String, confidence: f32 },
    /// Words that came when the agent was done.
    Late(String),
    /// The recogniser failed on it.
    Failed(String),
}

/// The overlaps so far.
#[derive(Debug, Clone)]
pub(super) struct Overlaps {
    pub(super) list: Kept<Overlap>,
    open: Vec<Overlap>,
}

impl Overlaps {
    pub(super) const fn new() -> Self {
        Self { list: Kept::new(OVERLAPS_MAX), open: Vec::new() }
    }

    /// Somebody begins to speak over the agent.
    pub(super) fn began(&mut self, now: Tick, lane: LaneId, utterance: UtteranceId, stage: &Stage) {
        if self.open.len() == OPEN_MAX {
            let oldest = self.open.remove(0);
            self.list.push(oldest);
        }
        let said = stage.being_said();
        self.open.push(Overlap {
            lane,
            utterance,
            since: now,
            stopped: None,
            who: stage.name(lane),
            agent: said.map_or_else(|| stage.agent.clone(), |item| item.agent.clone()),
            saying: said.map(|item| item.text.clone()).unwrap_or_default(),
            end: End::Open,
        });
    }

    /// The agent is cut: what did it is no overlap but an interruption.
    pub(super) fn cut(&mut self, cause: CutCause, stage: &Stage) {
        match cause {
            CutCause::Voice => self.open.retain(|open| {
                !stage.speaking().any(|known| known.lane == open.lane && known.id == open.utterance)
            }),
            // Its words have just come, and have decided it.
            CutCause::Words => {
                if let Some(words) = &stage.words {
                    self.open.retain(|open| open.lane != words.lane || open.end == End::Open);
                }
            }
            CutCause::Text | CutCause::Overtaken | CutCause::Closed | CutCause::Asked => {}
        }
    }

    /// The last words of an utterance are known.
    pub(super) fn words(&mut self, known: &Utterance, words: &Words, confidence_min: f32) {
        let Words { text, confidence, .. } = words;
        let (text, confidence) = (text.clone(), *confidence);
        let end = match text.trim() {
            "" => End::Wordless,
            _ if confidence < confidence_min => End::Doubted { text, confidence },
            _ => End::Late(text),
        };
        self.decide(known, end);
    }

    /// What was known last was a sound of attention.
    pub(super) fn attention(&mut self, lane: LaneId, text: &str) {
        let last = self.open.iter_mut().rfind(|open| open.lane == lane && open.end != End::Open);
        if let Some(last) = last {
            last.end = End::Attention(text.to_owned());
        }
    }

    pub(super) fn failed(&mut self, known: &Utterance, cause: &str) {
        self.decide(known, End::Failed(cause.to_owned()));
    }

    fn decide(&mut self, known: &Utterance, end: End) {
        let is_it = |open: &&mut Overlap| open.lane == known.lane && open.utterance == known.id;
        if let Some(open) = self.open.iter_mut().find(is_it) {
            open.stopped = known.stopped;
            open.end = end;
        }
    }

    /// A tick is over: what was decided in it is not decided otherwise any more.
    pub(super) fn settle(&mut self) {
        while let Some(at) = self.open.iter().position(|open| open.end != End::Open) {
            let decided = self.open.remove(at);
            self.list.push(decided);
        }
    }

    /// The call is over.
    pub(super) fn finish(&mut self) {
        for open in self.open.drain(..) {
            self.list.push(open);
        }
    }
}

impl Overlap {
    /// What it was, in a word or two.
    pub(super) const fn badge(&self) -> &'static str {
        match self.end {
            End::Open => "undecided",
            End::Attention(_) => "sound of attention",
            End::Wordless | End::Doubted { .. } => "noise",
            End::Late(_) => "agent had finished",
            End::Failed(_) => "recogniser failed",
        }
    }

    /// Why it did not interrupt, for who has never seen the configuration.
    pub(super) fn told(&self, plan: &Plan) -> Prose {
        let turn = &plan.config.turn;
        let mut prose = Prose::new().text("At ").at(plan.len.start_ms(self.since)).text(" ");
        prose = match &self.end {
            End::Attention(text) => prose.name(&self.who).text(" said ").quote(text),
            End::Late(text) => prose.name(&self.who).text(" began to say ").quote(text),
            End::Open | End::Wordless | End::Doubted { .. } | End::Failed(_) => {
                prose.text("something was heard from ").name(&self.who)
            }
        };
        prose = prose.text(" while ").name(&self.agent).text(" was saying ").glimpse(&self.saying);
        prose = match self.stopped {
            Some((_, voiced_ms)) => prose.text(format!(", for {voiced_ms} ms of voice. ")),
            None => prose.text(". "),
        };
        let short = self.stopped.is_some_and(|(_, ms)| ms < u64::from(turn.barge_in_ms));
        let short = match (turn.barge_in, short) {
            (false, _) => "This configuration lets nobody interrupt the agent. ".to_owned(),
            (true, true) => {
                format!("That is less than the {} ms that interrupt by voice. ", turn.barge_in_ms)
            }
            (true, false) => String::new(),
        };
        prose = prose.text(short);
        match &self.end {
            End::Open => prose.text("What it was did not become known."),
            End::Attention(_) => prose
                .text("It only shows attention and does not take the turn, so ")
                .name(&self.agent)
                .text(" was not interrupted."),
            End::Wordless => prose
                .text(
                    "The recogniser made out no words in it, so it counts as noise (a cough, a \
                       door), and ",
                )
                .name(&self.agent)
                .text(" was not interrupted."),
            End::Doubted { text, confidence } => {
                prose.text("The recogniser guessed ").quote(text).text(format!(
                    " but was too unsure (confidence {confidence:.2}, {:.2} are needed), so it did \
                     not interrupt.",
                    plan.confidence
                ))
            }
            End::Late(_) if !turn.barge_in => {
                prose.text("It was answered as a turn once the agent had finished.")
            }
            End::Late(_) => prose.text(
                "When its words were known the agent was no longer speaking, so there was \
                       nothing to interrupt; they were answered as a turn.",
            ),
            End::Failed(cause) => prose
                .text(format!("The recogniser failed on it ({cause}), so it did not interrupt.")),
        }
    }
}
