//! What the session is to know, until its ring has room for it.
//!
//! **Invariant:** the session hears everything in the order in which it happened, or a count of what it
//! does not hear; before it runs, no more is kept than is true when it begins.

use std::collections::VecDeque;

use crate::host::codec::{NoCodec, OpusInlet};
use crate::host::packets::Trunk;
use crate::id::LaneId;
use crate::livekit::roster::Change;
use crate::session::input::Inbound;

/// Values for the session that wait for room in its ring at most.
const VALUES_WAITING: usize = 512;

/// The changes that wait.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Change>,
    /// Somebody has been told that the session is to begin: who goes now has been there.
    settled: bool,
    /// The session runs.
    begun: bool,
    untold: u64,
}

impl Backlog {
    /// The session is about to begin, for those who are there.
    pub(super) const fn settle(&mut self) {
        self.settled = true;
    }

    /// The session runs.
    pub(super) const fn begin(&mut self) {
        self.settled = true;
        self.begun = true;
    }

    /// Whether the session runs.
    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the session's next tick will make room for something.
    pub(super) fn is_waiting(&self) -> bool {
        self.begun && !self.waiting.is_empty()
    }

    /// Changes that were dropped: the session has stalled.
    pub(super) const fn untold(&self) -> u64 {
        self.untold
    }

    /// Keeps something for the session. Before it runs, who has gone again has never been there, and
    /// what is true of a moment only is of no use later.
    pub(super) fn add(&mut self, change: Change) {
        if !self.begun {
            match &change {
                Change::Left { lane, .. } if !self.settled => {
                    self.waiting.retain(|waiting| lane_of(waiting) != Some(*lane));
                    return;
                }
                Change::Value(Inbound::Metadata { lane: None, .. }) => {
                    let old = |change: &Change| {
                        matches!(change, Change::Value(Inbound::Metadata { lane: None, .. }))
                    };
                    self.waiting.retain(|waiting| !old(waiting));
                }
                Change::Value(Inbound::Quality { .. } | Inbound::Speaking { .. }) => return,
                Change::Value(value) if value.lane().is_none() => return,
                Change::Joined { .. }
                | Change::Left { .. }
                | Change::Value(_)
                | Change::Subscribe { .. }
                | Change::Unsubscribe { .. } => {}
            }
        }
        // Who is there and when it is over is known whatever else there is; the roster bounds it.
        let must = matches!(
            change,
            Change::Joined { .. } | Change::Left { .. } | Change::Value(Inbound::HangUp { .. })
        );
        if must || self.waiting.len() < VALUES_WAITING {
            self.waiting.push_back(change);
        } else {
            self.untold += 1;
        }
    }

    /// Hands on as much as the ring takes; `inlet` makes the decoder of who joins.
    ///
    /// # Errors
    /// Somebody has no decoder, and is not heard; in words.
    pub(super) fn forward(
        &mut self,
        trunk: &mut Trunk,
        inlet: impl Fn() -> Result<OpusInlet, NoCodec>,
    ) -> Result<(), String> {
        if !self.begun {
            return Ok(());
        }
        while let Some(change) = self.waiting.pop_front() {
            let kept = match change {
                Change::Joined { lane, name } => {
                    let inlet = inlet().map_err(|error| format!("{name} is not heard: {error}"))?;
                    let joined = trunk.join(lane, name.clone(), Box::new(inlet));
                    (!joined).then_some(Change::Joined { lane, name })
                }
                Change::Left { lane, identity } => {
                    (!trunk.leave(lane)).then_some(Change::Left { lane, identity })
                }
                Change::Value(value) => {
                    trunk.tell(Box::new(value)).map(|value| Change::Value(*value))
                }
                Change::Subscribe { .. } | Change::Unsubscribe { .. } => None,
            };
            if let Some(change) = kept {
                self.waiting.push_front(change);
                break;
            }
        }
        Ok(())
    }
}

/// Whose lane a change is about.
fn lane_of(change: &Change) -> Option<LaneId> {
    match change {
        Change::Joined { lane, .. } | Change::Left { lane, .. } => Some(*lane),
        Change::Value(value) => value.lane(),
        Change::Subscribe { .. } | Change::Unsubscribe { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Rate, TickLen};
    use crate::host::codec::{OpusOutlet, OutletOptions};
    use crate::host::packets::{ARRIVALS_WAITING, line};
    use crate::session::input::{Input, Quality};
    use crate::slot::Edge;

    fn joined(lane: u16) -> Change {
        Change::Joined { lane: LaneId(lane), name: format!("p{lane}") }
    }

    fn typed(lane: u16) -> Change {
        Change::Value(Inbound::UserText { lane: LaneId(lane), text: "hi".into() })
    }

    #[test]
    fn before_the_session_runs_only_what_is_still_true_is_kept() {
        let mut backlog = Backlog::default();
        let quality = Inbound::Quality { lane: None, quality: Quality::Good };
        for _ in 0..10_000 {
            backlog.add(Change::Value(quality.clone()));
            let (topic, bytes) = ("x".to_owned(), vec![1]);
            backlog.add(Change::Value(Inbound::Data { lane: None, topic, bytes, reliable: false }));
            backlog.add(joined(0));
            backlog.add(typed(0));
            backlog.add(Change::Left { lane: LaneId(0), identity: "p0".into() });
        }
        backlog.add(joined(1));
        backlog.add(typed(1));
        assert_eq!(backlog.waiting, [joined(1), typed(1)]);
        assert_eq!(backlog.untold(), 0);
    }

    #[test]
    fn what_finds_no_room_keeps_its_place() {
        let (rate, len) = (Rate::from_hz(24_000).unwrap(), TickLen::from_ms(20).unwrap());
        let outlet = OpusOutlet::new(rate, OutletOptions::default()).unwrap();
        let (mut trunk, mut edge) = line(outlet, len);
        let mut backlog = Backlog::default();
        backlog.begin();
        backlog.add(joined(0));
        let count = ARRIVALS_WAITING + 10;
        (0..count).for_each(|_| backlog.add(typed(0)));
        let mut heard = Vec::new();
        let mut input = Input::default();
        for _ in 0..3 {
            backlog.forward(&mut trunk, || OpusInlet::new(rate, 3)).unwrap();
            edge.give(input.tick, &mut input);
            heard.append(&mut input.inbound);
        }
        assert!(matches!(heard[0], Inbound::Joined { .. }));
        assert_eq!((heard.len(), backlog.is_waiting()), (count + 1, false));
    }
}
