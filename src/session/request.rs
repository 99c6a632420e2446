//! Requests of participants: methods of the agent that the configuration runs as tools.
//!
//! A request becomes a call of its tool in the work phase of the same tick, before those of the agent,
//! and the outcome its answer. No agent learns of it, and nothing is said.
//!
//! **Invariant:** a request has exactly one answer, while the session lasts.

use serde_json::{Map, Value};

use super::event::EventKind;
use super::hear::clip;
use super::output::{Effect, Output, RPC_PAYLOAD_MAX, RpcError};
use super::plan::Plan;
use super::{Asker, Request, Session, Wanted};
use crate::clock::Tick;
use crate::id::{LaneId, RequestId};
use crate::tool::{DEPTH_MAX, FailureKind, Json, Outcome, is_deeper};

impl Session {
    /// A participant calls a method.
    pub(super) fn request(
        &mut self,
        plan: &Plan,
        now: Tick,
        (id, lane): (RequestId, Option<LaneId>),
        method: String,
        payload: &str,
        out: &mut Output,
    ) {
        let lane = lane.filter(|lane| self.is_there(*lane));
        let method = clip(method, plan.limits.text);
        let kind = EventKind::RpcCalled { request: id, lane, method: method.clone() };
        self.event(now, kind, out);
        match self.accepted(plan, &method, payload) {
            Ok((tool, arguments)) => {
                let call = self.next_call(tool, arguments, lane);
                self.requests.push(Request { id, since: now });
                self.requested.push(Wanted { call, asker: Asker::Participant(id) });
            }
            Err(error) => self.respond(now, id, Err(error), out),
        }
    }

    /// The tool that a request calls, and its arguments; or why it is refused.
    fn accepted<'p>(
        &self,
        plan: &'p Plan,
        method: &str,
        payload: &str,
    ) -> Result<(&'p str, Json), RpcError> {
        let Some(tool) = plan.config.livekit.rpc.get(method) else {
            let message = format!("there is no method `{method}`");
            return Err(RpcError::new(RpcError::UNSUPPORTED_METHOD, message));
        };
        if payload.len() > RPC_PAYLOAD_MAX {
            let message = format!("{} bytes, more than {RPC_PAYLOAD_MAX}", payload.len());
            return Err(RpcError::new(RpcError::REQUEST_TOO_LARGE, message));
        }
        let calls = self.pending.len() + self.requested.len();
        if self.requests.len() >= plan.limits.requests || calls >= plan.limits.calls {
            return Err(RpcError::new(RpcError::APPLICATION, "too many requests are under way"));
        }
        let arguments =
            arguments(payload).map_err(|message| RpcError::new(RpcError::APPLICATION, message))?;
        Ok((tool, Json(Value::Object(arguments))))
    }

    /// The outcome of a request's call is its answer.
    pub(super) fn respond_with(
        &mut self,
        now: Tick,
        id: RequestId,
        outcome: Outcome,
        out: &mut Output,
    ) {
        let answer = match outcome {
            Outcome::Done(value) => {
                let text = value.0.to_string();
                if text.len() <= RPC_PAYLOAD_MAX {
                    Ok(text)
                } else {
                    let message = format!("{} bytes, more than {RPC_PAYLOAD_MAX}", text.len());
                    Err(RpcError::new(RpcError::RESPONSE_TOO_LARGE, message))
                }
            }
            Outcome::Failed(failure) => {
                let code = match failure.kind {
                    FailureKind::TimedOut => RpcError::TIMED_OUT,
                    FailureKind::UnknownTool
                    | FailureKind::InvalidArguments
                    | FailureKind::Failed
                    | FailureKind::Panicked
                    | FailureKind::NoWorker
                    | FailureKind::SessionEnded
                    | FailureKind::NotRecorded
                    | FailureKind::Interrupted
                    | FailureKind::Cancelled => RpcError::APPLICATION,
                };
                Err(RpcError::new(code, failure.message))
            }
        };
        self.respond(now, id, answer, out);
    }

    fn respond(
        &mut self,
        now: Tick,
        id: RequestId,
        answer: Result<String, RpcError>,
        out: &mut Output,
    ) {
        let at = self.requests.iter().position(|request| request.id == id);
        let since = at.map_or(now, |at| self.requests.remove(at).since);
        let (error, after_ticks) = (answer.as_ref().err().cloned(), now.since(since));
        self.event(now, EventKind::RpcAnswered { request: id, error, after_ticks }, out);
        out.effects.push(Effect::Answer { request: id, answer });
    }
}

/// The arguments in a payload; an empty one has none.
fn arguments(payload: &str) -> Result<Map<String, Value>, String> {
    if payload.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(payload) {
        Ok(deep) if is_deeper(&deep, DEPTH_MAX) => {
            Err(format!("the payload is nested deeper than {DEPTH_MAX}"))
        }
        Ok(Value::Object(arguments)) => Ok(arguments),
        Ok(_) => Err("the payload is no JSON object".to_owned()),
        Err(error) => Err(format!("the payload is no JSON object: {error}")),
    }
}
