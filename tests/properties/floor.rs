//! The floor beside a model that remembers every tick and computes everything from that.

use antiphon::clock::Tick;
use antiphon::id::LaneId;
use antiphon::talk::floor::{Floor, FloorRules, PARTS_MAX, Presence};
use proptest::prelude::*;

/// What happens in a tick.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// Ticks jumped over before it.
    skipped: u64,
    voiced: bool,
    agent: bool,
    /// Words that became known: whose, and whether they are complete.
    words: Option<(u16, bool)>,
    listening: bool,
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let moment = (
        prop_oneof![9 => Just(0), 1 => 0..5_u64],
        any::<bool>(),
        any::<bool>(),
        prop::option::weighted(0.1, (0..3_u16, any::<bool>())),
        prop::bool::weighted(0.2),
    );
    // Runs, so that silence and voice last.
    let run =
        (moment, 1..12_usize).prop_map(|((skipped, voiced, agent, words, listening), len)| {
            let first = Moment { skipped, voiced, agent, words, listening };
            let rest = Moment { skipped: 0, words: None, ..first };
            std::iter::once(first).chain(std::iter::repeat_n(rest, len - 1)).collect::<Vec<_>>()
        });
    prop::collection::vec(run, 0..60).prop_map(|runs| runs.concat())
}

fn rules() -> impl Strategy<Value = FloorRules> {
    (
        1..20_u64,
        0..20_u64,
        prop::option::of(1..15_u64),
        0..6_u64,
        prop::option::of(1..30_u64),
        prop::option::of(1..40_u64),
    )
        .prop_map(|(min, more, barge_in, gap, false_interruption, away)| FloorRules {
            end_silence_min: min,
            end_silence_max: min + more,
            barge_in,
            gap,
            false_interruption,
            away,
        })
}

/// The model: all ticks so far, as they were.
#[derive(Default)]
struct Model {
    /// The tick, whether it was voiced, and whether the agent was busy.
    lived: Vec<(u64, bool, bool)>,
    confirmed: Vec<u64>,
    heard: u64,
    away: bool,
    /// Words of the open turn, and when the first came.
    turn: Vec<(u16, bool)>,
    turns: u32,
}

impl Model {
    fn last_voiced(&self) -> u64 {
        self.lived.iter().rev().find(|(_, voiced, _)| *voiced).map_or(0, |(tick, ..)| *tick)
    }

    /// The ticks of the run of voice that `tick` belongs to: no pause in it is longer than the gap.
    fn run(&self, gap: u64) -> &[(u64, bool, bool)] {
        let mut from = self.lived.len();
        let mut voiced = None;
        for at in (0..self.lived.len()).rev() {
            let (tick, is_voiced, _) = self.lived[at];
            // A pause ends a run when a silent tick sees that it is too long.
            if voiced.is_some() && !is_voiced {
                let before = self.lived[..at].iter().rev().find(|(_, voiced, _)| *voiced);
                if before.is_none_or(|(before, ..)| tick - before > gap) {
                    break;
                }
            }
            if is_voiced {
                (voiced, from) = (Some(tick), at);
            }
        }
        &self.lived[from..]
    }

    fn barges_in(&mut self, rules: &FloorRules, tick: u64) -> Option<(u64, u64)> {
        let (_, voiced, busy) = *self.lived.last()?;
        let barge_in = rules.barge_in.filter(|_| voiced && busy)?;
        let run = self.run(rules.gap);
        let over = run.iter().filter(|(_, voiced, busy)| *voiced && *busy).count() as u64;
        let since = run.first()?.0;
        if over < barge_in || self.confirmed.iter().any(|at| *at >= since) {
            return None;
        }
        self.confirmed.push(tick);
        Some((since, over))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_floor_changes_hands_when_its_rules_say_so_and_at_no_other_time(
        rules in rules(),
        moments in moments(),
    ) {
        let (mut floor, mut model) = (Floor::new(), Model::default());
        let mut tick = 0;
        for moment in moments {
            tick += moment.skipped;
            let now = Tick(tick);
            model.lived.push((tick, moment.voiced, moment.agent));
            let barged = floor.hear(&rules, now, moment.voiced, moment.agent);
            let expected = model.barges_in(&rules, tick);
            prop_assert_eq!(barged.map(|b| (b.since.0, b.voiced)), expected, "tick {}", tick);
            if moment.voiced {
                model.heard = tick;
                let was_away = std::mem::take(&mut model.away);
                prop_assert_eq!(floor.user_active(), was_away.then_some(Presence::Returned));
            }
            if let Some((lane, complete)) = moment.words {
                let text = if complete { "complete" } else { "not yet" };
                floor.words(now, LaneId(lane), text.into(), |all| !all.contains("not yet"));
                model.turn.push((lane, complete));
                let excess = model.turn.len().saturating_sub(PARTS_MAX);
                model.turn.drain(..excess);
                model.heard = tick;
            }
            prop_assert_eq!(floor.parts(), model.turn.len());

            let silence = tick - model.last_voiced();
            let complete = model.turn.iter().all(|(_, complete)| *complete);
            let enough = if complete { rules.end_silence_min } else { rules.end_silence_max };
            let ends = !model.turn.is_empty() && !moment.listening && silence >= enough;
            let ended = floor.end_turn(&rules, now, moment.listening);
            prop_assert_eq!(ended.is_some(), ends, "tick {}", tick);
            if let Some(ended) = ended {
                prop_assert_eq!(ended.id.0, model.turns, "turns are numbered");
                prop_assert_eq!(ended.parts.len(), model.turn.len(), "no words are lost");
                prop_assert_eq!(ended.last_voiced.0, model.last_voiced());
                prop_assert!(ended.since <= now);
                model.turn.clear();
                model.turns += 1;
            }
            if moment.agent {
                floor.agent_heard(now);
                model.heard = tick;
            }
            let away = rules.away.is_some_and(|away| tick - model.heard >= away);
            let leaves = away && !model.away;
            model.away |= away;
            prop_assert_eq!(floor.presence(&rules, now), leaves.then_some(Presence::Away));
            tick += 1;
        }
    }

    #[test]
    fn an_interruption_is_false_after_the_patience_and_never_before(
        rules in rules(),
        at in 0..100_u64,
        voice in prop::option::of(0..50_u64),
        until in 0..200_u64,
    ) {
        let mut floor = Floor::new();
        floor.interrupted(Tick(at));
        if let Some(later) = voice {
            floor.hear(&rules, Tick(at + later), true, false);
        }
        let since = at + voice.unwrap_or(0);
        let expected = rules.false_interruption.is_some_and(|p| until.saturating_sub(since) >= p);
        prop_assert_eq!(floor.was_false(&rules, Tick(until)), expected);
        floor.decided();
        prop_assert!(!floor.was_false(&rules, Tick(until)), "what is decided is not false");
    }
}
