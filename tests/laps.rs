//! Marks within a tick: whoever listens hears every phase in order, and changes nothing.

use std::sync::Arc;

use antiphon::config;
use antiphon::host::laps::LapTimes;
use antiphon::host::pace::{Clock, Moment};
use antiphon::id::LaneId;
use antiphon::seed::Seed;
use antiphon::session::Session;
use antiphon::session::laps::{Laps, Phase};
use antiphon::session::plan::Plan;
use antiphon::sim::caller::{Act, Caller, Cue, Part, When};
use antiphon::sim::network::{Faults, Network};
use antiphon::sim::tools::{Latency, VirtualTools};
use antiphon::slot::{Slot, Status};
use antiphon::tool::Registry;

const TICKS: usize = 200;

/// A caller who types to an agent that answers.
fn slot() -> Slot {
    let config = config::parse(
        b"name: laps\nagents: { desk: { intents: [{ name: hours, phrases: [when], say: At nine. }] } }",
        "laps",
    );
    let plan = Arc::new(Plan::new(config.unwrap_or_else(|why| panic!("{why}"))).unwrap());
    let part = Part {
        name: "ada".to_owned(),
        cues: vec![Cue { when: When::Start(100), act: Act::Type("when".to_owned()) }],
        noise: vec![100; plan.rate.frame()].into(),
        patience_ms: 1_000,
        hang_up_ms: 600_000,
        audio: true,
    };
    let network = Network::new(Faults::NONE, Seed::new(1));
    let caller = Caller::new(part, LaneId(0), plan.len, plan.rate, network);
    let tools = VirtualTools::new(Registry::default(), Latency::Waited, plan.len, "laps".into());
    let session = Session::new(&plan, 1);
    Slot::new(plan, session, vec![Box::new(caller)], Box::new(tools), None)
}

#[derive(Default)]
struct Listening(Vec<Phase>);

impl Laps for Listening {
    fn lap(&mut self, phase: Phase) {
        self.0.push(phase);
    }
}

#[test]
fn every_phase_is_marked_in_order_and_the_tick_stays_the_same() {
    let (mut plain, mut marked) = (slot(), slot());
    // The journal's entry is begun before the step, and ended after it.
    let mut expected = Phase::ALL.to_vec();
    expected.insert(1, Phase::Journal);
    let mut events = 0;
    for _ in 0..TICKS {
        let mut heard = Listening::default();
        assert_eq!(*plain.tick(0), Status::Running);
        assert_eq!(*marked.tick_marked(0, &mut heard), Status::Running);
        assert_eq!(heard.0, expected);
        assert_eq!(plain.session().digest(), marked.session().digest());
        events += marked.output().events.len();
    }
    assert!(events > 3, "a call in which something happens: {events} events");
}

#[test]
fn the_times_of_phases_are_the_time_of_the_tick() {
    let clock = Clock::default();
    let mut slot = slot();
    let mut laps = LapTimes::new(clock);
    for _ in 0..TICKS {
        let begun: Moment = clock.now();
        laps.begin(begun);
        slot.tick_marked(0, &mut laps);
        let took_ns = clock.now().since_ns(begun);
        let phases_ns: u64 = Phase::ALL.iter().map(|phase| laps.ns(*phase)).sum();
        assert!(phases_ns > 0 && phases_ns <= took_ns, "{phases_ns} of {took_ns} ns");
    }
}
