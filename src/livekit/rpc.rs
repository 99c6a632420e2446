//! Calls of methods between participants, both ways.
//!
//! A caller sends a request; the one who is called acknowledges it at once, and answers later. Both sides
//! are bounded: [`PENDING_MAX`] of each kind at a time.
//!
//! **Invariant:** every call of ours has exactly one outcome; every request of others has at most one
//! answer, however often it is sent.

use std::collections::VecDeque;

use livekit_protocol::rpc_response::Value;
use livekit_protocol::{RpcAck, RpcError as WireError, RpcRequest, RpcResponse};

use crate::host::pace::Moment;
use crate::id::RequestId;
use crate::session::output::{RPC_PAYLOAD_MAX, RpcError};

/// Calls under way at most, of each direction.
pub const PENDING_MAX: usize = 16;

/// Requests under way at most, of one participant: others want to be served, too.
const PENDING_OF_ONE: usize = 8;

/// Requests that are remembered after their end, so that none is done twice.
const REMEMBERED: usize = 256;

/// How long an acknowledgement is waited for, as the official clients do.
const ACK_NS: u64 = 7_000_000_000;

/// How long a request of others is remembered at most, whatever it says.
const REQUEST_NS: u64 = 120_000_000_000;

/// The version of the protocol.
const VERSION: u32 = 1;

/// Codes of LiveKit's for what only a caller can know.
mod code {
    /// Nobody acknowledged the request.
    pub(super) const CONNECTION_TIMEOUT: u32 = 1_501;
    /// The one who was called has gone.
    pub(super) const RECIPIENT_DISCONNECTED: u32 = 1_503;
    /// The request could not be sent.
    pub(super) const SEND_FAILED: u32 = 1_505;
    /// There is nobody of that identity.
    pub(super) const RECIPIENT_NOT_FOUND: u32 = 1_401;
    /// The version of the protocol is another.
    pub(super) const UNSUPPORTED_VERSION: u32 = 1_404;
}

/// There is nobody to call.
#[must_use]
pub fn nobody() -> RpcError {
    RpcError::new(code::RECIPIENT_NOT_FOUND, "there is no such participant in the room")
}

/// What is to be done about a request of another's.
#[derive(Debug, Clone, PartialEq)]
pub enum Requested {
    /// Give it to the session, under this number.
    New(RequestId),
    /// Answer at once.
    Refused(RpcError),
    /// It was sent before: nothing more.
    Again,
}

/// Requests of others that have no answer yet.
#[derive(Debug, Default)]
pub struct Requests {
    open: Vec<Request>,
    /// The latest that were answered: a request that comes twice is not done twice.
    answered: VecDeque<(String, String)>,
    next: u32,
    refused: u64,
}

#[derive(Debug)]
struct Request {
    number: RequestId,
    from: String,
    id: String,
    until: Moment,
}

impl Requests {
    /// A request comes.
    pub fn take(&mut self, now: Moment, from: &str, request: &RpcRequest) -> Requested {
        for late in self.open.extract_if(.., |open| open.until <= now) {
            remember(&mut self.answered, (late.from, late.id));
        }
        let same = |known_from: &str, id: &str| known_from == from && id == request.id;
        if self.open.iter().any(|open| same(&open.from, &open.id))
            || self.answered.iter().any(|(known, id)| same(known, id))
        {
            return Requested::Again;
        }
        let refusal = if request.version != VERSION || !request.compressed_payload.is_empty() {
            Some(RpcError::new(code::UNSUPPORTED_VERSION, "this version of RPC is not supported"))
        } else if request.payload.len() > RPC_PAYLOAD_MAX || request.id.len() > NAME_MAX {
            Some(RpcError::new(RpcError::REQUEST_TOO_LARGE, "the request is larger than 15 KiB"))
        } else if request.method.len() > NAME_MAX {
            Some(RpcError::new(RpcError::UNSUPPORTED_METHOD, "there is no such method"))
        } else if self.open.len() == PENDING_MAX
            || self.open.iter().filter(|open| open.from == from).count() == PENDING_OF_ONE
        {
            Some(RpcError::new(RpcError::APPLICATION, "too many requests are under way"))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.refused += 1;
            return Requested::Refused(refusal);
        }
        let number = RequestId(self.next);
        self.next = self.next.wrapping_add(1);
        let wait = u64::from(request.response_timeout_ms) * 1_000_000;
        let until = now.after_ns(wait.clamp(1, REQUEST_NS));
        let (from, id) = (from.to_owned(), request.id.clone());
        self.open.push(Request { number, from, id, until });
        Requested::New(number)
    }

    /// Who asked, and under which id; none if nobody waits any more.
    pub fn answer(&mut self, number: RequestId) -> Option<(String, String)> {
        let at = self.open.iter().position(|open| open.number == number)?;
        let Request { from, id, .. } = self.open.remove(at);
        remember(&mut self.answered, (from.clone(), id.clone()));
        Some((from, id))
    }

    /// Requests that were refused for what they are.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

fn remember(answered: &mut VecDeque<(String, String)>, request: (String, String)) {
    if answered.len() == REMEMBERED {
        answered.pop_front();
    }
    answered.push_back(request);
}

/// The longest name of a method or a request, in bytes.
const NAME_MAX: usize = 256;

/// The packet of an answer.
#[must_use]
pub fn response(id: &str, answer: Result<String, RpcError>) -> RpcResponse {
    let value = match answer {
        Ok(payload) if payload.len() > RPC_PAYLOAD_MAX => Value::Error(wire(RpcError::new(
            RpcError::RESPONSE_TOO_LARGE,
            "the answer is larger than 15 KiB",
        ))),
        Ok(payload) => Value::Payload(payload),
        Err(error) => Value::Error(wire(error)),
    };
    RpcResponse { request_id: id.to_owned(), value: Some(value) }
}

fn wire(error: RpcError) -> WireError {
    WireError { code: error.code, message: error.message, data: String::new() }
}

/// Calls of ours that have no outcome yet; `T` is who waits for it.
#[derive(Debug)]
pub struct Calls<T> {
    open: Vec<Call<T>>,
}

#[derive(Debug)]
struct Call<T> {
    id: String,
    to: String,
    waiter: T,
    acknowledged: bool,
    ack_until: Moment,
    until: Moment,
}

impl<T> Default for Calls<T> {
    fn default() -> Self {
        Self { open: Vec::new() }
    }
}

impl<T> Calls<T> {
    /// A call begins, with an id that nobody else has; the request to send, or who waits, and why it
    /// cannot be.
    ///
    /// # Errors
    /// The payload is too large, or too many calls are under way.
    pub fn begin(
        &mut self,
        now: Moment,
        id: String,
        to: &str,
        (method, payload, timeout_ms): (String, String, u32),
        waiter: T,
    ) -> Result<RpcRequest, (T, RpcError)> {
        if payload.len() > RPC_PAYLOAD_MAX {
            return Err((
                waiter,
                RpcError::new(RpcError::REQUEST_TOO_LARGE, "the request is larger than 15 KiB"),
            ));
        }
        if self.open.len() == PENDING_MAX {
            return Err((waiter, RpcError::new(code::SEND_FAILED, "too many calls are under way")));
        }
        let until = now.after_ns(u64::from(timeout_ms) * 1_000_000);
        let ack_until = now.after_ns(ACK_NS).min(until);
        self.open.push(Call {
            id: id.clone(),
            to: to.to_owned(),
            waiter,
            acknowledged: false,
            ack_until,
            until,
        });
        Ok(RpcRequest {
            id,
            method,
            payload,
            response_timeout_ms: timeout_ms,
            version: VERSION,
            compressed_payload: Vec::new(),
        })
    }

    /// The one who was called has the request.
    pub fn acknowledged(&mut self, from: &str, ack: &RpcAck) {
        let call = self.open.iter_mut().find(|call| call.id == ack.request_id && call.to == from);
        if let Some(call) = call {
            call.acknowledged = true;
        }
    }

    /// An answer comes: who waits for it, and what it is. None if nobody does.
    pub fn answered(
        &mut self,
        from: &str,
        response: RpcResponse,
    ) -> Option<(T, Result<String, RpcError>)> {
        let at =
            self.open.iter().position(|call| call.id == response.request_id && call.to == from)?;
        let waiter = self.open.remove(at).waiter;
        let answer = match response.value {
            Some(Value::Payload(payload)) if payload.len() <= RPC_PAYLOAD_MAX => Ok(payload),
            Some(Value::Payload(_) | Value::CompressedPayload(_)) => {
                Err(RpcError::new(RpcError::RESPONSE_TOO_LARGE, "the answer is larger than 15 KiB"))
            }
            Some(Value::Error(wire)) => Err(RpcError::new(wire.code, wire.message)),
            None => Ok(String::new()),
        };
        Some((waiter, answer))
    }

    /// Somebody has gone: the calls to them fail.
    pub fn gone(&mut self, identity: &str) -> Vec<(T, RpcError)> {
        let gone = self.open.extract_if(.., |call| call.to == identity);
        let why = || RpcError::new(code::RECIPIENT_DISCONNECTED, "the participant has gone");
        gone.map(|call| (call.waiter, why())).collect()
    }

    /// Calls whose time is over fail.
    pub fn expire(&mut self, now: Moment) -> Vec<(T, RpcError)> {
        let late = self.open.extract_if(.., |call| {
            call.until <= now || (!call.acknowledged && call.ack_until <= now)
        });
        late.map(|call| {
            let why = if call.acknowledged {
                RpcError::new(RpcError::TIMED_OUT, "no answer within the time")
            } else {
                RpcError::new(
                    code::CONNECTION_TIMEOUT,
                    "the participant did not acknowledge the call",
                )
            };
            (call.waiter, why)
        })
        .collect()
    }

    /// When the next call expires.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let next = |call: &Call<T>| if call.acknowledged { call.until } else { call.ack_until };
        self.open.iter().map(next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::pace::Clock;

    fn request(id: &str) -> RpcRequest {
        RpcRequest {
            id: id.to_owned(),
            method: "look".to_owned(),
            response_timeout_ms: 1_000,
            version: VERSION,
            ..RpcRequest::default()
        }
    }

    #[test]
    fn a_request_is_done_once_and_a_flood_is_refused() {
        let now = Clock::default().now();
        let mut requests = Requests::default();
        assert_eq!(requests.take(now, "ann", &request("a")), Requested::New(RequestId(0)));
        assert_eq!(requests.take(now, "ann", &request("a")), Requested::Again);
        assert_eq!(requests.take(now, "bob", &request("a")), Requested::New(RequestId(1)));
        assert_eq!(requests.answer(RequestId(0)), Some(("ann".into(), "a".into())));
        assert_eq!(requests.answer(RequestId(0)), None);
        assert_eq!(requests.take(now, "ann", &request("a")), Requested::Again);
        for n in 0..100 {
            requests.take(now, "ann", &request(&n.to_string()));
        }
        assert_eq!((requests.open.len(), requests.refused()), (1 + PENDING_OF_ONE, 92));
        // Nobody waits for those any more.
        let later = now.after_ns(2_000_000_000);
        assert!(matches!(requests.take(later, "ann", &request("b")), Requested::New(_)));
        assert_eq!(requests.open.len(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_request_is_said() {
        let now = Clock::default().now();
        let refused = |request: RpcRequest| match Requests::default().take(now, "ann", &request) {
            Requested::Refused(error) => error.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(RpcRequest { version: 9, ..request("a") }), 1_404);
        let payload = "x".repeat(RPC_PAYLOAD_MAX + 1);
        assert_eq!(refused(RpcRequest { payload, ..request("a") }), 1_402);
        assert_eq!(refused(RpcRequest { method: "m".repeat(300), ..request("a") }), 1_400);
    }

    #[test]
    fn every_call_has_one_outcome() {
        let now = Clock::default().now();
        let mut calls = Calls::default();
        let begin = |calls: &mut Calls<u8>, id: &str, waiter| {
            let what = ("look".to_owned(), "{}".to_owned(), 10_000);
            calls.begin(now, id.to_owned(), "ann", what, waiter).unwrap()
        };
        begin(&mut calls, "a", 1);
        begin(&mut calls, "b", 2);
        begin(&mut calls, "c", 3);
        begin(&mut calls, "d", 4);
        calls.acknowledged("ann", &RpcAck { request_id: "b".to_owned() });
        let answer = response("a", Ok("yes".to_owned()));
        assert_eq!(
            calls.answered("bob", answer.clone()),
            None,
            "only the one who was asked answers"
        );
        assert_eq!(calls.answered("ann", answer.clone()), Some((1, Ok("yes".to_owned()))));
        assert_eq!(calls.answered("ann", answer), None);
        assert_eq!(calls.deadline(), Some(now.after_ns(ACK_NS)));
        let codes = |failed: Vec<(u8, RpcError)>| {
            failed.into_iter().map(|(who, error)| (who, error.code)).collect::<Vec<_>>()
        };
        assert_eq!(codes(calls.expire(now.after_ns(ACK_NS))), [(3, 1_501), (4, 1_501)]);
        assert_eq!(codes(calls.expire(now.after_ns(10_000_000_000))), [(2, 1_502)]);
        begin(&mut calls, "e", 5);
        assert_eq!(codes(calls.gone("ann")), [(5, 1_503)]);
    }
}
