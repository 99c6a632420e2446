//! The directory of sessions, on real shards: who is there, on which configuration, and how it ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use antiphon::clock::Tick;
use antiphon::config;
use antiphon::host::pace::Class;
use antiphon::host::sessions::{Created, ENDED, ID_MAX, NotCreated, NotReloaded, Sessions, State};
use antiphon::host::shard::{Measured, STOPPED, Shard, Watch};
use antiphon::id::LaneId;
use antiphon::journal::{Header, Journal, Scribe};
use antiphon::session::Session;
use antiphon::session::event::{EndReason, Event, EventKind};
use antiphon::session::input::{Inbound, Input};
use antiphon::session::output::Output;
use antiphon::session::plan::Plan;
use antiphon::sim::replay::{Replayed, replay};
use antiphon::sim::tools::{Latency, VirtualTools};
use antiphon::slot::subscribers::{NotSubscribed, PANICS_MAX, Subscribers};
use antiphon::slot::{Edge, Slot, Status};
use antiphon::tool::Registry;
use crossbeam_channel::{Receiver, Sender, bounded};

/// How long a sign of life may take: a hundred times what it should.
const PATIENCE: Duration = Duration::from_secs(20);

const SHOP: &str = "
name: shop
turn: { away_ms: 0 }
agents:
  desk:
    intents:
      - { name: hours, phrases: [hours], say: From nine to six. }
";

const CLINIC: &str = "
name: clinic
audio: { tick_ms: 40 }
turn: { away_ms: 0 }
agents:
  nurse: { greeting: How are you? }
";

fn plan(yaml: &str) -> Arc<Plan> {
    let config = config::parse(yaml.as_bytes(), "a.yaml").unwrap_or_else(|why| panic!("{why}"));
    Arc::new(Plan::new(config).unwrap())
}

/// What is seen of a session.
enum Seen {
    Event(Event),
    /// It has ended, with this journal.
    Ended(Status, Vec<u8>),
}

struct Looking(Sender<Seen>);

impl Watch for Looking {
    fn ticked(&mut self, slot: &mut Slot, _measured: Measured) -> bool {
        for event in &slot.output().events {
            // A test that has seen enough is gone.
            drop(self.0.try_send(Seen::Event(event.clone())));
        }
        true
    }

    fn ended(&mut self, mut slot: Slot, status: Status) {
        let mut journal = Vec::new();
        slot.scribe().expect("it has a journal").take(&mut journal);
        drop(self.0.try_send(Seen::Ended(status, journal)));
    }
}

fn until<T>(seen: &Receiver<Seen>, find: impl Fn(&Seen) -> Option<T>) -> T {
    loop {
        let seen = seen.recv_timeout(PATIENCE).expect("the session goes on");
        if let Some(found) = find(&seen) {
            return found;
        }
    }
}

fn until_event(seen: &Receiver<Seen>, what: impl Fn(&EventKind) -> bool) -> Event {
    until(seen, |seen| match seen {
        Seen::Event(event) if what(&event.kind) => Some(event.clone()),
        Seen::Event(_) => None,
        Seen::Ended(status, _) => panic!("{status:?}"),
    })
}

fn until_ended(seen: &Receiver<Seen>) -> (Status, Journal) {
    until(seen, |seen| match seen {
        Seen::Ended(status, journal) => Some((status.clone(), Journal::read(journal).unwrap())),
        Seen::Event(_) => None,
    })
}

fn slot(plan: &Arc<Plan>, edges: Vec<Box<dyn Edge>>) -> Slot {
    let tools = VirtualTools::new(Registry::default(), Latency::Waited, plan.len, "a".to_owned());
    let scribe = Some(Scribe::new(&Header::new(plan, 1)));
    Slot::new(Arc::clone(plan), Session::new(plan, 1), edges, Box::new(tools), scribe)
}

type Made = Result<(Slot, Box<dyn Watch>), String>;

fn maker(edges: Vec<Box<dyn Edge>>) -> (impl FnOnce(&Arc<Plan>) -> Made, Receiver<Seen>) {
    let (tell, seen) = bounded(1_024);
    let make = move |plan: &Arc<Plan>| -> Made { Ok((slot(plan, edges), Box::new(Looking(tell)))) };
    (make, seen)
}

fn create(sessions: &Sessions, id: &str, configuration: &str) -> (Created, Receiver<Seen>) {
    let (make, seen) = maker(Vec::new());
    (sessions.create(id, configuration, make).unwrap_or_else(|why| panic!("{why}")), seen)
}

fn sessions(shards: usize) -> Sessions {
    let sessions = Sessions::start(shards, Class::Normal).unwrap();
    sessions.plans().load("shop", plan(SHOP));
    sessions.plans().load("clinic", plan(CLINIC));
    sessions
}

fn reason(journal: &Journal) -> Option<EndReason> {
    let last = journal.ticks.last()?.outcomes.events.last()?;
    match &last.kind {
        EventKind::SessionEnded { reason } => Some(reason.clone()),
        _ => None,
    }
}

fn assert_replays(journal: &Journal) {
    let ticks = journal.ticks.len() as u64;
    assert_eq!(replay(journal, |_, _| {}), Ok(Replayed::Equal { ticks }));
}

fn join(lane: u16) -> Inbound {
    Inbound::Joined { lane: LaneId(lane), name: format!("ann {lane}") }
}

fn says(text: &str) -> Inbound {
    Inbound::UserText { lane: LaneId(0), text: text.to_owned() }
}

fn has_said(text: &'static str) -> impl Fn(&EventKind) -> bool {
    move |kind| matches!(kind, EventKind::AgentMessage { text: said, .. } if said == text)
}

#[test]
fn a_known_id_is_the_session_that_is_there() {
    let sessions = sessions(1);
    let (created, seen) = create(&sessions, "a", "shop");
    assert!(created.new);
    let never = |_: &Arc<Plan>| -> Made { panic!("it is there already") };
    let again = sessions.create("a", "clinic", never).unwrap();
    assert!(!again.new);
    assert_eq!((again.session.id(), sessions.session_count()), ("a", 1));
    assert_eq!(again.session.entry().configuration, "shop");

    assert!(sessions.end("a"));
    let (status, journal) = until_ended(&seen);
    assert_eq!(status, Status::Ended);
    assert_eq!(reason(&journal), Some(EndReason::HungUp(ENDED.to_owned())));
    assert_replays(&journal);
    assert!(created.session.wait_gone(PATIENCE), "what has ended is taken out");
    assert!(!sessions.end("a"), "and is not known any more");
    assert!(sessions.get("a").is_none() && sessions.list().is_empty());
    assert!(!created.session.tell(says("hello")));
    assert!(create(&sessions, "a", "clinic").0.new, "the id is free");
}

#[test]
fn what_cannot_be_created_leaves_nothing() {
    let sessions = sessions(1);
    let long = "a".repeat(ID_MAX + 1);
    for id in ["", "a\nb", &long] {
        assert_eq!(
            sessions.create(id, "shop", maker(Vec::new()).0).unwrap_err(),
            NotCreated::BadId
        );
    }
    let unknown = sessions.create("a", "zoo", maker(Vec::new()).0).unwrap_err();
    assert_eq!(unknown, NotCreated::UnknownConfiguration("zoo".to_owned()));
    let unmade = sessions.create("a", "shop", |_| Err("no line".to_owned())).unwrap_err();
    assert_eq!(unmade, NotCreated::Unmade("no line".to_owned()));
    let panics = std::panic::AssertUnwindSafe(|| {
        sessions.create("a", "shop", |_| std::panic::resume_unwind(Box::new(())))
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!(sessions.session_count(), 0);
    assert!(create(&sessions, "a", "shop").0.new);
    assert!(sessions.shut_down().is_empty());
    assert_eq!(
        sessions.create("b", "shop", maker(Vec::new()).0).unwrap_err(),
        NotCreated::ShutDown
    );
}

#[test]
fn two_configurations_on_two_shards_are_listed() {
    let sessions = sessions(2);
    assert_eq!(sessions.plans().names(), ["clinic", "shop"]);
    let (shop, shopping) = create(&sessions, "s", "shop");
    let (_, nursing) = create(&sessions, "c", "clinic");
    for lane in 0..2 {
        assert!(shop.session.tell(join(lane)));
    }
    assert!(shop.session.tell(says("hours")));
    until_event(&shopping, has_said("From nine to six."));
    until_event(&nursing, has_said("How are you?"));
    let list = sessions.list();
    let brief: Vec<(&str, &str, &str, usize, State)> = list
        .iter()
        .map(|e| (&*e.id, &*e.configuration, &*e.agent, e.participants, e.state))
        .collect();
    let running = State::Running;
    assert_eq!(brief, [("c", "clinic", "nurse", 0, running), ("s", "shop", "desk", 2, running)]);
    assert_ne!(list[0].shard, list[1].shard, "the second goes to the shard that has none");
    assert!(list.iter().all(|entry| entry.ticks > 0 && entry.since_ms > 1_600_000_000_000));
    assert_eq!(sessions.shut_down(), [""; 0]);
    for seen in [shopping, nursing] {
        let (status, journal) = until_ended(&seen);
        assert_eq!(status, Status::Ended);
        assert_eq!(reason(&journal), Some(EndReason::HungUp(STOPPED.to_owned())));
        assert_replays(&journal);
    }
}

#[test]
fn a_shard_that_stops_ends_its_sessions_with_a_reason() {
    let (shard, plan) = (Shard::start(Class::Normal).unwrap(), plan(SHOP));
    let seen: Vec<Receiver<Seen>> = (0..5)
        .map(|_| {
            let (tell, seen) = bounded(64);
            assert!(shard.admit(slot(&plan, Vec::new()), Box::new(Looking(tell))));
            seen
        })
        .collect();
    shard.stop();
    for seen in seen {
        let (status, journal) = until_ended(&seen);
        assert_eq!(status, Status::Ended);
        assert_eq!(reason(&journal), Some(EndReason::HungUp(STOPPED.to_owned())));
    }
}

#[test]
fn a_hundred_sessions_come_and_go() {
    let sessions = sessions(2);
    let all: Vec<(Created, Receiver<Seen>)> =
        (0..100).map(|n| create(&sessions, &format!("call-{n}"), "shop")).collect();
    assert_eq!(sessions.session_count(), 100);
    let first = sessions.list().iter().filter(|entry| entry.shard == 0).count();
    assert_eq!(first, 50, "the shards have equally many");
    for (_, seen) in &all {
        until_event(seen, |kind| matches!(kind, EventKind::SessionCreated { .. }));
    }
    assert!((0..100).all(|n| sessions.end(&format!("call-{n}"))));
    for (created, seen) in &all {
        assert_eq!(until_ended(seen).0, Status::Ended);
        assert!(created.session.wait_gone(PATIENCE));
    }
    assert_eq!(sessions.session_count(), 0);
}

/// Does something on a thread, which has to come back.
fn in_time<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = bounded(1);
    std::thread::spawn(move || drop(tell.send(act())));
    told.recv_timeout(3 * PATIENCE).unwrap_or_else(|_| panic!("{what} does not come back"))
}

#[test]
fn shutting_down_while_sessions_come_and_go_does_not_lock() {
    for round in 0..5 {
        let sessions = Arc::new(sessions(2));
        let left = in_time("shutting down", move || {
            let (start, created) = (Barrier::new(8), AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for thread in 0..6 {
                    let (sessions, start, created) = (&sessions, &start, &created);
                    scope.spawn(move || {
                        start.wait();
                        for n in 0.. {
                            // Ids that threads share as well as those of their own.
                            let id = format!("{}-{}", thread % 3, n % 7);
                            match sessions.create(&id, "shop", maker(Vec::new()).0) {
                                Ok(made) => {
                                    created.fetch_add(usize::from(made.new), Ordering::Relaxed);
                                }
                                Err(NotCreated::ShutDown) => break,
                                Err(why) => panic!("{why}"),
                            }
                            sessions.end(&format!("{}-{}", thread % 3, (n + 3) % 7));
                            let listed = sessions.list().len();
                            assert!(listed <= 21, "{listed} sessions of 21 ids");
                        }
                    });
                }
                let stops: Vec<_> = (0..2)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            while created.load(Ordering::Relaxed) < 20 * (round + 1) {
                                std::thread::yield_now();
                            }
                            sessions.shut_down()
                        })
                    })
                    .collect();
                let left = stops.into_iter().flat_map(|stop| stop.join().unwrap());
                let left: Vec<String> = left.collect();
                assert_eq!(sessions.session_count(), 0);
                left
            })
        });
        assert_eq!(left, [""; 0], "all ended by themselves");
    }
}

/// Does not come back before the test says so.
struct Stuck(Receiver<()>);

impl Edge for Stuck {
    fn give(&mut self, now: Tick, _input: &mut Input) {
        // The tick after that in which it was created: an end that is asked for then comes too late.
        if now.0 == 1 {
            // Ends when the test drops its end.
            let _ = self.0.recv();
        }
    }

    fn take(&mut self, _now: Tick, _out: &Output) {}
}

#[test]
fn a_session_that_does_not_come_back_is_removed_by_force() {
    let sessions = Arc::new(sessions(2));
    let (release, stuck) = bounded(0);
    let (make, seen) = maker(vec![Box::new(Stuck(stuck))]);
    let held = sessions.create("stuck", "shop", make).unwrap().session;
    let (_, other) = create(&sessions, "other", "shop");
    until_event(&seen, |kind| matches!(kind, EventKind::SessionCreated { .. }));
    let stopping = Arc::clone(&sessions);
    let forced = in_time("shutting down", move || stopping.shut_down());
    assert_eq!(forced, ["stuck"]);
    assert!(held.wait_gone(Duration::ZERO));
    assert_eq!(until_ended(&other).0, Status::Ended, "the other shard's has ended as it should");
    drop(release);
    // The thread that was left to itself ends all the same.
    until_ended(&seen);
    in_time("dropping", move || drop(sessions));
}

#[test]
fn a_reload_is_for_new_sessions_and_on_request_for_running_ones() {
    let sessions = sessions(1);
    let (old, seen) = create(&sessions, "old", "shop");
    let (stays, staying) = create(&sessions, "stays", "shop");
    create(&sessions, "c", "clinic");
    let night = SHOP.replace("From nine to six.", "By night.");
    let reloaded = sessions.reload("shop", night.as_bytes(), "night.yaml").unwrap();
    assert_eq!(reloaded.running, ["old", "stays"]);
    assert!(sessions.renew("old") && !sessions.renew("nobody"));
    let told = until_event(&seen, |kind| matches!(kind, EventKind::ConfigReloaded { .. }));
    assert_eq!(told.kind, EventKind::ConfigReloaded { config: reloaded.hash.clone() });
    let (new, fresh) = create(&sessions, "new", "shop");
    for (handle, seen, says_it) in [
        (&old.session, &seen, "By night."),
        (&new.session, &fresh, "By night."),
        (&stays.session, &staying, "From nine to six."),
    ] {
        assert!(handle.tell(join(0)) && handle.tell(says("hours")));
        until_event(seen, has_said(says_it));
    }
    assert!(sessions.end("old"));
    let (_, journal) = until_ended(&seen);
    assert_replays(&journal);
    assert!(journal.changes.is_empty(), "it is among the inputs, and nowhere else");
}

#[test]
fn a_reload_that_is_wrong_tells_all_and_changes_nothing() {
    let sessions = sessions(1);
    let before = sessions.plans().get("shop").unwrap();
    let wrong = SHOP.replace("turn: {", "turns: {").replace("phrases", "phrase");
    match sessions.reload("shop", wrong.as_bytes(), "wrong.yaml") {
        Err(NotReloaded::Complaints(complaints)) => {
            let text = complaints.to_string();
            assert!(text.contains("turns") && text.contains("phrase"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    let unknown = sessions.reload("zoo", SHOP.as_bytes(), "zoo.yaml");
    assert!(matches!(unknown, Err(NotReloaded::Unknown(name)) if name == "zoo"));
    assert!(Arc::ptr_eq(&before, &sessions.plans().get("shop").unwrap()));

    // What is right in itself and not for a call under way is refused by the call.
    let (_, seen) = create(&sessions, "a", "shop");
    let slow = SHOP.replace("turn: {", "audio: { tick_ms: 40 }\nturn: {");
    assert_eq!(sessions.reload("shop", slow.as_bytes(), "a.yaml").unwrap().running, ["a"]);
    assert!(sessions.renew("a"));
    let refused = until_event(&seen, |kind| matches!(kind, EventKind::ConfigRefused { .. }));
    assert!(format!("{:?}", refused.kind).contains("audio.tick_ms"));
    assert!(sessions.end("a"));
    assert_replays(&until_ended(&seen).1);
}

#[test]
fn subscribers_are_told_in_order_and_one_that_panics_is_nobody_elses_trouble() {
    let (tell, told) = bounded(64);
    let mut subscribers = Subscribers::default();
    let note = |who: &'static str| {
        let tell = tell.clone();
        move |event: &Event| {
            tell.try_send((who, event.kind.name().as_str())).ok();
        }
    };
    subscribers.call("session.*", note("first")).unwrap();
    // Without the hook that prints: this panic is meant.
    let wild = subscribers.call("*", |_| std::panic::resume_unwind(Box::new("wild"))).unwrap();
    subscribers.call("*", note("second")).unwrap();
    let quiet = subscribers.call("SESSION_ENDED", note("quiet")).unwrap();
    quiet.end();
    let unknown = subscribers.call("sesion.created", |_| ());
    assert!(
        matches!(unknown, Err(NotSubscribed::Unknown { remedy, .. }) if remedy.contains("session.created"))
    );
    for pattern in ["sess*", "zoo.*", ""] {
        assert!(subscribers.call(pattern, |_| ()).is_err(), "{pattern}");
    }
    let full = subscribers.channel("*", 1).unwrap();
    drop(subscribers.channel("*", 1).unwrap());

    let sessions = sessions(1);
    let (make, seen) = maker(vec![Box::new(subscribers)]);
    let handle = sessions.create("a", "shop", make).unwrap().session;
    assert!(handle.tell(join(0)) && handle.tell(says("hours")));
    until_event(&seen, has_said("From nine to six."));
    assert!(sessions.end("a"));
    assert_eq!(until_ended(&seen).0, Status::Ended, "the session does not notice");
    let told: Vec<(&str, &str)> = told.try_iter().collect();
    assert_eq!(told[..2], [("first", "session.created"), ("second", "session.created")]);
    let last = told.len() - 2;
    assert_eq!(told[last..], [("first", "session.ended"), ("second", "session.ended")]);
    assert!(told.iter().all(|(who, _)| *who != "quiet"));
    let all = told.iter().filter(|(who, _)| *who == "second").count();
    assert!(all > PANICS_MAX as usize, "{told:?}");
    assert_eq!((wild.panics(), wild.is_over()), (PANICS_MAX, true));
    let kept: Vec<(u64, u64)> = full.try_iter().map(|told| (told.event.seq, told.missed)).collect();
    assert_eq!(kept, [(0, 0)], "what came first is kept");
}

#[test]
fn a_full_channel_says_how_many_events_it_missed() {
    let mut subscribers = Subscribers::default();
    let told = subscribers.channel("user.*", 2).unwrap();
    let event = |seq| Event { seq, tick: Tick(seq), kind: EventKind::UserAway };
    subscribers.tell(&[event(0), event(1), event(2), event(3)]);
    subscribers.tell(&[Event { kind: EventKind::CallHeld, ..event(4) }]);
    let first: Vec<(u64, u64)> =
        told.try_iter().map(|told| (told.event.seq, told.missed)).collect();
    assert_eq!(first, [(0, 0), (1, 0)]);
    subscribers.tell(&[event(5), event(6)]);
    let next: Vec<(u64, u64)> = told.try_iter().map(|told| (told.event.seq, told.missed)).collect();
    assert_eq!(next, [(5, 2), (6, 0)]);
}
