//! The one who sits at this machine, as a participant: types, interrupts, mutes, and leaves.
//!
//! What a terminal's keys want comes as a [`Wish`], at once. Lines of a file or a pipe come one at a time: each when the
//! agent is done with the one before, so that a whole conversation can be piped in.
//!
//! **Invariant:** nothing here makes a tick wait; what is typed is a turn in the order in which it was typed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::clock::{Tick, TickLen};
use crate::id::LaneId;
use crate::session::input::{Inbound, Input, TrackChange};
use crate::session::output::Output;
use crate::sim::errands::Errands;
use crate::slot::Edge;

/// The lane of who sits here.
pub(super) const LANE: LaneId = LaneId(0);

/// Wishes on their way to the session at most: keys of a second or two.
const WISHES_WAITING: usize = 64;

/// So long the agent has had nothing to do before the next line is said: hand-overs and outcomes of tools follow each
/// other within a tick or two.
const SETTLED_MS: u32 = 200;

/// So long the agent is waited for at most: a model may be asked for half a minute, and once more.
const PATIENCE_MS: u32 = 90_000;

/// What somebody at the keyboard wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// This is said.
    Type(String),
    /// The agent is to stop.
    Interrupt,
    /// The microphone is silent from now on, or no longer.
    Mute(bool),
    /// The call ends, once the agent has said its goodbye.
    Close,
    /// The call ends now.
    HangUp,
}

/// Where wishes are told.
#[derive(Debug, Clone)]
pub(super) struct Wishes {
    tell: Sender<Wish>,
    /// How often the end was asked for.
    quits: Arc<AtomicU8>,
}

/// What comes of asking for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quit {
    /// The agent says its goodbye.
    Goodbye,
    /// The call is hung up.
    HangUp,
    /// Both were asked for already.
    Again,
}

impl Wishes {
    /// Tells a wish; false if too many wait.
    pub(super) fn tell(&self, wish: Wish) -> bool {
        self.tell.try_send(wish).is_ok()
    }

    /// Asks for the end: in good order at first, then at once.
    pub(super) fn quit(&self) -> Quit {
        match self.quits.fetch_add(1, Ordering::Relaxed) {
            0 => {
                self.tell(Wish::Close);
                Quit::Goodbye
            }
            1 => {
                self.tell(Wish::HangUp);
                Quit::HangUp
            }
            many => {
                // It never wraps around to a goodbye.
                self.quits.store(many, Ordering::Relaxed);
                Quit::Again
            }
        }
    }
}

/// Lines that are said one after the other.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) lines: Receiver<String>,
    /// Each waits until the agent is done with the one before.
    pub(super) in_turn: bool,
    /// The end of them is the end of the call.
    pub(super) end_call: bool,
}

/// The participant.
#[derive(Debug)]
pub(super) struct Desk {
    name: String,
    len: TickLen,
    wishes: Receiver<Wish>,
    lines: Option<Lines>,
    joined: bool,
    gone: bool,
    errands: Errands,
    /// When something was said last.
    said: Tick,
}

impl Desk {
    /// Who sits here, by this name, and where to tell what it wants.
    pub(super) fn new(name: String, len: TickLen) -> (Self, Wishes) {
        let (tell, wishes) = bounded(WISHES_WAITING);
        let desk = Self {
            name,
            len,
            wishes,
            lines: None,
            joined: false,
            gone: false,
            errands: Errands::default(),
            said: Tick(0),
        };
        (desk, Wishes { tell, quits: Arc::default() })
    }

    /// Says these lines as well.
    pub(super) fn reads(mut self, lines: Lines) -> Self {
        self.lines = Some(lines);
        self
    }

    fn type_text(&mut self, now: Tick, text: String, input: &mut Input) {
        if !text.trim().is_empty() {
            self.errands.expect_turn();
            self.said = now;
            input.inbound.push(Inbound::UserText { lane: LANE, text });
        }
    }

    /// Whether the agent has nothing to do any more, or is not waited for any longer.
    fn is_answered(&self, now: Tick) -> bool {
        let late = now.since(self.said) >= self.len.ticks(PATIENCE_MS);
        let free = self.errands.free_since();
        let settled = |since: Tick| now.since(since) >= self.len.ticks(SETTLED_MS);
        late || free.is_some_and(settled)
    }

    fn read(&mut self, now: Tick, input: &mut Input) {
        loop {
            let answered = self.is_answered(now);
            let Some(Lines { lines, in_turn, end_call }) = &self.lines else { return };
            if *in_turn && !answered {
                return;
            }
            match lines.try_recv() {
                Ok(text) => self.type_text(now, text, input),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) if !end_call => {
                    self.lines = None;
                    return;
                }
                Err(TryRecvError::Disconnected) => {
                    if answered {
                        self.lines = None;
                        self.leave(input);
                    }
                    return;
                }
            }
        }
    }

    fn leave(&mut self, input: &mut Input) {
        self.gone = true;
        input.inbound.push(Inbound::Left { lane: LANE });
        input.inbound.push(Inbound::HangUp { reason: format!("{} hung up", self.name) });
    }
}

impl Edge for Desk {
    fn give(&mut self, now: Tick, input: &mut Input) {
        if self.gone {
            return;
        }
        if !self.joined {
            self.joined = true;
            input.inbound.push(Inbound::Joined { lane: LANE, name: self.name.clone() });
        }
        while let Ok(wish) = self.wishes.try_recv() {
            match wish {
                Wish::Type(text) => self.type_text(now, text, input),
                Wish::Interrupt => input.inbound.push(Inbound::Interrupt { lane: LANE }),
                Wish::Mute(muted) => {
                    let change = if muted { TrackChange::Muted } else { TrackChange::Unmuted };
                    input.inbound.push(Inbound::Track { lane: LANE, change });
                }
                Wish::Close => {
                    let reason = format!("{} ended the call", self.name);
                    input.inbound.push(Inbound::Close { reason });
                }
                Wish::HangUp => return self.leave(input),
            }
        }
        self.read(now, input);
    }

    fn take(&mut self, now: Tick, out: &Output) {
        self.errands.take(now, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TurnId;
    use crate::session::event::{Event, EventKind};
    use crate::session::output::AgentState;

    fn given(desk: &mut Desk, now: u64) -> Vec<Inbound> {
        let mut input = Input::default();
        desk.give(Tick(now), &mut input);
        input.inbound
    }

    fn text(text: &str) -> Inbound {
        Inbound::UserText { lane: LANE, text: text.into() }
    }

    /// The agent has taken the turn, and is done or not.
    fn took(desk: &mut Desk, now: u64, agent_state: AgentState) {
        let kind = EventKind::UserMessage {
            turn: TurnId(0),
            lane: LANE,
            text: "a".into(),
            intent: None,
            typed: true,
            last_voiced: Tick(now),
        };
        let events = vec![Event { seq: 0, tick: Tick(now), kind }];
        let mut out = Output::default();
        (out.events, out.agent_state) = (events, agent_state);
        desk.take(Tick(now), &out);
    }

    fn desk() -> (Desk, Wishes) {
        Desk::new("ann".into(), TickLen::from_ms(20).unwrap())
    }

    #[test]
    fn keys_are_told_in_the_order_in_which_they_are_pressed() {
        let (mut desk, wishes) = desk();
        for wish in [Wish::Type("hello".into()), Wish::Interrupt, Wish::Mute(true)] {
            assert!(wishes.tell(wish));
        }
        let joined = Inbound::Joined { lane: LANE, name: "ann".into() };
        let muted = Inbound::Track { lane: LANE, change: TrackChange::Muted };
        let all = [joined, text("hello"), Inbound::Interrupt { lane: LANE }, muted];
        assert_eq!(given(&mut desk, 0), all);
        assert_eq!(given(&mut desk, 1), []);
    }

    #[test]
    fn who_quits_twice_waits_for_no_goodbye() {
        let (mut desk, wishes) = desk();
        given(&mut desk, 0);
        assert_eq!(wishes.quit(), Quit::Goodbye);
        let close = Inbound::Close { reason: "ann ended the call".into() };
        assert_eq!(given(&mut desk, 1), [close]);
        assert_eq!((wishes.quit(), wishes.quit()), (Quit::HangUp, Quit::Again));
        let left = Inbound::Left { lane: LANE };
        assert_eq!(given(&mut desk, 2), [left, Inbound::HangUp { reason: "ann hung up".into() }]);
        assert_eq!(given(&mut desk, 3), []);
    }

    #[test]
    fn lines_wait_for_the_answer_to_the_one_before_and_their_end_is_the_end() {
        let (desk, _wishes) = desk();
        let (tell, lines) = bounded(8);
        let mut desk = desk.reads(Lines { lines, in_turn: true, end_call: true });
        for line in ["one", "  ", "two"] {
            tell.send(line.to_owned()).unwrap();
        }
        drop(tell);
        assert_eq!(given(&mut desk, 0).len(), 1, "the agent may have a greeting");
        assert_eq!(given(&mut desk, 10), [text("one")]);
        assert_eq!(given(&mut desk, 60), [], "nobody has taken the turn");
        took(&mut desk, 61, AgentState::Thinking);
        assert_eq!(given(&mut desk, 90), [], "the agent is at work");
        took(&mut desk, 91, AgentState::Listening);
        assert_eq!(given(&mut desk, 95), [], "it may go on yet");
        assert_eq!(given(&mut desk, 102), [text("two")]);
        took(&mut desk, 103, AgentState::Listening);
        assert_eq!(given(&mut desk, 120).len(), 2, "gone");
    }

    #[test]
    fn an_agent_that_never_answers_is_not_waited_for_forever() {
        let (desk, _wishes) = desk();
        let (tell, lines) = bounded(8);
        let mut desk = desk.reads(Lines { lines, in_turn: true, end_call: false });
        tell.send("one".to_owned()).unwrap();
        tell.send("two".to_owned()).unwrap();
        given(&mut desk, 10);
        assert_eq!(given(&mut desk, 4_000), []);
        assert_eq!(given(&mut desk, 4_510), [text("two")]);
        drop(tell);
        assert_eq!(given(&mut desk, 9_100), [], "somebody may still speak");
    }
}
