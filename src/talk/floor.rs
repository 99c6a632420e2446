//! The floor: who holds the turn, and when it changes hands.
//!
//! All delays are **time since the last voiced tick**, of any participant. With several participants
//! the user side is one: its turn goes on while anyone of them speaks. Each participant's words in it
//! are a message of their own, answered in the order of their first words.
//!
//! - A turn of the user ends when nobody has spoken for the *minimum* silence and the words are
//!   complete, or for the *maximum* whatever the words.
//! - Voice over the agent is at first only noticed. It is an **interruption** when it has been voiced
//!   for the barge-in time, pauses shorter than the gap not counted as its end; or when its words,
//!   once known, are more than a backchannel.
//! - An interruption without words is **false**: the agent goes on where it was cut.
//! - When neither side has been heard for long, the user is **away**.
//!
//! **Invariant:** a run of voice confirms at most one interruption.

use serde::{Deserialize, Serialize};

use crate::clock::Tick;
use crate::id::{LaneId, TurnId};

/// The delays of the floor, in ticks. See the configuration's `turn` for their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloorRules {
    /// Silence after which complete words end the turn.
    pub end_silence_min: u64,
    /// Silence after which any words end the turn.
    pub end_silence_max: u64,
    /// Voiced time that confirms an interruption; `None`: the agent is never interrupted.
    pub barge_in: Option<u64>,
    /// A longer pause than this ends a run of voice.
    pub gap: u64,
    /// Silence after an interruption without words, after which the agent goes on; `None`: never.
    pub false_interruption: Option<u64>,
    /// Silence of both sides after which the user is away; `None`: never.
    pub away: Option<u64>,
}

/// The state of the floor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Floor {
    /// The last tick in which a participant's voice was heard.
    last_voiced: Tick,
    /// The last tick in which either side was heard, typed text included.
    last_heard: Tick,
    run: Option<Run>,
    turn: Turn,
    interruption: Option<Interruption>,
    away: bool,
    turns: u32,
}

/// Voice without long pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    since: Tick,
    /// Voiced ticks over the agent's speech.
    over_agent: u64,
    confirmed: bool,
}

/// The user's turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Turn {
    /// The user has said nothing that is not answered.
    None,
    /// The user has said something.
    Open { id: TurnId, since: Tick, parts: Vec<(LaneId, String)>, complete: bool },
}

/// An interruption whose words are not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Interruption {
    at: Tick,
}

/// A turn of the user that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnEnd {
    /// Its id.
    pub id: TurnId,
    /// When its first words were known.
    pub since: Tick,
    /// What was said, by whom.
    pub parts: Vec<(LaneId, String)>,
    /// The last voiced tick of it.
    pub last_voiced: Tick,
}

impl TurnEnd {
    /// The words of the turn, all of a participant's together, in the order of their first words.
    #[must_use]
    pub fn by_lane(&self) -> Vec<(LaneId, String)> {
        by_lane(&self.parts)
    }
}

/// Parts of a turn at most: minutes of speech without a pause that ends it.
pub const PARTS_MAX: usize = 64;

fn by_lane(parts: &[(LaneId, String)]) -> Vec<(LaneId, String)> {
    let mut lanes: Vec<(LaneId, String)> = Vec::new();
    for (lane, text) in parts {
        match lanes.iter_mut().find(|(known, _)| known == lane) {
            Some((_, words)) => {
                words.push(' ');
                words.push_str(text);
            }
            None => lanes.push((*lane, text.clone())),
        }
    }
    lanes
}

/// An interruption by voice, just confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BargeIn {
    /// The first voiced tick of its run.
    pub since: Tick,
    /// Voiced ticks over the agent until it was confirmed.
    pub voiced: u64,
}

impl Default for Floor {
    fn default() -> Self {
        Self::new()
    }
}

impl Floor {
    /// A floor that nobody holds.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            last_voiced: Tick(0),
            last_heard: Tick(0),
            run: None,
            turn: Turn::None,
            interruption: None,
            away: false,
            turns: 0,
        }
    }

    /// Notes whether any participant is voiced in this tick, and whether the agent is being heard or
    /// about to be. Returns an interruption in the tick that confirms it.
    pub fn hear(
        &mut self,
        rules: &FloorRules,
        tick: Tick,
        voiced: bool,
        agent_busy: bool,
    ) -> Option<BargeIn> {
        if !voiced {
            if self.run.is_some() && tick.since(self.last_voiced) > rules.gap {
                self.run = None;
            }
            return None;
        }
        self.last_voiced = tick;
        self.last_heard = tick;
        let run = self.run.get_or_insert(Run { since: tick, over_agent: 0, confirmed: false });
        run.over_agent += u64::from(agent_busy);
        let due = rules.barge_in.is_some_and(|barge_in| run.over_agent >= barge_in);
        if !due || run.confirmed || !agent_busy {
            return None;
        }
        run.confirmed = true;
        Some(BargeIn { since: run.since, voiced: run.over_agent })
    }

    /// Notes a sign of life of the user that is no voice.
    pub fn noticed(&mut self, tick: Tick) {
        self.last_heard = self.last_heard.max(tick);
    }

    /// For how many ticks neither side was heard.
    #[must_use]
    pub const fn silence(&self, tick: Tick) -> u64 {
        tick.since(self.last_heard)
    }

    /// Notes that the agent is heard in this tick.
    pub const fn agent_heard(&mut self, tick: Tick) {
        self.last_heard = tick;
    }

    /// Notes that the agent speaks although a participant does, who has talked for too long: the run of
    /// voice that is under way interrupts nothing.
    pub const fn talked_over(&mut self) {
        if let Some(run) = &mut self.run {
            run.confirmed = true;
        }
    }

    /// Whether a participant is in the middle of speaking: an agent's next words wait.
    #[must_use]
    pub const fn user_speaks(&self) -> bool {
        self.run.is_some()
    }

    /// Notes that the agent was cut and its interruption has no words yet.
    pub const fn interrupted(&mut self, at: Tick) {
        self.interruption = Some(Interruption { at });
    }

    /// Whether there was an interruption whose words are still unknown.
    #[must_use]
    pub const fn awaits_words(&self) -> bool {
        self.interruption.is_some()
    }

    /// The interruption is decided: it had words, or it was false.
    pub const fn decided(&mut self) {
        self.interruption = None;
    }

    /// Whether an interruption has gone without words for so long that it was false.
    #[must_use]
    pub fn was_false(&self, rules: &FloorRules, tick: Tick) -> bool {
        let Some(Interruption { at }) = self.interruption else { return false };
        let since = tick.since(self.last_voiced.max(at));
        rules.false_interruption.is_some_and(|patience| since >= patience)
    }

    /// Adds words to the user's turn. `complete` judges all the words of one participant so far; the
    /// turn is complete when those of each are. Beyond 64 parts the oldest are dropped.
    pub fn words(
        &mut self,
        tick: Tick,
        lane: LaneId,
        text: String,
        complete: impl Fn(&str) -> bool,
    ) {
        self.last_heard = self.last_heard.max(tick);
        if matches!(self.turn, Turn::None) {
            let id = TurnId(self.turns);
            self.turns += 1;
            self.turn = Turn::Open { id, since: tick, parts: Vec::new(), complete: false };
        }
        let Turn::Open { parts, complete: known, .. } = &mut self.turn else { return };
        if parts.len() == PARTS_MAX {
            parts.remove(0);
        }
        parts.push((lane, text));
        *known = by_lane(parts).iter().all(|(_, text)| complete(text));
    }

    /// Notes that a participant has spoken, whose words nobody tells in time: its turn is complete as it is.
    pub fn spoke(&mut self, tick: Tick, lane: LaneId) {
        self.words(tick, lane, String::new(), |_| true);
    }

    /// A turn of a participant's that somebody else has found to be over: what was said in it is known to that one.
    pub const fn new_turn(&mut self) -> TurnId {
        let id = TurnId(self.turns);
        self.turns += 1;
        id
    }

    /// The same, as a turn that has ended.
    pub fn ended_elsewhere(&mut self, tick: Tick, lane: LaneId) -> TurnEnd {
        self.last_heard = self.last_heard.max(tick);
        let parts = vec![(lane, String::new())];
        TurnEnd { id: self.new_turn(), since: tick, parts, last_voiced: self.last_voiced }
    }

    /// Ends the turn if it is over. `listening` says that an utterance is open, or that its words
    /// are still awaited.
    pub fn end_turn(&mut self, rules: &FloorRules, tick: Tick, listening: bool) -> Option<TurnEnd> {
        let Turn::Open { complete, .. } = &self.turn else { return None };
        let silence = tick.since(self.last_voiced);
        let enough = if *complete { rules.end_silence_min } else { rules.end_silence_max };
        if listening || silence < enough {
            return None;
        }
        self.take_turn()
    }

    /// Ends the turn now, whatever the silence: typed text is complete when it arrives.
    pub fn take_turn(&mut self) -> Option<TurnEnd> {
        match std::mem::replace(&mut self.turn, Turn::None) {
            Turn::None => None,
            Turn::Open { id, since, parts, .. } => {
                Some(TurnEnd { id, since, parts, last_voiced: self.last_voiced })
            }
        }
    }

    /// Parts of the user's turn that are not answered yet.
    #[must_use]
    pub fn parts(&self) -> usize {
        match &self.turn {
            Turn::None => 0,
            Turn::Open { parts, .. } => parts.len(),
        }
    }

    /// What was said in the turn so far, by whom.
    #[must_use]
    pub fn said(&self) -> Vec<(LaneId, String)> {
        match &self.turn {
            Turn::None => Vec::new(),
            Turn::Open { parts, .. } => by_lane(parts),
        }
    }

    /// Whether the user became present or away in this tick.
    pub fn presence(&mut self, rules: &FloorRules, tick: Tick) -> Option<Presence> {
        let quiet = self.silence(tick);
        let away = rules.away.is_some_and(|patience| quiet >= patience);
        match (self.away, away) {
            (false, true) => {
                self.away = true;
                Some(Presence::Away)
            }
            _ => None,
        }
    }

    /// Notes that the user did something: spoke or typed.
    pub fn user_active(&mut self) -> Option<Presence> {
        std::mem::take(&mut self.away).then_some(Presence::Returned)
    }

    /// The last tick in which a participant was voiced.
    #[must_use]
    pub const fn last_voiced(&self) -> Tick {
        self.last_voiced
    }
}

/// A change of the user's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Neither side has been heard for the away time.
    Away,
    /// The user is heard again.
    Returned,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks of 20 ms: 500 ms and 1.5 s of silence, a barge-in of 300 ms, gaps of 100 ms.
    fn rules() -> FloorRules {
        FloorRules {
            end_silence_min: 25,
            end_silence_max: 75,
            barge_in: Some(15),
            gap: 5,
            false_interruption: Some(100),
            away: Some(250),
        }
    }

    /// Plays a line of ticks, `#` voiced and `.` not, over a busy agent; the ticks that confirmed.
    fn barge_ins(line: &str) -> Vec<u64> {
        let (mut floor, rules) = (Floor::new(), rules());
        let voiced = line.bytes().map(|b| b == b'#').enumerate();
        voiced
            .filter_map(|(n, voiced)| {
                floor.hear(&rules, Tick(n as u64), voiced, true).map(|_| n as u64)
            })
            .collect()
    }

    #[test]
    fn barge_in_is_confirmed_by_voiced_time() {
        assert_eq!(barge_ins(&"#".repeat(14)), [0_u64; 0]);
        assert_eq!(barge_ins(&"#".repeat(40)), [14], "300 ms are 15 voiced ticks, once a run");
        assert_eq!(barge_ins(&format!("{}.....{}", "#".repeat(10), "#".repeat(5))), [19]);
        assert_eq!(
            barge_ins(&format!("{}......{}", "#".repeat(14), "#".repeat(14))),
            [0_u64; 0],
            "two runs"
        );
    }

    #[test]
    fn complete_words_end_the_turn_at_the_minimum_others_at_the_maximum() {
        for (complete, expected) in [(true, 25), (false, 75)] {
            let (mut floor, rules) = (Floor::new(), rules());
            floor.hear(&rules, Tick(0), true, false);
            floor.words(Tick(10), LaneId(0), "hello".into(), |_| complete);
            let ended = (0..200).find(|&n| floor.end_turn(&rules, Tick(n), false).is_some());
            assert_eq!(ended, Some(expected));
        }
    }

    #[test]
    fn a_turn_waits_for_words_and_joins_them() {
        let (mut floor, rules) = (Floor::new(), rules());
        floor.words(Tick(1), LaneId(0), "where is".into(), |_| false);
        assert_eq!(floor.end_turn(&rules, Tick(500), true), None, "an utterance is open");
        floor.words(Tick(501), LaneId(0), "my order".into(), |all| all == "where is my order");
        let turn = floor.end_turn(&rules, Tick(501), false).unwrap();
        assert_eq!(turn.by_lane(), [(LaneId(0), "where is my order".to_owned())]);
    }

    #[test]
    fn two_who_speak_at_once_are_two_messages_of_one_turn() {
        let mut floor = Floor::new();
        for (lane, text) in [(1, "a"), (0, "b"), (1, "c")] {
            floor.words(Tick(1), LaneId(lane), text.into(), |_| true);
        }
        let turn = floor.take_turn().unwrap();
        assert_eq!(turn.by_lane(), [(LaneId(1), "a c".to_owned()), (LaneId(0), "b".to_owned())]);
    }

    #[test]
    fn away_and_back() {
        let (mut floor, rules) = (Floor::new(), rules());
        floor.agent_heard(Tick(100));
        let away = (0..600).find(|&n| floor.presence(&rules, Tick(n)) == Some(Presence::Away));
        assert_eq!(away, Some(350));
        assert_eq!(floor.user_active(), Some(Presence::Returned));
        assert_eq!(floor.user_active(), None);
    }
}
