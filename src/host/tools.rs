//! The hands of live sessions.
//!
//! A tool that the room carries out goes to the room, where there is one, through a queue of its own; the
//! room answers as a worker does.
//!
//! An inline tool runs on the thread of the tick, and is timed: longer than its budget is an overrun,
//! counted by name. Every other call goes to one of the [`Workers`], and its outcome comes back at a later tick.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::ink::Mark;
use super::pace::{Clock, pause};
use super::workers::{Place, Written};
pub use super::workers::{WORKERS, Workers};
use crate::clock::Tick;
use crate::graph::verb;
use crate::id::{CallId, LaneId};
use crate::session::input::{Inbound, Input};
use crate::session::output::{Output, RPC_PAYLOAD_MAX, RpcError};
use crate::slot::Edge;
use crate::tool::{
    Called, DEPTH_MAX, FailureKind, Hands, Json, Outcome, Registry, RoomTool, Run, ToolCall,
    ToolContext, is_deeper,
};

/// Outcomes that wait for a session's tick at most.
const OUTCOMES_WAITING: usize = 64;

/// An inline call that took longer than its budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrun {
    /// The tool.
    pub tool: String,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// How long it may take, in microseconds.
    pub budget_us: u64,
}

/// What a call asks of the room.
#[derive(Debug)]
pub struct RoomCall {
    /// The call.
    pub call: CallId,
    /// The participant whose turn or request the call answers, if it answers one's.
    pub lane: Option<LaneId>,
    /// What is to be done.
    pub what: RoomAct,
    /// Where the outcome of a [`RoomAct::Rpc`] goes, if it comes in time; data has none, since it is
    /// done when it is here. See [`finish`](Self::finish).
    pub reply: Sender<(CallId, Outcome)>,
}

/// Something that a room does for a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomAct {
    /// Calls a method of a participant.
    Rpc {
        /// The method.
        method: String,
        /// The participant's identity; none: that of the call's lane.
        to: Option<String>,
        /// The arguments as JSON, at most [`RPC_PAYLOAD_MAX`] bytes.
        payload: String,
        /// How long the session waits for the outcome, in milliseconds.
        timeout_ms: u32,
    },
    /// Sends data.
    Data {
        /// What it is about.
        topic: String,
        /// Whether it is sent until it has arrived.
        reliable: bool,
        /// The identity of the only one who receives it; none: everybody does.
        to: Option<String>,
        /// The arguments as JSON, at most [`RPC_PAYLOAD_MAX`] bytes.
        payload: String,
    },
    /// Passes the call on.
    Transfer {
        /// `tel:` and a number, `sip:` and an address, or a participant's identity.
        to: String,
        /// Whether the agent stays.
        warm: bool,
        /// How long the session waits for the outcome, in milliseconds.
        timeout_ms: u32,
    },
    /// Presses keys of the telephone at the other end.
    Digits(String),
}

impl RoomCall {
    /// Gives back what came of a [`RoomAct::Rpc`]: the answer as JSON where it is JSON, and as text
    /// otherwise. Waits for nothing: an outcome that finds no room in the session's queue is lost, and
    /// the call times out.
    pub fn finish(self, answer: Result<String, RpcError>) {
        let outcome = match answer {
            Ok(text) => Outcome::Done(Json(match serde_json::from_str(&text) {
                Ok(value) if !is_deeper(&value, DEPTH_MAX) => value,
                Ok(_) | Err(_) => text.into(),
            })),
            Err(error) => {
                let timed_out = error.code == RpcError::TIMED_OUT;
                let kind = if timed_out { FailureKind::TimedOut } else { FailureKind::Failed };
                Outcome::failed(kind, error.to_string())
            }
        };
        drop(self.reply.try_send((self.call, outcome)));
    }
}

/// The hands of one live session.
#[derive(Debug)]
pub struct LiveTools {
    workers: Workers,
    tools: Registry,
    generation: u64,
    session: String,
    clock: Clock,
    reply: Sender<(CallId, Outcome)>,
    outcomes: Receiver<(CallId, Outcome)>,
    overruns: Sender<Overrun>,
    under_way: Vec<(CallId, Place)>,
    room: Option<Sender<RoomCall>>,
    journal: Option<Mark>,
    /// The tick under way.
    now: Tick,
}

impl LiveTools {
    /// Hands for a session of this name; overruns are reported to `overruns`, and dropped where it
    /// is full.
    #[must_use]
    pub fn new(workers: Workers, session: String, overruns: Sender<Overrun>) -> Self {
        let (reply, outcomes) = bounded(OUTCOMES_WAITING);
        let mut generation = u64::MAX;
        let tools = workers.renewed(&mut generation).unwrap_or_else(|| workers.tools());
        let (clock, under_way, room) = (Clock::default(), Vec::new(), None);
        Self {
            workers,
            tools,
            generation,
            session,
            clock,
            reply,
            outcomes,
            overruns,
            under_way,
            room,
            journal: None,
            now: Tick(0),
        }
    }

    /// The same hands for a session with which others may go on: a call of a tool that is not idempotent is not made
    /// before the journal has it.
    #[must_use]
    pub fn with_journal(self, journal: Option<Mark>) -> Self {
        Self { journal, ..self }
    }

    /// The same hands in a room, which takes the calls that are its to carry out. The queue is bounded:
    /// where it is full, a call fails at once and says so.
    #[must_use]
    pub fn with_room(mut self, room: Sender<RoomCall>) -> Self {
        self.room = Some(room);
        self
    }

    /// Hands a call to the room.
    fn in_room(
        &self,
        room: &Sender<RoomCall>,
        tool: &RoomTool,
        timeout_ms: u32,
        call: &ToolCall,
    ) -> Called {
        let failed = |kind, message: String| Called::Done(Outcome::failed(kind, message));
        if let Err(outcome) = self.tools.check(call) {
            return Called::Done(outcome);
        }
        let payload = call.arguments.0.to_string();
        if payload.len() > RPC_PAYLOAD_MAX {
            let message = format!(
                "the arguments of `{}` are {} bytes, more than the {RPC_PAYLOAD_MAX} that a room takes",
                call.name,
                payload.len()
            );
            return failed(FailureKind::InvalidArguments, message);
        }
        let (what, called) = match tool.clone() {
            RoomTool::Rpc(rpc) if rpc.to.is_none() && call.lane.is_none() => {
                let message =
                    format!("`{}` is called for nobody's turn; name a participant", call.name);
                return failed(FailureKind::Failed, message);
            }
            RoomTool::Rpc(rpc) => {
                let (method, to) = (rpc.method, rpc.to);
                (RoomAct::Rpc { method, to, payload, timeout_ms }, Called::Submitted)
            }
            RoomTool::Transfer => match verb::transfer(&call.arguments.0) {
                Ok(transfer) => {
                    let warm = transfer.is_warm();
                    (RoomAct::Transfer { to: transfer.to, warm, timeout_ms }, Called::Submitted)
                }
                Err(outcome) => return Called::Done(outcome),
            },
            RoomTool::Digits => match verb::digits(&call.arguments.0) {
                Ok(digits) => (RoomAct::Digits(digits.digits), Called::Submitted),
                Err(outcome) => return Called::Done(outcome),
            },
            RoomTool::Data(data) => {
                let (topic, reliable, to) = (data.topic, data.reliable, data.to);
                let sent = Called::Done(Outcome::Done(Json::default()));
                (RoomAct::Data { topic, reliable, to, payload }, sent)
            }
        };
        let reply = self.reply.clone();
        match room.try_send(RoomCall { call: call.id, lane: call.lane, what, reply }) {
            Ok(()) => called,
            Err(TrySendError::Full(_)) => {
                failed(FailureKind::NoWorker, format!("the room is too busy for `{}`", call.name))
            }
            Err(TrySendError::Disconnected(_)) => {
                failed(FailureKind::Failed, "the room has been left".to_owned())
            }
        }
    }

    fn inline(&self, context: &ToolContext, call: &ToolCall, budget_ms: u32) -> Outcome {
        let begun = self.clock.now();
        let outcome = self.tools.execute(context, call);
        let took_us = self.clock.now().since_ns(begun) / 1_000;
        let budget_us = u64::from(budget_ms) * 1_000;
        if took_us > budget_us {
            let overrun = Overrun { tool: call.name.clone(), took_us, budget_us };
            drop(self.overruns.try_send(overrun));
        }
        outcome
    }
}

impl Edge for LiveTools {
    fn give(&mut self, now: Tick, input: &mut Input) {
        self.now = now;
        if let Some(tools) = self.workers.renewed(&mut self.generation) {
            self.tools = tools;
        }
        let outcomes = self.outcomes.try_iter();
        input.inbound.extend(outcomes.map(|(call, outcome)| Inbound::ToolResult { call, outcome }));
    }

    fn take(&mut self, _now: Tick, out: &Output) {
        let timed_out = |outcome: &Outcome| matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::TimedOut);
        for result in &out.results {
            let Some(at) = self.under_way.iter().position(|(call, _)| *call == result.id) else {
                continue;
            };
            let (_, place) = self.under_way.swap_remove(at);
            if timed_out(&result.outcome) {
                self.workers.give_up(&place);
            }
        }
    }
}

impl Hands for LiveTools {
    fn call(&mut self, call: &ToolCall) -> Called {
        let context = ToolContext {
            session: self.session.clone(),
            call: call.id.to_string(),
            occurrence: call.occurrence,
            pause,
        };
        let spec = self.tools.spec(&call.name);
        if let (Some(room), Some((tool, timeout_ms))) =
            (&self.room, spec.and_then(|spec| Some((spec.room.as_ref()?, spec.timeout_ms))))
        {
            return self.in_room(room, tool, timeout_ms, call);
        }
        match spec {
            None => Called::Done(self.tools.execute(&context, call)),
            Some(spec) if spec.run == Run::Inline => {
                let budget_ms = spec.budget_ms;
                Called::Done(self.inline(&context, call, budget_ms))
            }
            Some(spec) => {
                let (id, reply) = (call.id, self.reply.clone());
                let mark = self.journal.clone().filter(|_| !spec.idempotent);
                let written = mark.map(|mark| Written { mark, tick: self.now });
                let made = (context, call.clone());
                match self.workers.submit(self.tools.clone(), made, reply, written) {
                    Some(place) => {
                        self.under_way.push((id, place));
                        Called::Submitted
                    }
                    None => Called::Done(Outcome::failed(
                        FailureKind::NoWorker,
                        format!("no worker is free for `{}`", call.name),
                    )),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config;
    use crate::session::plan::{Plan, tool_spec};

    /// Hands with a method, data for all, and nothing else; and the room's end of the queue.
    fn hands(calls: usize) -> (LiveTools, Receiver<RoomCall>) {
        let yaml = "
name: a
agents: { a: {} }
tools:
  show: { rpc: { method: show }, timeout_ms: 700 }
  note: { data: { topic: notes, reliable: false } }
";
        let plan = Plan::new(config::parse(yaml.as_bytes(), "a.yaml").unwrap()).unwrap();
        let mut tools = Registry::default();
        for (name, tool) in &plan.config.tools {
            tools.add(tool_spec(name, tool), tool.room().unwrap()).unwrap();
        }
        let (to_room, room) = bounded(calls);
        let hands = LiveTools::new(Workers::start(tools, 1), "test".to_owned(), bounded(1).0);
        (hands.with_room(to_room), room)
    }

    fn call(id: u32, name: &str, lane: Option<u16>) -> ToolCall {
        let arguments = Json(json!({ "page": 3 }));
        ToolCall {
            id: CallId(id),
            name: name.to_owned(),
            arguments,
            occurrence: 0,
            lane: lane.map(LaneId),
        }
    }

    fn given(hands: &mut LiveTools) -> Vec<Inbound> {
        let mut input = Input::default();
        hands.give(Tick(0), &mut input);
        input.inbound
    }

    fn failure(called: Called) -> (FailureKind, String) {
        match called {
            Called::Done(Outcome::Failed(failure)) => (failure.kind, failure.message),
            other => panic!("expected a failure, got {other:?}"),
        }
    }

    #[test]
    fn a_method_of_a_participant_answers_as_a_worker_does() {
        let (mut hands, room) = hands(4);
        let answers = [
            (Ok("{\"seen\": true}"), Outcome::Done(Json(json!({ "seen": true })))),
            (Ok("no JSON"), Outcome::Done(Json(json!("no JSON")))),
            (
                Err(RpcError::new(RpcError::TIMED_OUT, "late")),
                Outcome::failed(FailureKind::TimedOut, "late (1502)"),
            ),
            (
                Err(RpcError::new(RpcError::APPLICATION, "no")),
                Outcome::failed(FailureKind::Failed, "no (1500)"),
            ),
        ];
        for (id, (answer, outcome)) in (0..).zip(answers) {
            assert_eq!(hands.call(&call(id, "show", Some(2))), Called::Submitted);
            let asked = room.try_recv().unwrap();
            assert_eq!((asked.call, asked.lane), (CallId(id), Some(LaneId(2))));
            let (method, payload) = ("show".to_owned(), "{\"page\":3}".to_owned());
            let what = RoomAct::Rpc { method, to: None, payload, timeout_ms: 700 };
            assert_eq!(asked.what, what);
            asked.finish(answer.map(str::to_owned));
            assert_eq!(given(&mut hands), [Inbound::ToolResult { call: CallId(id), outcome }]);
        }
    }

    #[test]
    fn data_is_done_when_it_is_sent() {
        let (mut hands, room) = hands(4);
        let done = Called::Done(Outcome::Done(Json::default()));
        assert_eq!(hands.call(&call(0, "note", None)), done);
        let (topic, payload) = ("notes".to_owned(), "{\"page\":3}".to_owned());
        let what = RoomAct::Data { topic, reliable: false, to: None, payload };
        assert_eq!(room.try_recv().unwrap().what, what);
    }

    #[test]
    fn what_a_room_cannot_take_fails_at_once() {
        let (mut hands, room) = hands(1);
        let (kind, message) = failure(hands.call(&call(0, "show", None)));
        assert_eq!((kind, message.contains("nobody")), (FailureKind::Failed, true), "{message}");
        let mut long = call(1, "note", None);
        long.arguments = Json(json!({ "text": "x".repeat(RPC_PAYLOAD_MAX) }));
        assert_eq!(failure(hands.call(&long)).0, FailureKind::InvalidArguments);
        hands.call(&call(2, "note", None));
        assert_eq!(failure(hands.call(&call(3, "note", None))).0, FailureKind::NoWorker);
        drop(room);
        let (_, message) = failure(hands.call(&call(4, "note", None)));
        assert!(message.contains("left"), "{message}");
    }
}
