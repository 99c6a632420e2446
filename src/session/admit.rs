//! What has arrived for a tick, value by value.
//!
//! What a room says of its participants beside their audio becomes an event, and what a bound leaves of
//! it. No decision of the session hangs on it, save two: a digit shows that somebody is there, and a
//! request is answered.
//!
//! **Invariant:** what is said of somebody who is not there is ignored, save a request, which is owed an
//! answer.

use std::collections::BTreeMap;

use super::event::{EndReason, EventKind};
use super::hear::clip;
use super::input::{Inbound, Input, LineState, TrackChange};
use super::mind::APPROVAL;
use super::output::Output;
use super::plan::Plan;
use super::{Life, Session};
use crate::clock::Tick;
use crate::graph::facts::{Fact, Scope};
use crate::id::LaneId;
use crate::think::script::Moment;

impl Session {
    pub(super) fn admit(&mut self, plan: &Plan, now: Tick, input: &mut Input, out: &mut Output) {
        if input.skipped > 0 {
            self.event(now, EventKind::TickSkipped { count: input.skipped }, out);
        }
        if self.life == Life::Ready {
            self.life = Life::Running;
            let agent = plan.agent(self.agent).name.clone();
            self.event(now, EventKind::SessionCreated { agent }, out);
            self.facts.begin(self.agent);
            self.enter(plan, now, Some(Moment::Greeting), out);
        }
        self.arrive(plan, now, out);
        for name in self.facts.expire(now) {
            self.event(now, EventKind::FactExpired { name }, out);
        }
        // Taken out and put back, so that the list keeps its memory.
        let mut inbound = std::mem::take(&mut input.inbound);
        for value in inbound.drain(..) {
            self.admit_one(plan, now, value, &input.pcm, out);
        }
        input.inbound = inbound;
        out.strained = self.is_strained();
        self.note_deferred(now, out);
    }

    fn admit_one(&mut self, plan: &Plan, now: Tick, value: Inbound, pcm: &[i16], out: &mut Output) {
        let clipped = |text| clip(text, plan.limits.text);
        match value {
            Inbound::Joined { lane, name } => self.join(plan, now, lane, name, out),
            Inbound::Left { lane } => self.leave(plan, now, lane, out),
            Inbound::Audio { lane, seq, from, len } => {
                let frame = pcm.get(from as usize..from as usize + usize::from(len));
                let lane = self.lanes.iter_mut().find(|known| known.id == lane && known.present);
                if let (Some(lane), Some(frame)) = (lane, frame) {
                    lane.push(plan, seq, frame);
                }
            }
            Inbound::UserText { lane, text } => self.typed(plan, now, lane, text, out),
            Inbound::Transcript { lane, utterance, text, confidence, last } => {
                self.transcript(plan, now, (lane, utterance), (text, confidence, last), out);
            }
            Inbound::RecogniserFailed { lane, utterance, cause } => {
                self.recogniser_failed(plan, now, lane, utterance, cause, out);
            }
            Inbound::Speech { item, pcm, last } => {
                // Late audio of an item that was cut or failed is of no use any more.
                self.playout.push(item, pcm, last);
            }
            // What a model speaks by itself is no synthesiser's.
            Inbound::SynthesiserFailed { item, .. } if self.is_native(item) => {}
            Inbound::SynthesiserFailed { item, cause } => {
                self.synthesiser_failed(plan, now, item, cause, out);
            }
            Inbound::ToolResult { call, outcome } => self.tool_result(now, call, outcome, out),
            Inbound::JournalLost { cause } => {
                self.event(now, EventKind::JournalLost { cause: clipped(cause) }, out);
            }
            Inbound::HangUp { reason } => self.close(EndReason::HungUp(clipped(reason))),
            Inbound::Interrupt { lane } => self.interrupt(plan, now, lane, out),
            Inbound::Close { reason } => self.say_goodbye(plan, now, clipped(reason), out),
            Inbound::Track { lane, change } => {
                let kind = match change {
                    TrackChange::Published => EventKind::UserPublished { lane },
                    TrackChange::Unpublished => EventKind::UserUnpublished { lane },
                    TrackChange::Muted => EventKind::UserMuted { lane },
                    TrackChange::Unmuted => EventKind::UserUnmuted { lane },
                    TrackChange::Refused(cause) => {
                        EventKind::UserUnheard { lane, cause: clipped(cause) }
                    }
                };
                self.told(now, Some(lane), kind, out);
            }
            Inbound::Speaking { lane, speaking } => {
                self.told(now, Some(lane), EventKind::UserSpeaking { lane, speaking }, out);
            }
            Inbound::Attributes { lane, changed } => {
                let changed = self.bounded(plan, now, lane, changed, out);
                self.told(now, Some(lane), EventKind::UserAttributes { lane, changed }, out);
            }
            Inbound::Metadata { lane, text } => {
                let text = clipped(text);
                let kind = match lane {
                    Some(lane) => EventKind::UserMetadata { lane, text },
                    None => EventKind::RoomMetadata { text },
                };
                self.told(now, lane, kind, out);
            }
            Inbound::Data { lane, topic, bytes, reliable } => {
                let len = bytes.len() as u64;
                let (topic, text) = (clipped(topic), String::from_utf8(bytes).ok().map(clipped));
                let kind = EventKind::DataReceived { lane, topic, text, bytes: len, reliable };
                self.told(now, lane, kind, out);
            }
            Inbound::Quality { lane, quality } => {
                self.told(now, lane, EventKind::ConnectionQuality { lane, quality }, out);
            }
            Inbound::Digit { lane, digit } => {
                let is_key = matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D');
                if is_key && self.is_there(lane) {
                    self.user_is_here(now, out);
                    self.floor.noticed(now);
                    self.event(now, EventKind::UserDigit { lane, digit }, out);
                }
            }
            Inbound::Request { request, lane, method, payload } => {
                self.request(plan, now, (request, lane), method, &payload, out);
            }
            Inbound::Custom { lane, name, data } => {
                let lane = lane.filter(|lane| self.is_there(*lane));
                let name = clipped(name);
                let approval = (name == APPROVAL).then(|| data.0.clone());
                self.event(now, EventKind::Custom { name, lane, data }, out);
                if let Some(data) = approval {
                    self.approved_by_event(plan, now, &data, out);
                }
            }
            Inbound::Fact { lane, name, value, scope, ttl_ms } => {
                let until = ttl_ms.map(|ms| now.after(plan.len.ticks_min_one(ms)));
                let lane = lane.filter(|lane| scope == Scope::User && self.is_there(*lane));
                let fact = Fact { scope, until, lane, ..Fact::new(value.0, now) };
                let told = out.events.len();
                if let Err(why) = self.set_fact(plan, now, &name, fact, out)
                    && out.events.len() == told
                {
                    self.limit(now, &why, out);
                }
            }
            Inbound::Line { state } => {
                let kind = match state {
                    LineState::Lost(cause) => EventKind::ConnectionLost { cause: clipped(cause) },
                    LineState::Restored => EventKind::ConnectionRestored,
                };
                self.event(now, kind, out);
            }
            Inbound::Model { ask, delta } => self.model_said(now, ask, &delta, out),
            Inbound::ModelEnd { ask } => self.model_ended(now, ask, out),
            Inbound::ModelFailed { ask, mut error } => {
                error.message = clipped(error.message);
                self.model_failed(ask, error);
            }
            Inbound::Native { native, event } => {
                self.native_told(plan, now, (native, event), out);
            }
            Inbound::Strain { every, turn } => self.strained(now, every, turn, out),
            Inbound::Reload { .. } => {
                let kind = match self.reloaded() {
                    EventKind::ConfigRefused { cause } => {
                        EventKind::ConfigRefused { cause: clipped(cause) }
                    }
                    kind => kind,
                };
                self.event(now, kind, out);
            }
        }
    }

    pub(super) fn is_there(&self, lane: LaneId) -> bool {
        self.lanes.iter().any(|known| known.id == lane && known.present)
    }

    /// An event about somebody, who has to be there, or about nobody in particular.
    fn told(&mut self, now: Tick, lane: Option<LaneId>, kind: EventKind, out: &mut Output) {
        if lane.is_none_or(|lane| self.is_there(lane)) {
            self.event(now, kind, out);
        }
    }

    /// As many attributes as are told at once, none longer than any text.
    fn bounded(
        &mut self,
        plan: &Plan,
        now: Tick,
        lane: LaneId,
        changed: BTreeMap<String, String>,
        out: &mut Output,
    ) -> BTreeMap<String, String> {
        if changed.len() > plan.limits.attributes && self.is_there(lane) {
            self.limit(now, "attributes", out);
        }
        let clipped = |text| clip(text, plan.limits.text);
        let changed = changed.into_iter().take(plan.limits.attributes);
        changed.map(|(name, value)| (clipped(name), clipped(value))).collect()
    }
}
