//! The call verbs that the session does itself: from its own state, within the tick.
//!
//! **Invariant:** a verb has one outcome, and what it has done is an event.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::event::{EndReason, EventKind};
use super::hear::clip as clipped;
use super::output::Output;
use super::plan::Plan;
use super::think::Occasions;
use super::{Asker, Doing, Life, Session};
use crate::clock::Tick;
use crate::config::Epoch;
use crate::graph::Occasion;
use crate::graph::facts::{Fact, Scope};
use crate::graph::verb::{self, Verb};
use crate::tool::{Called, FailureKind, Json, Outcome, ToolCall};

/// The decision that stands for a hand-over.
pub(super) const TRANSITION_TO: &str = "transition_to";

impl Session {
    /// Does a verb.
    pub(super) fn verb(
        &mut self,
        plan: &Plan,
        now: Tick,
        verb: Verb,
        (call, asker): (&ToolCall, &Asker),
        occasions: &mut Occasions,
        out: &mut Output,
    ) -> Called {
        match self.try_verb(plan, now, verb, (call, asker), occasions, out) {
            Ok(Some(value)) => Called::Done(Outcome::Done(Json(value))),
            Ok(None) => Called::Submitted,
            Err(outcome) => Called::Done(outcome),
        }
    }

    fn try_verb(
        &mut self,
        plan: &Plan,
        now: Tick,
        verb: Verb,
        (call, asker): (&ToolCall, &Asker),
        occasions: &mut Occasions,
        out: &mut Output,
    ) -> Result<Option<Value>, Outcome> {
        let failed = |why: String| Outcome::failed(FailureKind::Failed, why);
        let done = Ok(Some(Value::Null));
        match verb {
            Verb::EndCall => {
                let verb::EndCall { reason } = read(call)?;
                let reason = reason.filter(|reason| !reason.trim().is_empty());
                self.close(reason.map_or(EndReason::AgentEnded, |reason| {
                    EndReason::Agent(clipped(reason, plan.limits.text))
                }));
                done
            }
            Verb::PlayClip => {
                let verb::PlayClip { clip } = read(call)?;
                self.known_clip(plan, &clip).map_err(failed)?;
                let item = self.play_clip(plan, now, clip, out);
                item.map(|item| Some(json!({ "item": item })))
                    .ok_or_else(|| failed("there are too many things to say already".to_owned()))
            }
            Verb::Hold => {
                let verb::Hold { on, clip, max_ms } = read(call)?;
                if let Some(clip) = &clip {
                    self.known_clip(plan, clip).map_err(failed)?;
                }
                if on {
                    self.hold(now, plan.len.ticks_min_one(max_ms.max(1)), clip, out);
                } else if !self.take_off_hold(now, out) {
                    return Err(failed("nobody is on hold".to_owned()));
                }
                done
            }
            Verb::SetFact => {
                let verb::SetFact { name, value, scope, ttl_ms } = read(call)?;
                let until = ttl_ms.map(|ms| now.after(plan.len.ticks_min_one(ms)));
                let lane = call.lane.filter(|_| scope == Scope::User);
                let fact = Fact { scope, until, lane, ..Fact::new(value, now) };
                self.set_fact(plan, now, &name, fact, out).map_err(failed)?;
                done
            }
            Verb::Now => {
                let verb::Now { utc_offset_minutes } = read(call)?;
                Ok(Some(self.date_and_time(plan, now, utc_offset_minutes)))
            }
            Verb::HandOver => {
                let verb::HandOver { to } = read(call)?;
                self.decide_to_hand_over(plan, now, &to, occasions, out).map(Some).map_err(failed)
            }
            Verb::Decide => {
                let verb::Decide { key, value } = read(call)?;
                self.decide(plan, now, clipped(key, plan.limits.text), value, occasions, out);
                done
            }
            Verb::CallAgent => {
                let verb::CallAgent { agent, facts } = read(call)?;
                if asker.agent() != Some(self.agent) {
                    return Err(failed("only the current agent calls another".to_owned()));
                }
                self.call_agent(plan, now, (call.id, &agent), facts, out).map_err(failed)?;
                Ok(None)
            }
            Verb::ReturnValue => {
                let verb::ReturnValue { value } = read(call)?;
                self.return_value(plan, now, value, out).map(Some).map_err(failed)
            }
            // The room's.
            Verb::TransferCall | Verb::SendDtmf => done,
        }
    }

    /// What a verb of the room will have done to the call; or the outcome of one with wrong arguments.
    pub(super) fn doing(call: &ToolCall) -> Result<Option<Doing>, Outcome> {
        match Verb::of(&call.name) {
            Some(Verb::TransferCall) => {
                let transfer = verb::transfer(&call.arguments.0)?;
                let warm = transfer.is_warm();
                Ok(Some(Doing::Transfer { to: transfer.to, warm }))
            }
            Some(Verb::SendDtmf) => {
                Ok(Some(Doing::Digits(verb::digits(&call.arguments.0)?.digits)))
            }
            _ => Ok(None),
        }
    }

    /// A verb of the room is done.
    pub(super) fn done(&mut self, now: Tick, doing: Doing, out: &mut Output) {
        match doing {
            Doing::Transfer { to, warm } => {
                if !warm {
                    self.close(EndReason::Transferred(to.clone()));
                }
                self.event(now, EventKind::CallTransferred { to, warm }, out);
            }
            Doing::Digits(digits) => self.event(now, EventKind::DigitsSent { digits }, out),
        }
    }

    fn known_clip(&self, plan: &Plan, clip: &str) -> Result<(), String> {
        if plan.config.clips.contains_key(clip) {
            return Ok(());
        }
        Err(format!("there is no clip `{clip}`"))
    }

    fn decide(
        &mut self,
        plan: &Plan,
        now: Tick,
        key: String,
        value: Value,
        occasions: &mut Occasions,
        out: &mut Output,
    ) {
        let agent = plan.agent(self.agent).name.clone();
        let decided =
            EventKind::AgentDecided { agent, key: key.clone(), value: Json(value.clone()) };
        self.event(now, decided, out);
        occasions.all.push(Occasion::Decision { key, value: Json(value) });
    }

    /// A hand-over by an agent's own tool: it needs an edge, as any other.
    fn decide_to_hand_over(
        &mut self,
        plan: &Plan,
        now: Tick,
        to: &str,
        occasions: &mut Occasions,
        out: &mut Output,
    ) -> Result<Value, String> {
        let Some(target) = plan.agent_id(to) else {
            return Err(format!("there is no agent `{to}`"));
        };
        if target == self.agent {
            return Ok(json!({ "agent": to, "outcome": "no_transition" }));
        }
        let decision = Occasion::Decision { key: TRANSITION_TO.to_owned(), value: Json(to.into()) };
        let leads = plan
            .graph
            .leaving(self.agent)
            .iter()
            .any(|way| way.to == target && way.condition.fulfilled(&decision).is_some());
        if !leads {
            let from = &plan.agent(self.agent).name;
            return Err(format!("no transition by decision leads from `{from}` to `{to}`"));
        }
        if self.next.is_some() {
            return Err("a hand-over is under way".to_owned());
        }
        self.decide(plan, now, TRANSITION_TO.to_owned(), to.into(), occasions, out);
        // Another way out may go first in this tick, or this one be refused: events say so.
        Ok(json!({ "agent": to, "outcome": "decided" }))
    }

    fn date_and_time(&self, plan: &Plan, now: Tick, offset_minutes: i32) -> Value {
        let offset_ms = i64::from(offset_minutes.clamp(-720, 840)) * 60_000;
        let utc_ms = plan.config.epoch.unix_ms().saturating_add(plan.len.start_ms(now));
        let local = Epoch::from_unix_ms(utc_ms.saturating_add_signed(offset_ms));
        let text = local.to_string();
        let (date, time) = text.split_once('T').unwrap_or((&text, ""));
        json!({
            "date": date,
            "time": time.get(..5).unwrap_or(time),
            "weekday": local.weekday(),
            "unix_ms": utc_ms,
        })
    }

    /// Remembers a text or any other value, for the session.
    pub(super) fn remember(
        &mut self,
        plan: &Plan,
        now: Tick,
        name: &str,
        value: Value,
        out: &mut Output,
    ) {
        // What is refused was told.
        drop(self.set_fact(plan, now, name, Fact::new(value, now), out));
    }

    /// Sets a fact, within the bounds.
    pub(super) fn set_fact(
        &mut self,
        plan: &Plan,
        now: Tick,
        name: &str,
        mut fact: Fact,
        out: &mut Output,
    ) -> Result<(), String> {
        if !crate::config::is_identifier(name) {
            return Err(format!("`{}` is no name of a fact", clipped(name.to_owned(), 64)));
        }
        if let Value::String(text) = &mut fact.value.0 {
            *text = clipped(std::mem::take(text), plan.limits.text);
        } else if fact.value.0.to_string().len() > plan.limits.text {
            return Err(format!("a fact has at most {} characters", plan.limits.text));
        }
        if !self.facts.contains(name) && self.facts.len() >= plan.limits.facts {
            self.limit(now, "facts", out);
            return Err(format!("there are {} facts already", plan.limits.facts));
        }
        let (name, scope, value) = (name.to_owned(), fact.scope, fact.value.clone());
        self.facts.set(&name, fact);
        self.event(now, EventKind::FactSet { name, scope, value }, out);
        Ok(())
    }

    /// Whether the user's turns are answered.
    pub(super) fn answers(&self) -> bool {
        self.life == Life::Running && self.hold.is_none()
    }
}

fn read<T: DeserializeOwned>(call: &ToolCall) -> Result<T, Outcome> {
    verb::read(&call.name, &call.arguments.0)
}
