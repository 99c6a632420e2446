//! The watchdog: an inline tool that does not sleep, on a shard of the real-time class, takes its core for half
//! a second and no longer; nor do two threads that sleep enough each, and share a core.
//!
//! This needs the real-time class: root, CAP_SYS_NICE, or `ulimit -r 11`. Where none can be had, the variable
//! ANTIPHON_NO_REALTIME=1 says so, and the tests say that they showed nothing; `make test` asks and sets it.

#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "cores and classes of threads are the system's")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use antiphon::config;
use antiphon::host::pace::{Class, Clock};
use antiphon::host::shard::{Measured, Shard, Watch};
use antiphon::host::tools::{LiveTools, Workers};
use antiphon::host::watchdog::{Enlisted, Standing, enlist};
use antiphon::id::LaneId;
use antiphon::seed::Seed;
use antiphon::session::Session;
use antiphon::session::event::EventKind;
use antiphon::session::plan::{Plan, tool_spec};
use antiphon::sim::caller::{Act, Caller, Cue, Part, When};
use antiphon::sim::network::{Faults, Network};
use antiphon::slot::{Slot, Status};
use antiphon::tool::{Registry, ToolContext};
use crossbeam_channel::{Sender, bounded};
use serde_json::{Value, json};

const AGENT: &str = "
name: watchdog
turn: { away_ms: 0 }
tools:
  spin: { description: Never sleeps., run: inline }
agents:
  desk:
    tools: [spin]
    intents: [{ name: spin, phrases: [spin], call: { tool: spin }, then: Done. }]
";

/// How long the tool spins.
const SPINS_NS: u64 = 2_000_000_000;

/// Ticks to be seen after it.
const TICKS_AFTER: usize = 50;

/// How long anything may take: ten times what it should.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the tool saw while it span.
#[derive(Debug, Clone, Copy)]
struct Spun {
    /// How long it ran before all others, in nanoseconds; none if it did to its end.
    real_time_ns: Option<u64>,
    /// How far the neighbour came in that time, and after it, in nanoseconds of processor.
    neighbour_ns: [u64; 2],
}

enum Seen {
    Spun(Spun),
    Result,
    Tick,
    Ended(Status),
}

struct Looking(Sender<Seen>);

impl Watch for Looking {
    fn ticked(&mut self, slot: &mut Slot, _measured: Measured) -> bool {
        let is_result = |kind: &EventKind| matches!(kind, EventKind::ToolResult { .. });
        let result = slot.output().events.iter().any(|event| is_result(&event.kind));
        // A test that has seen enough is gone.
        self.0.try_send(if result { Seen::Result } else { Seen::Tick }).is_ok()
    }

    fn ended(&mut self, _slot: Slot, status: Status) {
        drop(self.0.try_send(Seen::Ended(status)));
    }
}

/// The core on which the calling thread runs, on which it then stays.
fn stay() -> usize {
    // SAFETY: it has no arguments.
    let core = unsafe { libc::sched_getcpu() };
    let core = usize::try_from(core).expect("Linux knows the core");
    stay_on(core);
    core
}

fn stay_on(core: usize) {
    // SAFETY: a set of cores is plain data, and `set` is valid for reading.
    let set = unsafe {
        let mut cores: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut cores);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const cores)
    };
    assert_eq!(set, 0, "a thread may stay on core {core}");
}

fn is_real_time() -> bool {
    // SAFETY: 0 is the calling thread.
    let class = unsafe { libc::sched_getscheduler(0) };
    class & !libc::SCHED_RESET_ON_FORK == libc::SCHED_FIFO
}

/// How long the calling thread has run.
fn ran_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// An ordinary thread on a core of which it wants all.
struct Neighbour {
    ran_ns: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Neighbour {
    /// Moves in; returns when the thread is there.
    fn on(core: usize) -> Self {
        let (ran, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (tell, told) = bounded(1);
        let (count, is_over) = (Arc::clone(&ran), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            stay_on(core);
            tell.send(()).expect("the tool waits for this");
            while !is_over.load(Ordering::Relaxed) {
                count.store(ran_ns(), Ordering::Relaxed);
            }
        });
        told.recv().expect("the neighbour moves in");
        Self { ran_ns: ran, over, thread }
    }

    fn leave(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the neighbour leaves");
    }
}

/// Spins beside a neighbour, and looks at its own class meanwhile.
fn spin() -> Spun {
    let clock = Clock::default();
    let neighbour = Neighbour::on(stay());
    let came = || neighbour.ran_ns.load(Ordering::Relaxed);
    let (begun, at_first) = (clock.now(), came());
    let mut change = None;
    while clock.now().since_ns(begun) < SPINS_NS {
        if change.is_none() && !is_real_time() {
            change = Some((clock.now().since_ns(begun), came()));
        }
    }
    let at_last = came();
    let (real_time_ns, at_change) = change.map_or((None, at_last), |(ns, came)| (Some(ns), came));
    neighbour.leave();
    Spun { real_time_ns, neighbour_ns: [at_change - at_first, at_last - at_change] }
}

/// A session whose caller asks at once for the tool that spins.
fn slot(spun: Sender<Seen>) -> Slot {
    let config = config::parse(AGENT.as_bytes(), "watchdog").unwrap_or_else(|why| panic!("{why}"));
    let plan = Arc::new(Plan::new(config).unwrap());
    let mut tools = Registry::default();
    let tool = move |_: &ToolContext, _: &Value| {
        spun.send(Seen::Spun(spin())).map_err(|_| "nobody looks".to_owned())?;
        Ok(json!({}))
    };
    tools.add(tool_spec("spin", &plan.config.tools["spin"]), tool).unwrap();
    let part = Part {
        name: "ada".to_owned(),
        cues: vec![Cue { when: When::Start(100), act: Act::Type("spin".to_owned()) }],
        noise: Arc::default(),
        patience_ms: 20_000,
        hang_up_ms: 600_000,
        audio: false,
    };
    let network = Network::new(Faults::NONE, Seed::new(1));
    let caller = Caller::new(part, LaneId(0), plan.len, plan.rate, network);
    let hands = LiveTools::new(Workers::start(tools, 1), "test".to_owned(), bounded(1).0);
    let session = Session::new(&plan, 1);
    Slot::new(plan, session, vec![Box::new(caller)], Box::new(hands), None)
}

/// Tests that take a core before all others do so one after the other.
static CORES: Mutex<()> = Mutex::new(());

/// Whether the class was given; where it was not and nobody said that it need not be, this fails.
#[track_caller]
fn is_given(standing: Standing) -> bool {
    if standing == Standing::RealTime {
        return true;
    }
    let excused = std::env::var("ANTIPHON_NO_REALTIME").is_ok_and(|value| value == "1");
    assert!(
        excused,
        "the real-time class is not permitted here, so that the watchdog cannot be shown; run this as root, \
         with CAP_SYS_NICE or after `ulimit -r 11`, or set ANTIPHON_NO_REALTIME=1 to do without"
    );
    println!("nothing is shown: the real-time class is not permitted here");
    false
}

/// A tick, and what each of two threads computes in it: more than half, less than is too much for one.
const TICK_NS: u64 = 20_000_000;
const COMPUTES_NS: u64 = 12_000_000;

/// How long they go on if nobody stops them: two seconds.
const TICKS: u64 = 100;

/// Computes and sleeps on this core, in the real-time class, until one of the two is demoted; how often this one was.
fn half_time(core: usize, demoted: &AtomicBool) -> Option<u32> {
    stay_on(core);
    let enlisted = enlist();
    if !is_given(enlisted.as_ref().map_or(Standing::Normal, Enlisted::standing)) {
        return None;
    }
    let (enlisted, clock) = (enlisted?, Clock::default());
    let begun = clock.now();
    for tick in 1..=TICKS {
        let until_ns = ran_ns() + COMPUTES_NS;
        while ran_ns() < until_ns {}
        if enlisted.standing() == Standing::Demoted {
            demoted.store(true, Ordering::Relaxed);
        }
        if demoted.load(Ordering::Relaxed) {
            break;
        }
        clock.sleep_until(begun.after_ns(tick * TICK_NS));
    }
    Some(enlisted.demotions())
}

#[test]
fn two_threads_that_share_a_core_and_leave_nothing_of_it_are_one_too_many() {
    let _alone = CORES.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: it has no arguments.
    let core = usize::try_from(unsafe { libc::sched_getcpu() }).expect("Linux knows the core");
    let demoted = Arc::new(AtomicBool::new(false));
    let start = |_| {
        let demoted = Arc::clone(&demoted);
        std::thread::spawn(move || half_time(core, &demoted))
    };
    let threads = [(); 2].map(start);
    let demotions = threads.map(|thread| thread.join().expect("a thread ends as it should"));
    let [Some(one), Some(other)] = demotions else { return };
    assert_eq!(one + other, 1, "one of them is demoted: {one} and {other}");
}

#[test]
fn a_tool_that_spins_loses_the_real_time_class_and_the_call_goes_on() {
    let _alone = CORES.lock().unwrap_or_else(PoisonError::into_inner);
    let shard = Shard::start(Class::RealTime).unwrap();
    if !is_given(shard.class()) {
        return;
    }
    let (tell, seen) = bounded(1_000);
    assert!(shard.admit(slot(tell.clone()), Box::new(Looking(tell))));
    let next = || seen.recv_timeout(PATIENCE).expect("the shard ticks");
    let spun = loop {
        match next() {
            Seen::Spun(spun) => break spun,
            Seen::Tick => assert_eq!(shard.class(), Standing::RealTime, "nothing has happened yet"),
            Seen::Result => panic!("a result before the tool has run"),
            Seen::Ended(status) => panic!("{status:?} before the tool has run"),
        }
    };
    println!("{spun:?}");
    let real_time_ns = spun.real_time_ns.expect("it was demoted while it span");
    assert!(real_time_ns < 1_500_000_000, "it was demoted after {real_time_ns} ns only");
    // Half of what is left, by rights; the machine may have others who want it, too.
    let [_, after_ns] = spun.neighbour_ns;
    assert!(after_ns > 50_000_000, "its neighbour ran for {after_ns} ns in a second and a half");
    assert_eq!((shard.class(), shard.demotions()), (Standing::Demoted, 1));

    let (mut results, mut ticks) = (0, 0);
    while ticks < TICKS_AFTER {
        match next() {
            Seen::Tick => ticks += 1,
            Seen::Result => results += 1,
            Seen::Spun(_) => panic!("the tool was called once"),
            Seen::Ended(status) => panic!("{status:?} after the tool has run"),
        }
    }
    assert_eq!(results, 1, "the call has its outcome, and goes on");
    shard.stop();
}
